//! `presence.watch` and `presence.unwatch`, and the regular look at who may still watch whom.
//!
//! Promises: subscribe, then read; a connection watches at most [`PRESENCE_MAX`] users, and nobody who does not share a
//! conversation with it for longer than about one recheck; what it watched is given back with it.

use std::sync::Arc;

use bus::Topic;
use chat::{ChatError, Map, Result, Set};
use protocol::{ErrorCode, PRESENCE_MAX, PresenceList, UserId};
use tokio::time::{Instant, sleep};

use crate::{link::Link, node::Node};

impl Node {
    /// Watches users: those whom the caller may see, with their present state. What it answers must be in the outbox
    /// before [`Node::watch_answered`]. One at a time per connection.
    pub(crate) async fn watch(&self, link: &Arc<Link>, ids: &[UserId]) -> Result<PresenceList> {
        let mut known = Set::default();
        let ids: Vec<_> = ids.iter().copied().filter(|id| known.insert(*id)).collect();
        {
            let watching = link.watching.lock();
            let new = ids.iter().filter(|id| !watching.contains(**id)).count();
            if watching.len() + new > PRESENCE_MAX {
                let text = format!("a connection watches at most {PRESENCE_MAX} users");
                return Err(ChatError::new(ErrorCode::LimitReached, text));
            }
        }
        if ids.is_empty() {
            return Ok(PresenceList::default());
        }
        let seen = self.chat.visible(&link.caller, &ids).await?;
        let new: Vec<_> = {
            // Order: link, then the node's map. A connection that has ended takes nothing in.
            let mut watching = link.watching.lock();
            let new: Vec<_> = seen.iter().filter(|seen| watching.insert(seen.user_id) == Some(false)).collect();
            let mut watched = self.presence.watched.lock();
            for seen in &new {
                watched.add(seen, link);
            }
            new.iter().map(|seen| seen.user_id).collect()
        };
        self.count_watched();
        self.subscribe_watched(link, &new).await;
        match self.chat.presence_of(&seen).await {
            Ok(items) => Ok(PresenceList { items }),
            Err(error) => {
                self.unwatch(link, &new);
                Err(error)
            }
        }
    }

    /// Each one holds a reference of the bus of its own: it returns when the subscription is confirmed, whoever asked
    /// for it first.
    async fn subscribe_watched(&self, link: &Link, ids: &[UserId]) {
        if ids.is_empty() {
            return;
        }
        let topics: Vec<_> = ids.iter().map(|id| Topic::Presence(*id)).collect();
        self.subscribe(&topics).await;
        let unwanted: Vec<_> = {
            let mut watching = link.watching.lock();
            ids.iter().filter(|id| !watching.hold_reference(**id)).map(|id| Topic::Presence(*id)).collect()
        };
        if !unwanted.is_empty() {
            self.bus.unsubscribe(&unwanted);
        }
    }

    /// The answer is on its way: from here on the connection is told what differs from it.
    pub(crate) fn watch_answered(&self, link: &Arc<Link>, list: &PresenceList) {
        self.presence.watched.lock().answered(link, &list.items, Instant::now());
        self.presence.due.notify_one();
    }

    /// Watches them no longer.
    pub(crate) fn unwatch(&self, link: &Arc<Link>, ids: &[UserId]) {
        let mut topics = Vec::new();
        {
            let mut watching = link.watching.lock();
            let mut watched = self.presence.watched.lock();
            for id in ids {
                if watching.remove(*id) {
                    topics.push(Topic::Presence(*id));
                }
                watched.remove(*id, link);
            }
        }
        if !topics.is_empty() {
            self.bus.unsubscribe(&topics);
        }
        self.count_watched();
    }

    /// The connection ends: it watches nobody, now and later.
    pub(crate) fn unwatch_all(&self, link: &Arc<Link>) {
        let ids = link.watching.lock().end();
        if !ids.is_empty() {
            self.unwatch(link, &ids);
        }
    }

    fn count_watched(&self) {
        self.metrics.presence_watched.set(self.presence.watched.lock().len() as i64);
    }
}

/// Looks at everybody who is watched, and at who may watch them, again and again until the node ends: hints get lost,
/// and people leave conversations. One query per watching user, spread over the time.
pub(super) async fn recheck(node: Arc<Node>) {
    let time = node.config.presence.recheck;
    loop {
        let started = Instant::now();
        node.presence.look_at_all();
        let mut viewers: Map<UserId, Vec<Arc<Link>>> = Map::default();
        for link in node.hub.feeds.links_where(|link| link.watching.lock().len() > 0) {
            viewers.entry(link.user()).or_default().push(link);
        }
        let step = time.mul_f64(0.8) / (viewers.len().max(1) as u32);
        for links in viewers.into_values() {
            drop_invisible(&node, &links).await;
            tokio::select! {
                biased;
                () = node.stop.cancelled() => return,
                () = sleep(step) => {}
            }
        }
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = sleep(time.saturating_sub(started.elapsed())) => {}
        }
    }
}

/// Unwatches, on all of a user's connections, those whom the user may not see any more.
async fn drop_invisible(node: &Node, links: &[Arc<Link>]) {
    let Some(caller) = links.first().map(|link| &link.caller) else { return };
    let ids: Set<UserId> = links.iter().flat_map(|link| link.watching.lock().ids()).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    for ids in ids.chunks(PRESENCE_MAX) {
        // Out of reach: the next time, then.
        let Ok(seen) = node.chat.visible(caller, ids).await else { continue };
        node.presence.watched.lock().seen(&seen);
        let visible: Set<_> = seen.iter().map(|seen| seen.user_id).collect();
        let hidden: Vec<_> = ids.iter().copied().filter(|id| !visible.contains(id)).collect();
        if !hidden.is_empty() {
            for link in links {
                node.unwatch(link, &hidden);
            }
        }
    }
}
