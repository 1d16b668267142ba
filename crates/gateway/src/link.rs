//! The part of a connection that others reach: the hub puts frames into its outbox, the drain closes it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chat::Caller;
use parking_lot::Mutex;
use protocol::{ConnectionId, ConversationId, UserId, UserSeq};

use crate::outbox::Outbox;

/// Feed cursor of a connection that is still starting: it gets no feed events from the hub.
const STARTING: UserSeq = UserSeq::MAX;

/// One authenticated connection.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) caller: Arc<Caller>,
    pub(crate) outbox: Outbox,
    /// Conversations it is attached to in the hub: what to take back when it ends. Changed only together with
    /// the hub's own entry, by `follow`.
    pub(crate) following: Mutex<Following>,
    feed_cursor: AtomicU64,
}

/// The conversations of one connection.
#[derive(Default)]
pub(crate) struct Following {
    ids: HashSet<ConversationId>,
    ended: bool,
}

impl Following {
    /// Adds one: whether it was there already; none when the connection has ended.
    pub(crate) fn insert(&mut self, id: ConversationId) -> Option<bool> {
        if self.ended { None } else { Some(!self.ids.insert(id)) }
    }

    /// Takes one out; false when it was not there.
    pub(crate) fn remove(&mut self, id: &ConversationId) -> bool {
        self.ids.remove(id)
    }

    /// Nothing can be added from now on. What was there.
    pub(crate) fn end(&mut self) -> Vec<ConversationId> {
        self.ended = true;
        self.ids.iter().copied().collect()
    }
}

impl Link {
    pub(crate) fn new(id: ConnectionId, caller: Arc<Caller>, outbox: Outbox) -> Self {
        Self { id, caller, outbox, following: Mutex::default(), feed_cursor: AtomicU64::new(STARTING) }
    }

    pub(crate) fn user(&self) -> UserId {
        self.caller.user.id
    }

    /// Feed events above this go to it; none while it starts.
    pub(crate) fn feed_cursor(&self) -> Option<UserSeq> {
        Some(self.feed_cursor.load(Ordering::Acquire)).filter(|cursor| *cursor != STARTING)
    }

    /// Only under the lock of the user's entry in the hub.
    pub(crate) fn set_feed_cursor(&self, cursor: UserSeq) {
        self.feed_cursor.store(cursor, Ordering::Release);
    }
}
