//! The database's history as this node knows it. After a restore from a backup, or when a standby that lagged takes
//! over, what was delivered here may be of a future that is lost, whose places are given again.
//!
//! Promises:
//! - As soon as anything that this node reads tells of another epoch, every position that it holds is forgotten and every
//!   connection is closed with 4000. Clients come back with the old epoch, and are told to fetch everything
//!   (`resync_required`, `epoch_changed`). Nothing here decides when the epoch changes: `starling admin new-epoch` does.
//! - What was committed to another history than this node's is not delivered: neither an event that comes late, nor what
//!   was read before.
//! - Where the store has less than was delivered here though the epoch is the same, its position is forgotten; who follows
//!   it is told to fetch it (`cursor_ahead`; of announcements nobody is told, whose cursors are taken for the head) and
//!   closed with 4000.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use chat::envelope::ConversationEvent;
use parking_lot::RwLock;
use protocol::{CloseCode, ConversationId, OrgId, ResyncReason, Seq, UserId, UserSeq};

use crate::{link::Link, node::Node, resume::ask_resync};

/// Between two questions that events of another history give rise to.
const REST: Duration = Duration::from_millis(200);

/// How often a node had forgotten positions at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History(u64);

/// What a node knows of its database's history. While positions are forgotten, and connections closed for it, nothing
/// that was read before gets in: that happens under the lock. Inside of it the locks of the hub are taken, never the
/// other way round.
#[derive(Default)]
pub(crate) struct Epoch(RwLock<State>);

#[derive(Default)]
struct State {
    /// None before the first reading.
    epoch: Option<Arc<str>>,
    forgotten: u64,
}

impl Epoch {
    fn is(&self, epoch: &str) -> bool {
        self.0.read().epoch.as_deref() == Some(epoch)
    }
}

/// Asks for the epoch when the node starts, and whenever an event of another history came: either it came late, or the
/// node does not know of a restore yet. Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        // Without an answer the first connection reads it.
        if let Ok(heads) = node.chat.heads_seen(&[]).await {
            node.saw_epoch(&heads.epoch);
        }
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = async {
                tokio::time::sleep(REST).await;
                node.other_epoch.notified().await;
            } => {}
        }
    }
}

impl Node {
    /// Something that was just read from the store is of this epoch. To be called before what was read is used.
    ///
    /// A read that began before the restore and is told of after it makes the node take the old epoch for new once
    /// more: connections are closed twice, and the next read ends it.
    pub(crate) fn saw_epoch(self: &Arc<Self>, epoch: &str) {
        if self.epoch.is(epoch) {
            return;
        }
        let mut known = self.epoch.0.write();
        if known.epoch.as_deref() == Some(epoch) {
            return;
        }
        let Some(before) = known.epoch.replace(epoch.into()) else { return };
        known.forgotten += 1;
        // Positions first: who is not among the links that are listed then begins with none.
        self.hub.forget_positions();
        let links = self.hub.feeds.links();
        for link in &links {
            link.outbox.close(CloseCode::GoingAway);
        }
        drop(known);
        tracing::warn!(
            before = &*before,
            now = epoch,
            connections = links.len(),
            "the database has another epoch: clients start anew"
        );
    }

    /// To be taken before the store is read, and before it is seen where to read from, for [`Node::within`].
    pub(crate) fn history(&self) -> History {
        History(self.epoch.0.read().forgotten)
    }

    /// Does this with what was read since then, unless positions were forgotten meanwhile. None: it was not done.
    pub(crate) fn within<R>(&self, history: History, work: impl FnOnce() -> R) -> Option<R> {
        let known = self.epoch.0.read();
        (known.forgotten == history.0).then(work)
    }

    /// Does this with what was read for a connection, unless that is about to be closed: then what was read may be of
    /// another history. None: it was not done.
    pub(crate) fn while_open<R>(&self, link: &Link, work: impl FnOnce() -> R) -> Option<R> {
        let _history = self.epoch.0.read();
        (!link.outbox.is_closed()).then(work)
    }

    /// Hands an event of the bus to the hub, unless it is of another history than what this node reads.
    pub(crate) fn offer(self: &Arc<Self>, id: ConversationId, event: ConversationEvent) {
        let epoch = event.epoch.clone();
        if let Some(after) = self.unless_other(epoch.as_ref(), || self.hub.offer(id, event)) {
            self.after(id, after);
        }
    }

    /// Does this with what the bus told, unless it is of another history. None: it was not done.
    pub(crate) fn unless_other<R>(&self, epoch: Option<&Bytes>, work: impl FnOnce() -> R) -> Option<R> {
        let done = {
            let known = self.epoch.0.read();
            let other = epoch.zip(known.epoch.as_ref()).is_some_and(|(epoch, known)| *epoch != known.as_bytes());
            (!other).then(work)
        };
        if done.is_none() {
            self.metrics.bus_events.with_label_values(&["other_epoch"]).inc();
            if !self.told_of_other_epoch.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "an event on the bus was committed to another history of the database, and is ignored; further ones \
                     are only counted"
                );
            }
            self.other_epoch.notify_one();
        }
        done
    }

    /// The store has less of a conversation than was delivered here before it was asked.
    pub(crate) fn lost_conversation(&self, id: ConversationId, delivered: Seq) {
        self.lost("of a conversation", || {
            let links = self.hub.is_ahead(id, delivered);
            for link in &links {
                ask_resync(link, Some(id), ResyncReason::CursorAhead);
            }
            links
        });
    }

    /// The store has less of a user's feed than was delivered here before it was asked.
    pub(crate) fn lost_feed(&self, user: UserId, delivered: UserSeq) {
        self.lost("of a user's feed", || {
            let links = self.hub.feeds.is_ahead(user, delivered);
            for link in &links {
                ask_resync(link, None, ResyncReason::CursorAhead);
            }
            links
        });
    }

    /// The store has fewer announcements than were delivered here before it was asked. Who comes back goes on after
    /// those that there are.
    pub(crate) fn lost_announcements(&self, org: OrgId, delivered: u64) {
        self.lost("of an org's announcements", || {
            let ahead = self.hub.orgs.is_ahead(org, delivered);
            if ahead { self.hub.feeds.links_where(|link| link.org() == org) } else { Vec::new() }
        });
    }

    fn lost(&self, what: &str, forget: impl FnOnce() -> Vec<Arc<Link>>) {
        let links = {
            let mut known = self.epoch.0.write();
            known.forgotten += 1;
            let links = forget();
            for link in &links {
                link.outbox.close(CloseCode::GoingAway);
            }
            links
        };
        if !links.is_empty() {
            tracing::warn!(
                connections = links.len(),
                "the store has less {what} than was delivered: clients start anew. If it was restored, `starling admin \
                 new-epoch` makes sure that nobody believes what is lost"
            );
        }
    }
}
