//! How long a message takes to the last of its conversation's members.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::ledger::Key;

/// More than threads.
const SHARDS: usize = 8;
/// Messages of a shard that have not come to everybody. Beyond it all are forgotten: some wait for who is gone.
const MOST: usize = 50_000;

/// Of messages that have not come to everybody yet.
#[derive(Debug)]
pub(crate) struct Last(Vec<Mutex<HashMap<Key, Told>>>);

#[derive(Debug, Default)]
struct Told {
    /// To so many, the last one then.
    heard: usize,
    last: u64,
    /// When it was to be sent, and how many are to hear it; known once it is acknowledged.
    due: Option<(u64, usize)>,
}

impl Told {
    fn took(&self) -> Option<u64> {
        let (intended, members) = self.due?;
        (self.heard >= members).then(|| self.last.saturating_sub(intended))
    }
}

impl Default for Last {
    fn default() -> Self {
        Self(std::iter::repeat_with(Mutex::default).take(SHARDS).collect())
    }
}

impl Last {
    /// A member has it now (microseconds of the run): how long it took, when that was the last.
    pub(crate) fn heard(&self, key: Key, now: u64) -> Option<u64> {
        self.note(key, |told| {
            told.heard += 1;
            told.last = now;
        })
    }

    /// It is stored: when it was to be sent, and how many are to have it. None where nobody listens.
    pub(crate) fn acknowledged(&self, key: Key, members: usize, intended: u64) -> Option<u64> {
        if members == 0 {
            return None;
        }
        self.note(key, |told| told.due = Some((intended, members)))
    }

    fn note(&self, key: Key, change: impl FnOnce(&mut Told)) -> Option<u64> {
        let mut all = self.0[key.sender as usize % SHARDS].lock();
        if all.len() >= MOST {
            all.clear();
        }
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
    fn it_is_the_time_to_the_last_who_hears_in_any_order() {
        let last = Last::default();
        let (one, two) = (Key { sender: 1, number: 1 }, Key { sender: 1, number: 2 });
        assert_eq!(last.heard(one, 90), None);
        assert_eq!(last.acknowledged(one, 3, 50), None);
        assert_eq!(last.heard(one, 130), None);
        assert_eq!(last.heard(two, 140), None);
        assert_eq!(last.heard(one, 170), Some(120));
        assert_eq!(last.acknowledged(two, 1, 100), Some(40), "all had it before its sender was told");
        assert_eq!(last.acknowledged(one, 0, 100), None, "nobody listens");
        assert!(last.0.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn what_never_comes_to_everybody_is_forgotten() {
        let last = Last::default();
        for number in 0..3 * MOST as u64 {
            last.heard(Key { sender: 1, number }, 1);
        }
        assert!(last.0[1].lock().len() <= MOST);
    }
}
