//! What nodes log during a fault: one line per change of state, however much goes wrong meanwhile, and each line whole.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use starling_tests::{cluster::Cluster, node::Node};

use crate::stage::nodes;

/// How often each sentence was logged at `WARN` or above.
pub(crate) type Told = BTreeMap<String, usize>;

/// A place in the logs of all nodes.
pub(crate) struct Logs(Vec<usize>);

impl Logs {
    /// From here on.
    pub(crate) fn from_now(cluster: &Cluster) -> Self {
        Self(nodes(cluster).map(|node| node.log().lines().count()).collect())
    }

    /// What each node told an operator since, in the order of [`nodes`].
    pub(crate) fn told(&self, cluster: &Cluster) -> Result<Vec<Told>> {
        nodes(cluster).zip(&self.0).map(|(node, from)| told_by(node, *from)).collect()
    }

    /// Fails unless each node said each sentence at most so often.
    pub(crate) fn ensure_calm(&self, cluster: &Cluster, most: usize) -> Result<Vec<Told>> {
        let all = self.told(cluster)?;
        for (node, told) in nodes(cluster).zip(&all) {
            ensure!(told.values().all(|times| *times <= most), "{:?} {} says {told:#?}", node.role(), node.url());
        }
        Ok(all)
    }
}

/// What a node told an operator after so many lines.
pub(crate) fn told_by(node: &Node, from: usize) -> Result<Told> {
    let mut told = Told::new();
    for line in node.log().lines().skip(from) {
        // A stack trace, or a text with a line end in it, would be lines that are none.
        let line: Value = serde_json::from_str(line).with_context(|| format!("not a line of the log: {line}"))?;
        let (level, message) = (line["level"].as_str(), line["message"].as_str().context("a line without words")?);
        ensure!(!message.contains("panicked"), "a node panicked: {line}");
        if matches!(level, Some("WARN" | "ERROR")) {
            *told.entry(message.to_owned()).or_default() += 1;
        }
    }
    Ok(told)
}
