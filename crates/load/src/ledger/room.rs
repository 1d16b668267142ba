//! One conversation of a run: its order, and who receives it.

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::{ConversationId, Seq};

use super::{
    order::{Diverged, Expected, Key, Noted, Order, Placed},
    track::Receiver,
};

/// A conversation.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its id on the server.
    pub(crate) id: ConversationId,
    /// Its number in the run, which its messages carry.
    pub(crate) index: u32,
    /// Its last place when the run made (or found) it: everything of the run is above.
    pub(crate) born: Seq,
    order: Mutex<Order>,
    members: Mutex<Vec<Arc<Receiver>>>,
}

impl Room {
    pub(super) fn new(id: ConversationId, index: u32, born: Seq) -> Self {
        Self { id, index, born, order: Mutex::default(), members: Mutex::default() }
    }

    /// A message was delivered at this place.
    pub(super) fn place(&self, key: Key, seq: Seq, chapter: u32) -> Placed {
        self.order.lock().place(key, seq, chapter)
    }

    /// A message was acknowledged at this place.
    pub(super) fn acknowledge(&self, key: Key, seq: Seq, chapter: u32) -> Noted {
        self.order.lock().acknowledge(key, seq, chapter)
    }

    /// Deliveries of another message than the right one at a place.
    pub(super) fn diverged(&self) -> Vec<Diverged> {
        self.order.lock().diverged()
    }

    /// What every member should have.
    pub(super) fn expected(&self) -> Vec<Expected> {
        self.order.lock().expected()
    }

    pub(super) fn join(&self, member: Arc<Receiver>) {
        self.members.lock().push(member);
    }

    /// How many receive it.
    pub(crate) fn size(&self) -> usize {
        self.members.lock().len()
    }

    pub(super) fn members(&self) -> Vec<Arc<Receiver>> {
        self.members.lock().clone()
    }
}
