//! Nodes that the run starts itself (`--spawn`), and ends with it: processes of the `starling` executable on ports that
//! they pick themselves.

mod chaos;
mod process;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use tempfile::TempDir;

pub(crate) use self::chaos::disturb;
use self::process::{Node, run_to_end};
use crate::{
    plan::Spawn,
    watch::{Process, Watched},
};

/// How long nodes may take to end when the run is over.
const END: Duration = Duration::from_secs(10);

/// All nodes of a run.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// Gateways first, then the api node; or one embedded server.
    all: Vec<Node>,
    pub(crate) watched: Arc<Mutex<Watched>>,
    _folder: TempDir,
}

impl Nodes {
    /// Starts them; returns when all are ready.
    pub(crate) async fn start(spawn: &Spawn, secret: &str) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::Builder::new().prefix("starling-load.").tempdir()?;
        let mut env = vec![
            ("STARLING_JWT_SECRET".to_owned(), secret.to_owned()),
            // What is measured is the server, not its limit for one client.
            ("STARLING_COMMAND_RATE".to_owned(), "0".to_owned()),
            ("STARLING_COMMAND_BURST".to_owned(), "0".to_owned()),
            ("STARLING_LOG".to_owned(), "warn".to_owned()),
            ("STARLING_DRAIN_WINDOW".to_owned(), "2s".to_owned()),
        ];
        if let Some([database, redis]) = &spawn.cluster {
            env.push(("DATABASE_URL".into(), database.clone()));
            env.push(("REDIS_URL".into(), redis.clone()));
        }
        env.extend(spawn.env.iter().cloned());
        let mut roles = Vec::new();
        if spawn.cluster.is_some() {
            run_to_end(&binary, "migrate", &env, folder.path()).await.context("`starling migrate` failed")?;
            roles.extend((1..=spawn.gateways).map(|n| (format!("gateway {n}"), "gateway")));
            roles.push(("api".to_owned(), "api"));
        } else {
            roles.push(("server".to_owned(), "serve"));
        }
        let watched = Arc::new(Mutex::new(Watched::default()));
        let mut nodes = Vec::new();
        for (name, role) in roles {
            let node = Node::start(&binary, &name, role, &env, folder.path()).await?;
            let mut watched = watched.lock();
            watched.processes.push(Process::new(&name, node.id()));
            watched.metrics.push(node.admin().to_owned());
            nodes.push(node);
        }
        Ok(Self { all: nodes, watched, _folder: folder })
    }

    /// Where REST is.
    pub(crate) fn api(&self) -> String {
        self.all.last().map(|node| node.url().to_owned()).unwrap_or_default()
    }

    /// Where sockets are.
    pub(crate) fn gateways(&self) -> Vec<String> {
        let all = self.all.iter().filter(|node| node.has_sockets());
        all.map(|node| node.url().to_owned()).collect()
    }

    /// Ends them all.
    pub(crate) async fn end(mut self) {
        for node in &mut self.all {
            node.terminate();
        }
        let deadline = tokio::time::Instant::now() + END;
        for node in &mut self.all {
            if tokio::time::timeout_at(deadline, node.ended()).await.is_err() {
                node.kill().await;
            }
        }
    }
}

/// `$STARLING_BIN`, or what runs here when it is `starling` itself, or the `starling` beside it.
fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STARLING_BIN").map(PathBuf::from) {
        if !named.is_file() {
            bail!("STARLING_BIN names {}, which is not there", named.display());
        }
        return Ok(named);
    }
    let own = std::env::current_exe()?;
    if own.file_name().is_some_and(|name| name == "starling") {
        return Ok(own);
    }
    let beside = own.with_file_name("starling");
    if !beside.is_file() {
        bail!(
            "--spawn found no starling: name it with STARLING_BIN, or build it (cargo build -p server --bin starling)"
        );
    }
    Ok(beside)
}
