//! The proof: what was sent, what was acknowledged, and what every single receiver got of it.
//!
//! Promises that each fault is counted as often as it happened, and under what was done to the cluster when it
//! happened. A message that was delivered and never acknowledged is none: its answer may have been lost.

mod book;
mod order;
mod room;
mod seen;
mod track;
mod verdict;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use protocol::{ConversationId, Seq};

use self::order::{Noted, Placed};
pub use self::{
    book::Counts,
    verdict::{EventFaults, Verdict},
};
pub(crate) use self::{
    book::{Book, Fault},
    order::Key,
    room::Room,
    track::{Receiver, Took},
};
use crate::content::{Parsed, Stamp, run_number};

/// All of a run's conversations and what came of their messages.
#[derive(Debug)]
pub(crate) struct Ledger {
    run: u32,
    rooms: Mutex<Vec<Arc<Room>>>,
    /// Messages that were due.
    sent: AtomicU64,
    /// Of them, those that a device took.
    said: AtomicU64,
    acknowledged: AtomicU64,
    delivered: AtomicU64,
    repeated: AtomicU64,
    /// Faults as they are found.
    pub(crate) book: Book,
}

/// What a message that came turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// For the first time here: when it was sent.
    New(Stamp),
    /// Again after a resume, or from before: nothing to count.
    Known,
    /// A fault, which is in the book.
    Wrong,
}

impl Ledger {
    /// Of the run with this mark, which no other process has.
    pub(crate) fn new(run: &str) -> Self {
        Self {
            run: run_number(run),
            rooms: Mutex::default(),
            sent: AtomicU64::new(0),
            said: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            book: Book::default(),
        }
    }

    /// A conversation of the run, whose last place is this.
    pub(crate) fn room(&self, id: ConversationId, born: Seq) -> Arc<Room> {
        let mut rooms = self.rooms.lock();
        let room = Arc::new(Room::new(id, rooms.len() as u32, born));
        rooms.push(Arc::clone(&room));
        room
    }

    /// All of them.
    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.lock().clone()
    }

    /// A message is due, whether anybody takes it or not.
    pub(crate) fn due(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// A message is about to be said: its stamp.
    pub(crate) fn said(&self, room: &Room, key: Key, sent: u64) -> Stamp {
        self.said.fetch_add(1, Relaxed);
        Stamp { run: self.run, room: room.index, sender: key.sender, number: key.number, sent }
    }

    /// The server says that it is stored at this place. True the first time.
    pub(crate) fn acknowledged(&self, room: &Room, key: Key, seq: Seq) -> bool {
        match room.acknowledge(key, seq, self.book.current()) {
            Noted::New => {}
            Noted::Known => return false,
            Noted::Moved(other) => {
                self.book
                    .fault(Fault::Doubled, || format!("{key} of {} was acknowledged at {other} and at {seq}", room.id));
                return false;
            }
            Noted::Taken(other) => {
                self.book.fault(Fault::Diverged, || {
                    format!("{seq} of {} was acknowledged to {other} and to {key}", room.id)
                });
            }
        }
        self.acknowledged.fetch_add(1, Relaxed);
        true
    }

    /// A text came to this receiver. `paged`: in a page that the receiver asked for, which may repeat what it has.
    pub(crate) fn came(&self, to: &Receiver, id: ConversationId, seq: Seq, content: &str, paged: bool) -> Came {
        let parsed = Stamp::parse(content);
        let who = to.person;
        let Some(room) = to.room(id) else {
            // A user of `--tokens` may have conversations of their own: what nobody here wrote there is not ours to
            // judge.
            if parsed == Parsed::Foreign {
                return Came::Known;
            }
            return self.wrong(Fault::Misrouted, || format!("person {who} got {seq} of {id}, which is not theirs"));
        };
        // Before its place is taken: what belongs elsewhere says nothing of what is at that place here.
        if let Parsed::Whole(Stamp { run, room: index, sender, number, .. }) = parsed
            && run == self.run
            && index != room.index
        {
            let key = Key { sender, number };
            return self.wrong(Fault::Misrouted, || {
                format!("person {who} got {key} as {seq} of {id}, and it was sent to another conversation")
            });
        }
        let took = to.take(id, seq, paged);
        match took {
            // From before this run's part in the conversation; or left just now.
            Took::Before | Took::NotMine => return Came::Known,
            Took::TooFar => {
                return self
                    .wrong(Fault::Misrouted, || format!("person {who} got {seq} of {id}, far above its places"));
            }
            Took::Repeated => {
                self.repeated.fetch_add(1, Relaxed);
                return Came::Known;
            }
            Took::Doubled => {
                return self.wrong(Fault::Doubled, || format!("person {who} got {seq} of {id} twice"));
            }
            Took::Fresh { .. } => {}
        }
        let stamp = match parsed {
            Parsed::Whole(stamp) if stamp.run == self.run => stamp,
            Parsed::Whole(_) => {
                return self.wrong(Fault::Misrouted, || {
                    format!("person {who} got {seq} of {id}, which nobody in this run wrote")
                });
            }
            // In a conversation of the run nobody else writes: it was one of ours, and has lost its mark.
            Parsed::Corrupt | Parsed::Foreign => {
                return self.wrong(Fault::Corrupt, || format!("{seq} of {id} came to person {who} with another text"));
            }
        };
        let key = Key { sender: stamp.sender, number: stamp.number };
        match room.place(key, seq, self.book.current()) {
            Placed::Again(other) if to.has(id, other) => {
                return self
                    .wrong(Fault::Doubled, || format!("person {who} got {key} of {id} at {other} and again at {seq}"));
            }
            Placed::Fits | Placed::Again(_) => {}
            // Counted by the verdict, which knows what everybody was told.
            Placed::Conflict(other) => {
                self.book.tell(|| format!("diverged: person {who} got {key} at {seq} of {id}, somebody else {other}"));
                return Came::Wrong;
            }
        }
        if let Took::Fresh { after: Some(later) } = took {
            self.book.fault(Fault::Reordered, || format!("person {who} got {seq} of {id} after {later}"));
        }
        self.delivered.fetch_add(1, Relaxed);
        Came::New(stamp)
    }

    /// A frame names another conversation or place than the message in it: it is right at neither.
    pub(crate) fn contradicted(&self, to: &Receiver, id: ConversationId, seq: Seq) {
        let who = to.person;
        self.wrong(Fault::Misrouted, || {
            format!("person {who} got a frame of {id} with a message of elsewhere ({seq})")
        });
    }

    fn wrong(&self, fault: Fault, what: impl FnOnce() -> String) -> Came {
        self.book.fault(fault, what);
        Came::Wrong
    }
}

#[cfg(test)]
mod tests;
