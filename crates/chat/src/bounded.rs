//! A map that forgets: entries end after a fixed time, and the map never holds more than its capacity. It may forget
//! earlier: only what can be looked up again, or done twice, belongs here.

use std::{hash::Hash, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Map;

pub(super) struct Bounded<K, V> {
    /// Held for one map operation at a time, never across an await.
    entries: Mutex<Map<K, (Instant, V)>>,
    capacity: usize,
    ttl: Duration,
}

impl<K: Eq + Hash, V: Clone> Bounded<K, V> {
    pub(super) fn new(capacity: usize, ttl: Duration) -> Self {
        Self { entries: Mutex::new(Map::default()), capacity, ttl }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock();
        let (since, value) = entries.get(key)?;
        (since.elapsed() < self.ttl).then(|| value.clone())
    }

    /// Keeps a value that was true at `since`: the moment before the store was asked, so that an answer that was
    /// slow to arrive is not believed for longer.
    pub(super) fn insert(&self, key: K, value: V, since: Instant) {
        self.put(&mut self.entries.lock(), key, value, since);
    }

    /// Keeps a value if what is there still is what [`Self::get`] gave; of several who saw the same, one may.
    pub(super) fn swap(&self, key: K, seen: Option<&V>, value: V, since: Instant) -> bool
    where
        V: PartialEq,
    {
        let mut entries = self.entries.lock();
        let there = entries.get(&key).filter(|(since, _)| since.elapsed() < self.ttl).map(|(_, value)| value);
        let unchanged = there == seen;
        if unchanged {
            self.put(&mut entries, key, value, since);
        }
        unchanged
    }

    fn put(&self, entries: &mut Map<K, (Instant, V)>, key: K, value: V, since: Instant) {
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, (since, _)| since.elapsed() < self.ttl);
            if entries.len() >= self.capacity {
                // Everything is fresh: half goes, so that a full map is not swept on every insert.
                let mut keep = self.capacity / 2;
                entries.retain(|_, _| {
                    let kept = keep > 0;
                    keep = keep.saturating_sub(1);
                    kept
                });
            }
        }
        entries.insert(key, (since, value));
    }

    pub(super) fn retain(&self, keep: impl Fn(&V) -> bool) {
        self.entries.lock().retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_end_and_the_map_never_grows_past_its_capacity() {
        let life = Duration::from_mins(1);
        let map = Bounded::new(4, life);
        for n in 0..100 {
            map.insert(n, n, Instant::now());
            assert!(map.entries.lock().len() <= 4);
        }
        assert_eq!(map.get(&99), Some(99));
        let long_ago = Instant::now().checked_sub(life).expect("the machine runs for longer");
        map.insert(99, 99, long_ago);
        assert_eq!(map.get(&99), None);
        assert!(map.swap(99, None, 98, Instant::now()), "what ended is not there");
        assert!(!map.swap(99, None, 97, Instant::now()) && map.swap(99, Some(&98), 97, Instant::now()));
        map.insert(1, 1, Instant::now());
        map.retain(|value| *value != 1);
        assert_eq!(map.get(&1), None);
    }
}
