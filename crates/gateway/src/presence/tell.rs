//! Looks at watched users when there is reason to, hundreds in one round trip, and tells who watches them.

use std::{sync::Arc, time::Duration};

use protocol::PRESENCE_MAX;
use tokio::time::{Instant, sleep_until};

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
            () = sleep_until(next.unwrap_or_else(|| Instant::now() + LONG)) => {}
            () = presence.due.notified() => {}
            () = node.stop.cancelled() => return,
        }
        loop {
            let seen = presence.watched.lock().take(Instant::now(), PRESENCE_MAX);
            if seen.is_empty() {
                break;
            }
            match node.chat.presence_of(&seen).await {
                Ok(presences) => {
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

impl Presence {
    /// A hint from the bus.
    pub(crate) fn hint(&self, hint: &protocol::Presence) {
        self.watched.lock().hint(hint, Instant::now());
        self.due.notify_one();
    }

    /// Everybody who is watched is to be looked at, now.
    pub(super) fn look_at_all(&self) {
        self.watched.lock().look_at_all(Instant::now());
        self.due.notify_one();
    }
}
