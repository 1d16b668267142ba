//! Keeps the node's lease on the bus: what it says of its users counts while it holds one.
//!
//! Promises that everything is said anew whenever it may be forgotten (the lease ended, the bus was away, an hour went
//! by), and that the users of a node that is gone are looked at at once.

use std::{sync::Arc, time::Duration};

use chat::Set;
use protocol::NodeId;
use tokio::time::{Instant, sleep_until, timeout};

use crate::node::Node;

/// After a failure, at the latest.
const RETRY: Duration = Duration::from_secs(1);
/// Everything is said again after this, so that nothing is forgotten while it is true (see [`bus::PRESENCE_TTL`]).
const SAY_ALL: Duration = Duration::from_hours(1);
/// A lease that nobody sees the end of.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);
/// For giving the lease back; it ends by itself too.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs until the node ends.
pub(super) async fn run(node: Arc<Node>) {
    let ttl = node.config.presence.lease;
    let mut held: Option<Instant> = None;
    let mut live = Set::default();
    let mut said_all = Instant::now();
    // The bus was away: it may have forgotten everything, and what it told may be lost.
    let mut lost = false;
    loop {
        let asked = Instant::now();
        let answer = {
            let ended = node.presence.lease_ended.lock().await;
            if *ended {
                return;
            }
            node.chat
                .hold_lease(node.config.node, if node.env().protections().lease_end { ttl } else { FOR_EVER })
                .await
        };
        let pause = match answer {
            Ok(nodes) => {
                // By the longest time that may have gone by on the bus between the two.
                let lapsed = held.is_some_and(|held| held.elapsed() >= ttl);
                // Only now: what is said without a lease may be swept away by others.
                if lapsed || lost || said_all.elapsed() >= SAY_ALL {
                    said_all = Instant::now();
                    say_all(&node);
                }
                if std::mem::take(&mut lost) {
                    node.presence.look_at_all();
                }
                held = Some(asked);
                node.presence.leased.send_replace(true);
                compare(&node, &mut live, nodes);
                ttl / 3
            }
            Err(error) => {
                tracing::debug!(%error, "the lease could not be renewed, trying again");
                RETRY.min(ttl / 6)
            }
        };
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = sleep_until(asked + pause) => {}
            () = node.presence.lost.notified() => {
                lost = true;
                // However often the bus goes and comes: all is said again a few times per lease at most.
                tokio::select! {
                    biased;
                    () = node.stop.cancelled() => return,
                    () = sleep_until(said_all + ttl / 3) => {}
                }
            }
        }
    }
}

fn say_all(node: &Node) {
    node.presence.local.lock().say_all();
    node.presence.changed.notify_one();
}

/// When a node is gone, its users may be too.
fn compare(node: &Node, live: &mut Set<NodeId>, nodes: Vec<NodeId>) {
    let nodes: Set<_> = nodes.into_iter().collect();
    let gone = live.difference(&nodes).count();
    if gone > 0 {
        tracing::info!(nodes = gone, left = nodes.len(), "nodes are gone");
        node.presence.look_at_all();
        // One of them may have died between a commit and its event.
        node.sweep_now.notify_one();
    }
    node.metrics.nodes.set(nodes.len() as i64);
    *live = nodes;
}

/// Gives the lease back, for good.
pub(super) async fn end(node: &Node) {
    let release = async {
        *node.presence.lease_ended.lock().await = true;
        node.chat.release_lease(node.config.node).await
    };
    if !matches!(timeout(FAREWELL, release).await, Ok(Ok(()))) {
        tracing::debug!("the lease could not be given back; it ends by itself");
    }
}
