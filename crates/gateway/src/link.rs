//! The part of a connection that others reach: the hub puts frames into its outbox, the drain closes it.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use chat::{Caller, Map};
use parking_lot::Mutex;
use protocol::{ConnectionId, ConversationId, OrgId, UserId, UserSeq};

use tokio::time::Instant;

use crate::{marks::Mark, outbox::Outbox};

/// Cursor of a connection that is still starting: it gets no feed events and announcements from the hub.
const STARTING: UserSeq = UserSeq::MAX;

/// One authenticated connection.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) caller: Arc<Caller>,
    pub(crate) outbox: Outbox,
    pub(crate) opened: Instant,
    /// Conversations it is attached to in the hub: what to take back when it ends. Changed only together with
    /// the hub's own entry, by `follow`.
    pub(crate) following: Mutex<Following<ConversationId>>,
    /// Users whose presence it watches. Changed only together with the node's own map, by `presence`.
    pub(crate) watching: Mutex<Following<UserId>>,
    feed_cursor: AtomicU64,
    /// The org's announcements up to here were put into its outbox.
    announced: AtomicU64,
    /// How far the id of its stream may stand; none for connections that name their cursors themselves.
    pub(crate) mark: Option<Mark>,
    /// When its token ends; `auth.renew` moves it.
    pub(crate) expires_at: Mutex<Instant>,
    /// A renewal is under way.
    pub(crate) renewing: AtomicBool,
    /// Commands under way, without markers.
    in_flight: AtomicUsize,
    /// Markers under way.
    markers: AtomicUsize,
    /// Bytes of live events that wait for it while it reads the store, in all its conversations.
    held: AtomicUsize,
    /// How often it was attached to a conversation.
    attachments: AtomicU64,
    /// It was asked to fetch what a hole was skipped over.
    skipped: AtomicBool,
    /// What it was asked to fetch, for any reason.
    fetches: Mutex<Fetches>,
    /// The trace in which the client asked for it, if it said.
    pub(crate) opened_in: Option<Box<traces::Context>>,
    /// Held by the one command that reads a lot: a connection never has several large answers in memory.
    pub(crate) reads: tokio::sync::Mutex<()>,
}

/// The conversations that one connection follows, or the users whom it watches.
pub(crate) struct Following<K> {
    /// Each with whether a reference of the bus is held for it.
    ids: Map<K, bool>,
    ended: bool,
}

impl<K> Default for Following<K> {
    fn default() -> Self {
        Self { ids: Map::default(), ended: false }
    }
}

impl<K: Copy + Eq + Hash> Following<K> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether this is one of them.
    pub(crate) fn contains(&self, id: K) -> bool {
        self.ids.contains_key(&id)
    }

    /// Adds one: whether it was there already; none when the connection has ended.
    pub(crate) fn insert(&mut self, id: K) -> Option<bool> {
        if self.ended {
            return None;
        }
        let known = self.ids.contains_key(&id);
        self.ids.entry(id).or_insert(false);
        Some(known)
    }

    /// The bus holds a reference for this one now. False when it is not wanted (any more), or was there already: the
    /// caller gives it back.
    pub(crate) fn hold_reference(&mut self, id: K) -> bool {
        self.ids.get_mut(&id).is_some_and(|held| !std::mem::replace(held, true))
    }

    /// Takes one out; true when the caller is to give its reference back to the bus.
    pub(crate) fn remove(&mut self, id: K) -> bool {
        self.ids.remove(&id).unwrap_or(false)
    }

    /// All of them.
    pub(crate) fn ids(&self) -> Vec<K> {
        self.ids.keys().copied().collect()
    }

    /// Nothing can be added from now on. What was there.
    pub(crate) fn end(&mut self) -> Vec<K> {
        self.ended = true;
        self.ids()
    }
}

/// What a client was asked to fetch (`resync_required`), as far as that is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetches {
    all: bool,
    of: Vec<ConversationId>,
}

/// Of more it is remembered as if it had been of all.
const FETCHES: usize = 64;

impl Fetches {
    fn note(&mut self, id: Option<ConversationId>) {
        match id {
            Some(id) if self.of.len() < FETCHES => self.of.push(id),
            _ => self.all = true,
        }
    }

    /// Whether this conversation was among them.
    pub(crate) fn has(&self, id: ConversationId) -> bool {
        self.all || self.of.contains(&id)
    }
}

impl Link {
    pub(crate) fn new(id: ConnectionId, caller: Arc<Caller>, outbox: Outbox, expires_at: Instant) -> Self {
        Self {
            id,
            caller,
            outbox,
            opened: Instant::now(),
            following: Mutex::default(),
            watching: Mutex::default(),
            feed_cursor: AtomicU64::new(STARTING),
            announced: AtomicU64::new(STARTING),
            mark: None,
            expires_at: Mutex::new(expires_at),
            renewing: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            markers: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            attachments: AtomicU64::new(0),
            skipped: AtomicBool::new(false),
            fetches: Mutex::default(),
            opened_in: None,
            reads: tokio::sync::Mutex::new(()),
        }
    }

    /// With a mark, for a transport that resumes by an id.
    pub(crate) fn marked(self) -> Self {
        Self { mark: Some(Mark::default()), ..self }
    }

    /// Asked for in this trace.
    pub(crate) fn opened_in(self, trace: Option<traces::Context>) -> Self {
        Self { opened_in: trace.map(Box::new), ..self }
    }

    /// Counts a command until the guard is dropped; a marker by itself.
    pub(crate) fn begin_command(self: &Arc<Self>, marker: bool) -> InFlight {
        let counted = InFlight { link: Arc::clone(self), marker };
        counted.counter().fetch_add(1, Ordering::AcqRel);
        counted
    }

    /// A number that no other attachment of this connection has.
    pub(crate) fn next_attachment(&self) -> u64 {
        self.attachments.fetch_add(1, Ordering::Relaxed)
    }

    /// It is about to be asked to fetch what a hole was skipped over.
    pub(crate) fn skipped(&self, id: ConversationId) {
        self.skipped.store(true, Ordering::SeqCst);
        self.asked_to_fetch(Some(id));
    }

    /// It is asked to fetch a conversation, or everything.
    pub(crate) fn asked_to_fetch(&self, id: Option<ConversationId>) {
        self.fetches.lock().note(id);
    }

    /// What it was asked to fetch.
    pub(crate) fn fetches(&self) -> Fetches {
        self.fetches.lock().clone()
    }

    /// Whether that happened, at any time.
    pub(crate) fn is_skipped(&self) -> bool {
        self.skipped.load(Ordering::SeqCst)
    }

    /// Whether so many more bytes may wait for it beside its outbox: all together no more than that may have.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        let held = self.held.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let fits = held <= self.outbox.bytes_max();
        if !fits {
            self.let_go(bytes);
        }
        fits
    }

    /// They wait no more.
    pub(crate) fn let_go(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Markers under way.
    pub(crate) fn markers(&self) -> usize {
        self.markers.load(Ordering::Acquire)
    }

    /// Commands under way, without markers.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn user(&self) -> UserId {
        self.caller.user.id
    }

    pub(crate) fn org(&self) -> OrgId {
        self.caller.user.org_id
    }

    /// Announcements above this go to it; none while it starts.
    pub(crate) fn announced(&self) -> Option<u64> {
        Some(self.announced.load(Ordering::Acquire)).filter(|cursor| *cursor != STARTING)
    }

    /// Only under the lock of the org's entry in the hub.
    pub(crate) fn set_announced(&self, cursor: u64) {
        self.announced.store(cursor, Ordering::Release);
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

/// One command under way.
pub(crate) struct InFlight {
    link: Arc<Link>,
    marker: bool,
}

impl InFlight {
    fn counter(&self) -> &AtomicUsize {
        if self.marker { &self.link.markers } else { &self.link.in_flight }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, Ordering::AcqRel);
    }
}
