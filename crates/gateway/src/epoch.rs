//! The database's epoch as this node knows it: another one means that a backup was restored, so that what was delivered
//! here may be of a future that is lost.
//!
//! Promise: as soon as anything that this node reads tells of another epoch, every position that it holds is forgotten
//! and every connection is closed with 4000. Clients come back with the old epoch, and are told to fetch everything
//! (`resync_required`, `epoch_changed`). Nothing here decides when the epoch changes: `starling admin new-epoch` does.

use std::sync::Arc;

use protocol::CloseCode;

use crate::node::Node;

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
}
