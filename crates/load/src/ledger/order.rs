//! The order of one conversation: which message is at which place, as its receivers and its senders were told.
//!
//! What was acknowledged at a place is right there. Where nothing was, what most receivers were told is.

use std::{collections::HashMap, fmt};

use protocol::Seq;

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
pub(super) enum Placed {
    /// Well.
    Fits,
    /// It is known at another place too, and nobody was told otherwise of that one.
    Again(Seq),
    /// Another message is known at the place: who is right is found at the end.
    Conflict(Key),
}

/// How an acknowledgement fits the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// Well.
    New,
    /// The same was said before.
    Known,
    /// It was acknowledged at another place before.
    Moved(Seq),
    /// The place was acknowledged to another message before.
    Taken(Key),
}

/// A message that every receiver should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) key: Key,
    pub(super) seq: Seq,
    /// Whoever has the place has the message. False: nobody was told it at any place.
    pub(super) there: bool,
    /// Chapter (of the book of faults) of its acknowledgement, or of its first delivery.
    pub(super) chapter: u32,
}

/// Deliveries of another message than the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Diverged {
    pub(super) seq: Seq,
    pub(super) chapter: u32,
    pub(super) count: u64,
}

/// What was told first at a place.
#[derive(Debug, Clone, Copy)]
struct First {
    key: Key,
    /// How many receivers were told the same.
    agreed: u64,
    chapter: u32,
}

#[derive(Debug, Default)]
pub(super) struct Order {
    at: HashMap<Seq, First>,
    places: HashMap<Key, Seq>,
    /// Place and chapter of what was acknowledged. By message: one place that is given to two would hide the first.
    acknowledged: HashMap<Key, (Seq, u32)>,
    /// To which message a place was acknowledged first.
    claims: HashMap<Seq, Key>,
    /// What receivers were told at a place where another was told first, and the chapter.
    conflicts: HashMap<Seq, Vec<(Key, u32)>>,
}

impl Order {
    /// A message was delivered at this place.
    pub(super) fn place(&mut self, key: Key, seq: Seq, chapter: u32) -> Placed {
        if let Some(first) = self.at.get_mut(&seq) {
            if first.key == key {
                first.agreed += 1;
                return self.again(key, seq);
            }
            let known = first.key;
            self.conflicts.entry(seq).or_default().push((key, chapter));
            return Placed::Conflict(known);
        }
        self.at.insert(seq, First { key, agreed: 1, chapter });
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

    /// A message was acknowledged at this place.
    pub(super) fn acknowledge(&mut self, key: Key, seq: Seq, chapter: u32) -> Noted {
        if let Some((known, _)) = self.acknowledged.get(&key) {
            return if *known == seq { Noted::Known } else { Noted::Moved(*known) };
        }
        self.acknowledged.insert(key, (seq, chapter));
        let claim = *self.claims.entry(seq).or_insert(key);
        if claim == key { Noted::New } else { Noted::Taken(claim) }
    }

    /// Deliveries of another message than the right one: what was acknowledged at the place, else what most were told.
    pub(super) fn diverged(&self) -> Vec<Diverged> {
        let mut found = Vec::new();
        for (seq, first) in &self.at {
            let others = self.conflicts.get(seq).map(Vec::as_slice).unwrap_or_default();
            let right = self.claims.get(seq).copied().unwrap_or_else(|| most(first, others));
            let mut wrong = |chapter, count| found.push(Diverged { seq: *seq, chapter, count });
            if first.key != right {
                wrong(first.chapter, first.agreed);
            }
            others.iter().filter(|(key, _)| *key != right).for_each(|(_, chapter)| wrong(*chapter, 1));
        }
        found.sort_unstable_by_key(|diverged| (diverged.seq, diverged.chapter));
        found
    }

    /// What every receiver should have, in order: all that was acknowledged, and what was delivered to anybody. The
    /// answer to a message may be lost; what one receiver has of it, the others must have too.
    pub(super) fn expected(&self) -> Vec<Expected> {
        let mut all: Vec<_> =
            self.acknowledged.iter().map(|(key, (seq, chapter))| self.due(*key, *seq, *chapter)).collect();
        for (seq, first) in &self.at {
            // Elsewhere too it is doubled, and at a place of another one it is diverged.
            let own = self.places.get(&first.key) == Some(seq) && !self.claims.contains_key(seq);
            if own && !self.acknowledged.contains_key(&first.key) {
                all.push(Expected { key: first.key, seq: *seq, there: true, chapter: first.chapter });
            }
        }
        all.sort_unstable_by_key(|expected| (expected.seq, expected.key.sender, expected.key.number));
        all
    }

    fn due(&self, key: Key, seq: Seq, chapter: u32) -> Expected {
        // A receiver that has the place has the message, or another, which is diverged. Where the place is another's by
        // an earlier acknowledgement, it counts where it was delivered.
        if self.claims.get(&seq) == Some(&key) {
            return Expected { key, seq, there: true, chapter };
        }
        match self.places.get(&key) {
            Some(place) => Expected { key, seq: *place, there: true, chapter },
            None => Expected { key, seq, there: false, chapter },
        }
    }
}

/// What most receivers were told.
fn most(first: &First, others: &[(Key, u32)]) -> Key {
    let mut tally = HashMap::from([(first.key, first.agreed)]);
    for (key, _) in others {
        *tally.entry(*key).or_default() += 1;
    }
    tally.into_iter().max_by_key(|(_, count)| *count).map_or(first.key, |(key, _)| key)
}
