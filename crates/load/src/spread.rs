//! How long a message takes from its acknowledgement to the last of its conversation's members.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::ledger::Key;

/// Of messages that have not come to everybody yet.
#[derive(Debug, Default)]
pub(crate) struct Spread(Mutex<HashMap<Key, Told>>);

#[derive(Debug, Default)]
struct Told {
    /// To so many, last then.
    heard: usize,
    last: u64,
    /// When it was acknowledged, and how many are to hear it.
    due: Option<(u64, usize)>,
}

impl Told {
    fn took(&self) -> Option<u64> {
        let (acknowledged, members) = self.due?;
        (self.heard >= members).then(|| self.last.saturating_sub(acknowledged))
    }
}

impl Spread {
    /// A member has it now (microseconds of the run): how long it took, when that was the last.
    pub(crate) fn heard(&self, key: Key, now: u64) -> Option<u64> {
        self.note(key, |told| {
            told.heard += 1;
            told.last = now;
        })
    }

    /// Its sender is told now that it is stored; so many members are to have it.
    pub(crate) fn acknowledged(&self, key: Key, members: usize, now: u64) -> Option<u64> {
        self.note(key, |told| told.due = Some((now, members)))
    }

    fn note(&self, key: Key, change: impl FnOnce(&mut Told)) -> Option<u64> {
        let mut all = self.0.lock();
        let told = all.entry(key).or_default();
        change(told);
        let took = told.took();
        if took.is_some() {
            all.remove(&key);
        }
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_time_from_the_acknowledgement_to_the_last_who_hears_in_any_order() {
        let spread = Spread::default();
        let (one, two) = (Key { sender: 1, number: 1 }, Key { sender: 1, number: 2 });
        assert_eq!(spread.heard(one, 90), None);
        assert_eq!(spread.acknowledged(one, 3, 100), None);
        assert_eq!(spread.heard(one, 130), None);
        assert_eq!(spread.heard(two, 140), None);
        assert_eq!(spread.heard(one, 170), Some(70));
        assert_eq!(spread.acknowledged(two, 1, 150), Some(0), "all had it before its sender was told");
        assert!(spread.0.lock().is_empty());
    }
}
