//! Ending a node so that users do not notice (invariant 12): no new sockets, each client is told to move at a moment
//! of its own, what is left is closed with a code that resumes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use protocol::{CloseCode, Event, EventType, Reconnect};
use tokio::time::timeout;

use crate::{node::Node, outbox::Class, presence};

/// For clients that move at the very end of the window.
const GRACE: Duration = Duration::from_secs(1);
/// For the close frames of those that did not move.
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) async fn run(node: &Arc<Node>) {
    node.draining.store(true, Ordering::Release);
    let links = node.hub.feeds.links();
    let count = links.len().max(1) as u64;
    let window = node.config.drain_window.as_millis() as u64;
    tracing::info!(connections = links.len(), window_ms = window, "draining");
    for (place, link) in links.iter().enumerate() {
        let after_ms = window * place as u64 / count;
        if let Ok(frame) = serde_json::to_string(&Event::plain(EventType::Reconnect, Reconnect { after_ms })) {
            link.outbox.push(frame.into(), Class::Durable);
        }
        if link.mark.is_some() {
            // It cannot move by itself: it comes back when its stream ends.
            let link = Arc::clone(link);
            node.spawn(async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                link.outbox.close(CloseCode::GoingAway);
            });
        }
    }
    drop(links);
    node.connections.close();
    let _ = timeout(node.config.drain_window + GRACE, node.connections.wait()).await;
    // Those that did not move, and those that were still shaking hands when the list was made.
    for link in node.hub.feeds.links() {
        link.outbox.close(CloseCode::GoingAway);
    }
    let all_gone = timeout(FAREWELL, node.connections.wait()).await.is_ok();
    presence::end(node).await;
    node.stop.cancel();
    tracing::info!(all_gone, "drained");
}
