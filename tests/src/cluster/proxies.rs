//! A fault proxy for each node and each service that it stands on, so that one node can be cut off alone.
//!
//! Promises that a node keeps its proxies when it is started again.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;

use crate::{node::Node, proxy::Proxy};

/// The proxies of all nodes of a cluster, and which kinds there are.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// Port of the server, when nodes reach it through proxies.
    pub(super) redis: Option<u16>,
    pub(super) postgres: Option<u16>,
    /// By the node's folder.
    nodes: Mutex<HashMap<PathBuf, Pair>>,
}

/// One node's.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    pub(super) redis: Option<Arc<Proxy>>,
    pub(super) postgres: Option<Arc<Proxy>>,
}

impl Proxies {
    /// Makes those of a node that is about to start, and lets its variables lead to them.
    pub(super) fn make(&self, env: &mut [(String, String)]) -> Result<Pair> {
        let mut pair = Pair::default();
        if let Some(port) = self.redis {
            let proxy = Proxy::redis(port)?;
            lead(env, "REDIS_URL", port, proxy.port())?;
            pair.redis = Some(Arc::new(proxy));
        }
        if let Some(port) = self.postgres {
            let proxy = Proxy::postgres(port)?;
            lead(env, "DATABASE_URL", port, proxy.port())?;
            pair.postgres = Some(Arc::new(proxy));
        }
        Ok(pair)
    }

    pub(super) fn keep(&self, node: &Node, pair: Pair) {
        self.nodes.lock().insert(node.dir().to_owned(), pair);
    }

    pub(super) fn of(&self, node: &Node) -> Pair {
        self.nodes.lock().get(node.dir()).cloned().unwrap_or_default()
    }
}

/// Puts the proxy's port in the place of the server's.
fn lead(env: &mut [(String, String)], name: &str, from: u16, to: u16) -> Result<()> {
    let (_, url) = env.iter_mut().find(|(known, _)| known == name).with_context(|| format!("no {name}"))?;
    let server = format!("127.0.0.1:{from}");
    ensure!(url.contains(&server), "{name} does not lead to {server}, so no proxy can stand between");
    *url = url.replace(&server, &format!("127.0.0.1:{to}"));
    Ok(())
}
