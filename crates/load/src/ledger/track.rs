//! What one receiver got of its conversations, and where it stands in them: the cursors that it resumes with.
//!
//! On one connection each message above the cursor that it began with comes once and in order. What comes again at or
//! below that cursor is a repetition that the protocol allows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use protocol::{ConversationId, Seq};

use super::{order::Expected, room::Room, seen::Seen};

/// Who receives: one person's one connection after the other.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Index of the person in the run.
    pub(crate) person: u32,
    tracks: Mutex<HashMap<ConversationId, Track>>,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// It was not here. `after`: a later one came before it.
    Fresh { after: Option<Seq> },
    /// It was here before this connection, or was asked for.
    Repeated,
    /// It is from before the receiver took part.
    Before,
    /// Its place is far above everything that there is.
    TooFar,
    /// It came on this connection already.
    Doubled,
    /// The conversation is not the receiver's.
    NotMine,
}

#[derive(Debug)]
struct Track {
    room: Arc<Room>,
    /// Where its part begins, once the server has told it.
    base: Option<Seq>,
    /// It was a member before it connected: the server must name the conversation in `heads`.
    member: bool,
    /// What came before the server told where its part begins.
    early: BTreeSet<Seq>,
    /// Everything up to here was told.
    cursor: Seq,
    /// Up to here what comes may be a repetition: cursor at the start of this connection, or end of a page that was
    /// asked for.
    resumed: Seq,
    /// The greatest place of this connection.
    last: Seq,
    /// Told, but above a hole.
    ahead: BTreeSet<Seq>,
    seen: Seen,
}

impl Track {
    fn begin(&mut self, base: Seq) {
        self.base = Some(base);
        (self.cursor, self.resumed, self.last) = (base, base, base);
        self.seen = Seen::above(base);
    }

    /// The server never told where its part begins: it begins here, and what came since then came.
    fn begin_untold(&mut self, base: Seq) {
        self.begin(base);
        for seq in std::mem::take(&mut self.early).split_off(&base.saturating_add(1)) {
            self.seen.insert(seq);
            self.step(seq);
        }
    }

    fn step(&mut self, seq: Seq) {
        self.last = self.last.max(seq);
        if self.cursor.checked_add(1) == Some(seq) {
            self.cursor = seq;
            while self.cursor.checked_add(1).is_some_and(|next| self.ahead.remove(&next)) {
                self.cursor += 1;
            }
        } else if seq > self.cursor {
            self.ahead.insert(seq);
        }
    }

    fn jump(&mut self, to: Seq) {
        self.last = self.last.max(to);
        if to > self.cursor {
            self.cursor = to;
            self.ahead = self.ahead.split_off(&to.saturating_add(1));
        }
    }

    fn take(&mut self, seq: Seq, paged: bool) -> Took {
        let Some(base) = self.base else {
            self.early.insert(seq);
            return Took::Before;
        };
        if seq <= base {
            return Took::Before;
        }
        if !self.seen.fits(seq) {
            return Took::TooFar;
        }
        let after = (seq <= self.last && !paged).then_some(self.last);
        let fresh = self.seen.insert(seq);
        let took = match (fresh, after) {
            (true, after) => Took::Fresh { after: after.filter(|_| seq > self.resumed) },
            (false, Some(_)) if seq > self.resumed => Took::Doubled,
            (false, _) => Took::Repeated,
        };
        if !paged {
            self.step(seq);
        }
        took
    }
}

impl Receiver {
    /// A person who receives.
    pub(crate) fn new(person: u32) -> Arc<Self> {
        Arc::new(Self { person, tracks: Mutex::default() })
    }

    /// It takes part in this conversation already, from where the server says on.
    pub(crate) fn follow(self: &Arc<Self>, room: &Arc<Room>) {
        self.track(room, true);
    }

    /// It is about to join this conversation.
    pub(crate) fn joins(self: &Arc<Self>, room: &Arc<Room>) {
        self.track(room, false);
    }

    fn track(self: &Arc<Self>, room: &Arc<Room>, member: bool) {
        let track = Track {
            room: Arc::clone(room),
            base: None,
            member,
            early: BTreeSet::new(),
            cursor: 0,
            resumed: 0,
            last: 0,
            ahead: BTreeSet::new(),
            seen: Seen::default(),
        };
        self.tracks.lock().insert(room.id, track);
        room.join(Arc::clone(self));
    }

    /// A new connection begins.
    pub(crate) fn connects(&self) {
        for track in self.tracks.lock().values_mut() {
            track.resumed = track.cursor;
            track.last = track.cursor;
        }
    }

    /// The server says that the conversation's events go on from there.
    pub(crate) fn head(&self, id: ConversationId, head: Seq) {
        if let Some(track) = self.tracks.lock().get_mut(&id) {
            match track.base {
                None => track.begin(head),
                Some(_) => track.jump(head),
            }
        }
    }

    /// Events flow: conversations that the server did not name begin where the run made them, so that what never comes
    /// of them is lost. How many there are.
    pub(crate) fn welcomed(&self) -> usize {
        let mut tracks = self.tracks.lock();
        let untold = tracks.values_mut().filter(|track| track.member && track.base.is_none());
        untold.map(|track| track.begin_untold(track.room.born)).count()
    }

    /// The server never told the connection of a conversation that it let the person join at this place.
    pub(crate) fn joined_untold(&self, id: ConversationId, at: Seq) {
        if let Some(track) = self.tracks.lock().get_mut(&id).filter(|track| track.base.is_none()) {
            track.begin_untold(at);
        }
    }

    /// A durable event that is no text.
    pub(crate) fn step(&self, id: ConversationId, seq: Seq) {
        if let Some(track) = self.tracks.lock().get_mut(&id).filter(|track| track.base.is_some()) {
            track.step(seq);
        }
    }

    /// A page moved the cursor. `asked`: what is in it may be on its way as an event too.
    pub(crate) fn page(&self, id: ConversationId, from: Seq, to: Seq, asked: bool) {
        let mut tracks = self.tracks.lock();
        if let Some(track) = tracks.get_mut(&id).filter(|track| track.base.is_some() && from <= track.cursor) {
            track.jump(to);
            if asked {
                track.resumed = track.resumed.max(to);
            }
        }
    }

    /// Where to resume from.
    pub(crate) fn cursors(&self) -> HashMap<ConversationId, Seq> {
        let tracks = self.tracks.lock();
        tracks.iter().filter(|(_, track)| track.base.is_some()).map(|(id, track)| (*id, track.cursor)).collect()
    }

    /// Where it stands in one conversation.
    pub(crate) fn cursor(&self, id: ConversationId) -> Option<Seq> {
        self.tracks.lock().get(&id).filter(|track| track.base.is_some()).map(|track| track.cursor)
    }

    pub(super) fn take(&self, id: ConversationId, seq: Seq, paged: bool) -> Took {
        self.tracks.lock().get_mut(&id).map_or(Took::NotMine, |track| track.take(seq, paged))
    }

    pub(super) fn room(&self, id: ConversationId) -> Option<Arc<Room>> {
        self.tracks.lock().get(&id).map(|track| Arc::clone(&track.room))
    }

    pub(super) fn has(&self, id: ConversationId, seq: Seq) -> bool {
        self.tracks.lock().get(&id).is_some_and(|track| track.seen.contains(seq))
    }

    /// How many of these it should have, and which of them it does not.
    pub(super) fn missing<'a>(&self, id: ConversationId, all: &'a [Expected]) -> (u64, Vec<&'a Expected>) {
        let tracks = self.tracks.lock();
        let Some((track, base)) = tracks.get(&id).and_then(|track| Some((track, track.base?))) else {
            return (0, Vec::new());
        };
        let mut count = 0;
        let expected = all.iter().filter(|expected| expected.seq > base).inspect(|_| count += 1);
        let missing = expected.filter(|expected| !(expected.there && track.seen.contains(expected.seq))).collect();
        (count, missing)
    }
}
