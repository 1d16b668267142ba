//! Looks at watched users when there is reason to, hundreds in one round trip, and tells who watches them.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use chat::Map;
use protocol::{PRESENCE_MAX, UserId};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Presence;
use crate::node::Node;

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Sleep without an end in sight.
const LONG: Duration = Duration::from_hours(1);

/// Runs until the node ends.
pub(super) async fn run(node: Arc<Node>) {
    let presence = &node.presence;
    loop {
        let next = presence.watched.lock().next();
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = sleep_until(next.unwrap_or_else(|| Instant::now() + LONG)) => {}
            () = presence.due.notified() => {}
        }
        loop {
            let seen = presence.watched.lock().take(Instant::now(), PRESENCE_MAX);
            if seen.is_empty() {
                break;
            }
            match node.chat.presence_of(&seen).await {
                Ok(mut presences) => {
                    read_silent(&node, &mut presences).await;
                    let events = presence.watched.lock().look(&presences, Instant::now());
                    node.metrics.presence_events.inc_by(events);
                }
                Err(error) => {
                    tracing::debug!(%error, "presence could not be read, trying again");
                    let at = Instant::now() + RETRY;
                    let mut watched = presence.watched.lock();
                    for seen in seen {
                        watched.look_at(seen.user_id, at);
                    }
                    break;
                }
            }
        }
    }
}

/// Who went without a word was last there when the store says so.
async fn read_silent(node: &Node, presences: &mut [protocol::Presence]) {
    let silent = node.presence.watched.lock().silent(presences);
    for (link, ids) in silent {
        // Out of reach: an older time is told.
        let Ok(seen) = node.chat.visible(&link.caller, &ids).await else { continue };
        node.presence.watched.lock().seen(&seen);
        let seen: Map<_, _> = seen.into_iter().map(|seen| (seen.user_id, seen.last_seen_at)).collect();
        for presence in presences.iter_mut() {
            let at = seen.get(&presence.user_id).copied().flatten();
            presence.last_seen_at = at.or(presence.last_seen_at);
        }
    }
}

impl Presence {
    /// A hint from the bus.
    pub(crate) fn hint(&self, hint: &protocol::Presence) {
        self.watched.lock().hint(hint, Instant::now());
        self.due.notify_one();
    }

    /// An ephemeral frame for who watches a user.
    pub(crate) fn push_to_watchers(&self, user: UserId, frame: Bytes) {
        if let Ok(frame) = Utf8Bytes::try_from(frame) {
            self.watched.lock().push(user, &frame);
        }
    }

    /// Everybody who is watched is to be looked at, now.
    pub(super) fn look_at_all(&self) {
        self.watched.lock().look_at_all(Instant::now());
        self.due.notify_one();
    }
}
