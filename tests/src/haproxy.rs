//! A private HAProxy in front of nodes, run from the very template that operators use.
//!
//! Promises that it accepts connections when [`Haproxy::start`] returns. Its nodes stay the same; how they are it asks
//! them itself.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    nginx::accepts,
    node::Node,
    process::{Launch, Process, free_port, temp_dir},
    secrets,
};

/// A load balancer.
#[derive(Debug)]
pub struct Haproxy {
    port: u16,
    process: Process,
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
        let mut tries = 0;
        loop {
            let port = free_port()?;
            let file = dir.path().join("haproxy.cfg");
            std::fs::write(&file, configuration(port, gateways, apis)?)?;
            let mut process = Launch::new(program()).args(["-db", "-f"]).arg(&file).start("haproxy", dir.path())?;
            match accepts(&mut process, port).await {
                Ok(()) => return Ok(Self { port, process, _dir: dir }),
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

    /// What it logged: requests, and nodes that came and went.
    pub fn log(&self) -> String {
        format!("{}{}", self.process.output(), self.process.log())
    }
}

/// Debian keeps it where the `PATH` of people who are not root does not lead.
fn program() -> &'static str {
    let debian = "/usr/sbin/haproxy";
    if std::path::Path::new(debian).exists() { debian } else { "haproxy" }
}

fn configuration(port: u16, gateways: &[Node], apis: &[Node]) -> Result<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/haproxy/haproxy.cfg.template");
    let template = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let servers = |name: &str, nodes: &[Node]| {
        nodes.iter().enumerate().fold(String::new(), |mut lines, (number, node)| {
            let admin = node.admin().rsplit(':').next().unwrap_or_default();
            let _ = writeln!(lines, "server {name}-{number} {} check port {admin}", node.address());
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
