//! Reads what the bus brings and hands it to the hub. The one place where payloads of other programs could come
//! in: what is not of this protocol is counted and ignored.

use std::sync::Arc;

use bus::{Incoming, Topic};
use bytes::Bytes;
use chat::envelope::{AnnouncementMoved, ConversationEvent, PresenceEvent, UserEvent};
use tokio::sync::mpsc;

use crate::{node::Node, probe::Probe};

/// Runs until the bus or the node ends.
pub(crate) async fn run(node: Arc<Node>, mut incoming: mpsc::Receiver<Incoming>, probe: Arc<Probe>) {
    loop {
        let item = tokio::select! {
            biased;
            () = node.stop.cancelled() => None,
            item = incoming.recv() => item,
        };
        match item {
            // A node that was drained still answers operators, for as long as its process lives.
            None => return letters(node.config.letters.clone(), incoming).await,
            Some(Incoming::Lost) => {
                node.sweep_now.notify_one();
                node.receipts_lost.notify_one();
                node.presence.lost();
            }
            Some(Incoming::Event { topic: Topic::Conversation(id), payload }) => {
                match ConversationEvent::decode(&payload) {
                    Ok(event) => {
                        count(&node, "conversation");
                        node.offer(id, event);
                    }
                    Err(_) => bad(&node, Topic::Conversation(id)),
                }
            }
            Some(Incoming::Event { topic: Topic::User(user), payload }) => match UserEvent::decode(&payload) {
                Ok(UserEvent::FeedMoved(user_seq)) => {
                    count(&node, "user");
                    node.feed_moved(user, user_seq);
                }
                Ok(UserEvent::Frame { frame, epoch }) => {
                    count(&node, "user");
                    node.unless_other(epoch.as_ref(), || node.push_to_user(user, frame));
                }
                Err(_) => bad(&node, Topic::User(user)),
            },
            Some(Incoming::Event { topic: Topic::Node(_), payload }) => {
                if probe.heard(&payload) {
                    count(&node, "probe");
                } else {
                    node.letter(payload);
                }
            }
            Some(Incoming::Event { topic: Topic::Nodes, payload }) => node.letter(payload),
            Some(Incoming::Event { topic: Topic::Org(org), payload }) => match AnnouncementMoved::decode(&payload) {
                Ok(moved) => {
                    count(&node, "org");
                    node.announced(org, moved.seq);
                }
                Err(_) => bad(&node, Topic::Org(org)),
            },
            Some(Incoming::Event { topic: Topic::Presence(user), payload }) => match PresenceEvent::decode(&payload) {
                Ok(PresenceEvent::Changed(presence)) if presence.user_id == user => {
                    count(&node, "presence");
                    node.presence.hint(&presence);
                }
                Ok(PresenceEvent::Frame(frame)) => {
                    count(&node, "presence");
                    node.presence.push_to_watchers(user, frame);
                }
                Ok(PresenceEvent::Changed(_)) | Err(_) => bad(&node, Topic::Presence(user)),
            },
        }
    }
}

/// Hands letters over, and nothing else, until nobody wants them. The node itself may go.
async fn letters(letters: Option<mpsc::Sender<Bytes>>, mut incoming: mpsc::Receiver<Incoming>) {
    let Some(letters) = letters else { return };
    loop {
        let item = tokio::select! {
            biased;
            () = letters.closed() => None,
            item = incoming.recv() => item,
        };
        match item {
            None => return,
            Some(Incoming::Event { topic: Topic::Nodes | Topic::Node(_), payload }) => {
                // One that finds no room is lost, as any on the bus may be.
                let _ = letters.try_send(payload);
            }
            Some(_) => {}
        }
    }
}

fn count(node: &Node, kind: &str) {
    node.metrics.bus_events.with_label_values(&[kind]).inc();
}

fn bad(node: &Node, topic: Topic) {
    let bad = node.metrics.bus_events.with_label_values(&["bad"]);
    bad.inc();
    // Somebody else on our topics may publish without end: say it once, count the rest.
    if bad.get() == 1 {
        tracing::warn!(%topic, "a payload on the bus is not of this protocol; further ones are only counted");
    }
}
