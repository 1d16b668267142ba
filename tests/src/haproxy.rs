//! A private HAProxy in front of nodes, run from the very template that operators use.
//!
//! Promises that it accepts connections when [`Haproxy::start`] returns. Its nodes stay the same; how they are it asks
//! them itself, once a second: [`Haproxy::up`] and [`Haproxy::down`] wait until it knows.

use std::{collections::HashMap, fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    nginx::accepts,
    node::Node,
    process::{Launch, Process, free_port, temp_dir},
    secrets,
};

/// How long it may take until it knows how a node is, on a busy machine: it asks every second, and waits up to three
/// seconds for an answer.
const SOON: Duration = Duration::from_secs(20);

/// A load balancer.
#[derive(Debug)]
pub struct Haproxy {
    port: u16,
    process: Process,
    /// What it calls the node at an address: `BACKEND/SERVER`.
    names: HashMap<String, String>,
    _dir: TempDir,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        secrets::check("HAProxy", &self.log());
    }
}

impl Haproxy {
    /// Starts one in front of these nodes; returns when it accepts.
    pub async fn start(gateways: &[Node], apis: &[Node]) -> Result<Self> {
        let dir = temp_dir("haproxy")?;
        let names = [("gateway", gateways), ("api", apis)].into_iter().flat_map(|(kind, nodes)| {
            let name = move |number| format!("starling_{kind}s/{}", server(kind, number));
            nodes.iter().enumerate().map(move |(number, node)| (node.address().to_owned(), name(number)))
        });
        let names = names.collect();
        let mut tries = 0;
        loop {
            let port = free_port()?;
            let file = dir.path().join("haproxy.cfg");
            std::fs::write(&file, configuration(port, gateways, apis)?)?;
            let mut process = Launch::new(program()).args(["-db", "-f"]).arg(&file).start("haproxy", dir.path())?;
            match accepts(&mut process, port).await {
                Ok(()) => return Ok(Self { port, process, names, _dir: dir }),
                // Somebody else may have taken the port in between.
                Err(error) if tries == 3 => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it sends requests to this node. One that it never missed is up.
    pub async fn up(&self, node: &Node) -> Result<()> {
        self.says(node, "UP").await
    }

    /// Waits until it has missed this node.
    pub async fn down(&self, node: &Node) -> Result<()> {
        self.says(node, "DOWN").await
    }

    async fn says(&self, node: &Node, wanted: &str) -> Result<()> {
        let name = self.names.get(node.address()).context("HAProxy was started without this node")?;
        let about = format!("Server {name} is ");
        let start = Instant::now();
        loop {
            // On stdout alone: stderr has the same again.
            let log = self.process.output();
            let last = log.lines().rev().find_map(|line| line.strip_prefix(about.as_str())).unwrap_or("UP");
            if last.starts_with(wanted) {
                return Ok(());
            }
            ensure!(start.elapsed() < SOON, "HAProxy does not say within {SOON:?} that {name} is {wanted}: {last}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it logged: requests, and nodes that came and went.
    pub fn log(&self) -> String {
        format!("{}{}", self.process.output(), self.process.log())
    }
}

/// What the template's placeholder calls a node.
fn server(kind: &str, number: usize) -> String {
    format!("{kind}-{number}")
}

/// Debian keeps it where the `PATH` of people who are not root does not lead.
fn program() -> &'static str {
    let debian = "/usr/sbin/haproxy";
    if std::path::Path::new(debian).exists() { debian } else { "haproxy" }
}

fn configuration(port: u16, gateways: &[Node], apis: &[Node]) -> Result<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/haproxy/haproxy.cfg.template");
    let template = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let servers = |kind: &str, nodes: &[Node]| {
        nodes.iter().enumerate().fold(String::new(), |mut lines, (number, node)| {
            let admin = node.admin().rsplit(':').next().unwrap_or_default();
            let _ = writeln!(lines, "server {} {} check port {admin}", server(kind, number), node.address());
            lines
        })
    };
    // The comments at its top name the placeholders.
    let template: Vec<_> = template.lines().filter(|line| !line.starts_with('#')).collect();
    let text = template
        .join("\n")
        .replace("${LISTEN}", &format!("127.0.0.1:{port}"))
        .replace("${GATEWAYS}", &servers("gateway", gateways))
        .replace("${APIS}", &servers("api", apis));
    Ok(text + "\n")
}
