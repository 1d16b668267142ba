//! One conversation of a run: which message is at which place, as its receivers and its senders were told.

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use protocol::{ConversationId, Seq};

use super::track::Receiver;

/// A message: which one of whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) sender: u32,
    pub(crate) number: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of person {}", self.number, self.sender)
    }
}

/// How a message fits what others were told of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Well.
    Fits,
    /// It is known at another place too, and nobody was told otherwise of that one.
    Again(Seq),
    /// Another message is known at the place: who is right is found at the end.
    Conflict(Key),
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its id on the server.
    pub(crate) id: ConversationId,
    /// Its number in the run, which its messages carry.
    pub(crate) index: u32,
    order: Mutex<Order>,
    members: Mutex<Vec<Arc<Receiver>>>,
}

#[derive(Debug, Default)]
struct Order {
    /// The message that was told first at a place, and how many receivers were told the same.
    at: HashMap<Seq, (Key, u64)>,
    places: HashMap<Key, Seq>,
    /// Message and chapter (of the book of faults) of what was acknowledged.
    acknowledged: HashMap<Seq, (Key, u32)>,
    /// What receivers were told at a place where another was told first, and the chapter.
    conflicts: HashMap<Seq, Vec<(Key, u32)>>,
}

impl Order {
    fn place(&mut self, key: Key, seq: Seq, chapter: u32) -> Placed {
        if let Some((known, agreed)) = self.at.get_mut(&seq) {
            if *known == key {
                *agreed += 1;
                return self.again(key, seq);
            }
            let known = *known;
            self.conflicts.entry(seq).or_default().push((key, chapter));
            return Placed::Conflict(known);
        }
        self.at.insert(seq, (key, 1));
        self.again(key, seq)
    }

    fn again(&mut self, key: Key, seq: Seq) -> Placed {
        match self.places.get(&key) {
            Some(other) if *other != seq && !self.conflicts.contains_key(other) => Placed::Again(*other),
            Some(_) => Placed::Fits,
            None => {
                self.places.insert(key, seq);
                Placed::Fits
            }
        }
    }

    /// How many receivers were told another message than the right one, by chapter. Right is what was acknowledged, else
    /// what most were told.
    fn diverged(&self) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        for (seq, others) in &self.conflicts {
            let Some((first, agreed)) = self.at.get(seq) else { continue };
            let mut tally = HashMap::from([(*first, *agreed)]);
            for (key, _) in others {
                *tally.entry(*key).or_default() += 1;
            }
            let most = tally.iter().max_by_key(|(_, count)| **count).map_or(*first, |(key, _)| *key);
            let right = self.acknowledged.get(seq).map_or(most, |(key, _)| *key);
            let wrong = tally.iter().filter(|(key, _)| **key != right).map(|(_, count)| count).sum();
            found.push((others[0].1, wrong));
        }
        found
    }
}

impl Room {
    pub(super) fn new(id: ConversationId, index: u32) -> Self {
        Self { id, index, order: Mutex::default(), members: Mutex::default() }
    }

    /// A message was delivered at this place.
    pub(super) fn place(&self, key: Key, seq: Seq, chapter: u32) -> Placed {
        self.order.lock().place(key, seq, chapter)
    }

    /// A message was acknowledged at this place. True the first time.
    pub(super) fn acknowledge(&self, key: Key, seq: Seq, chapter: u32) -> bool {
        self.order.lock().acknowledged.insert(seq, (key, chapter)).is_none()
    }

    /// Deliveries of another message than the right one at a place, by chapter.
    pub(super) fn diverged(&self) -> Vec<(u32, u64)> {
        self.order.lock().diverged()
    }

    pub(super) fn join(&self, member: Arc<Receiver>) {
        self.members.lock().push(member);
    }

    pub(super) fn members(&self) -> Vec<Arc<Receiver>> {
        self.members.lock().clone()
    }

    /// Everything that was acknowledged: place, message, chapter.
    pub(super) fn acknowledgements(&self) -> Vec<(Seq, Key, u32)> {
        let order = self.order.lock();
        let mut all: Vec<_> = order.acknowledged.iter().map(|(seq, (key, chapter))| (*seq, *key, *chapter)).collect();
        all.sort_unstable_by_key(|(seq, ..)| *seq);
        all
    }
}
