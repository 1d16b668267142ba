//! A private Caddy in front of nodes, run from the very file that operators use.
//!
//! Promises that it accepts connections when [`Caddy::start`] returns. It asks all nodes how they are at one and the same
//! port, so each of them has an address of its own: [`Caddy::place`].

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    nginx::accepts,
    node::Node,
    process::{Launch, Process, free_port, temp_dir},
};

/// A load balancer.
#[derive(Debug)]
pub struct Caddy {
    port: u16,
    process: Process,
    _dir: TempDir,
}

impl Caddy {
    /// What a node must be told so that Caddy can be in front of it: an address for itself, and the port for all.
    pub fn place(number: u8, health: u16) -> [(&'static str, String); 2] {
        let address = format!("127.0.0.{}", number + 2);
        [("STARLING_LISTEN", format!("{address}:0")), ("STARLING_ADMIN_LISTEN", format!("{address}:{health}"))]
    }

    /// Starts one in front of these nodes; returns when it accepts.
    pub async fn start(gateways: &[Node], apis: &[Node], health: u16) -> Result<Self> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/caddy/Caddyfile");
        let dir = temp_dir("caddy")?;
        let mut tries = 0;
        loop {
            let port = free_port()?;
            let mut process = Launch::new("caddy")
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&file)
                // It would go to nodes, too, by way of a proxy.
                .keep_env(|name| !name.to_ascii_lowercase().ends_with("_proxy"))
                .env("HOME", dir.path())
                .env("SITE", format!("http://:{port}"))
                .env("ADMIN", "off")
                .env("GATEWAYS", addresses(gateways))
                .env("APIS", addresses(apis))
                .env("HEALTH", health.to_string())
                .env("BUFFER", if is_2_6()? { "buffer_requests" } else { "" })
                .start("caddy", dir.path())?;
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
        self.process.log()
    }
}

fn addresses(nodes: &[Node]) -> String {
    nodes.iter().map(Node::address).collect::<Vec<_>>().join(" ")
}

/// Debian 12's, which the file's head has a word about.
fn is_2_6() -> Result<bool> {
    let said = Command::new("caddy").arg("version").output().context("cannot start caddy")?.stdout;
    Ok(String::from_utf8_lossy(&said).trim_start_matches('v').starts_with("2.6."))
}
