//! The database's history as this node knows it. After a restore from a backup, or when a standby that lagged takes over,
//! what was delivered here may be of a future that is lost, whose places are given again.
//!
//! Promises:
//! - As soon as anything that this node reads tells of another epoch, every position that it holds is forgotten and every
//!   connection is closed with 4000. Clients come back with the old epoch, and are told to fetch everything
//!   (`resync_required`, `epoch_changed`). Nothing here decides when the epoch changes: `starling admin new-epoch` does.
//! - What was committed to another history than this node's is not delivered: neither an event that comes late, nor a
//!   page whose reading began before.
//! - Where the store has less than was delivered here though the epoch is the same, that conversation's (or user's, or
//!   org's) position is forgotten and its connections are closed with 4000: who comes back is told `cursor_ahead`.

use std::sync::Arc;

use chat::envelope::ConversationEvent;
use protocol::{CloseCode, ConversationId};

use crate::{link::Link, node::Node};

/// The epoch that a node knew at a moment; none before its first reading.
pub(crate) type History = Option<Arc<str>>;

impl Node {
    /// Something that was just read from the store is of this epoch. To be called before what was read is used.
    ///
    /// A read that began before the restore and is told of after it makes the node take the old epoch for new once
    /// more: connections are closed twice, and the next read ends it.
    pub(crate) fn saw_epoch(self: &Arc<Self>, epoch: &str) {
        let before = {
            let mut known = self.epoch.lock();
            if known.as_deref() == Some(epoch) {
                return;
            }
            known.replace(epoch.into())
        };
        let Some(before) = before else { return };
        // Positions first: who is not among the links that are listed then begins with none.
        self.hub.forget_positions();
        let links = self.hub.feeds.links();
        tracing::warn!(
            before = &*before,
            now = epoch,
            connections = links.len(),
            "the database has another epoch: clients start anew"
        );
        for link in links {
            link.outbox.close(CloseCode::GoingAway);
        }
    }

    /// To be taken before the store is read for [`Node::within`].
    pub(crate) fn history(&self) -> History {
        self.epoch.lock().clone()
    }

    /// Does this with what was read since then, unless the history is another one by now. None: it was not done.
    pub(crate) fn within<R>(&self, history: &History, work: impl FnOnce() -> R) -> Option<R> {
        // Held meanwhile: positions are forgotten after it, so that nothing gets behind that.
        let known = self.epoch.lock();
        (*known == *history).then(work)
    }

    /// Hands an event of the bus to the hub, unless it is of another history than what this node reads: then either it
    /// came late, or the node does not know of a restore yet, and asks.
    pub(crate) fn offer(self: &Arc<Self>, id: ConversationId, event: ConversationEvent) {
        let after = {
            let known = self.epoch.lock();
            let other =
                event.epoch.as_ref().zip(known.as_ref()).is_some_and(|(epoch, known)| *epoch != known.as_bytes());
            (!other).then(|| self.hub.offer(id, event))
        };
        if let Some(after) = after {
            self.after(id, after);
        } else {
            self.metrics.bus_events.with_label_values(&["other_epoch"]).inc();
            self.sweep_now.notify_one();
        }
    }
}

/// The store has less of something than was delivered here before it was asked: these followed it.
pub(crate) fn without_what_is_lost(of: &str, links: &[Arc<Link>]) {
    if links.is_empty() {
        return;
    }
    tracing::warn!(
        of,
        connections = links.len(),
        "the store has less than was delivered: clients start anew. If it was restored, `starling admin new-epoch` \
         makes sure that nobody believes what is lost"
    );
    for link in links {
        link.outbox.close(CloseCode::GoingAway);
    }
}
