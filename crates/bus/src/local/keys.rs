//! Short-lived keys in memory. Time comes from tokio's clock, so that tests can pause it.
//!
//! Promises that memory is bounded by what is alive: expired keys are swept whenever the map has doubled.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

/// Below this many keys a sweep is not worth it.
const SWEEP_FROM: usize = 1_024;
/// What stands for a time too far to write down.
const A_CENTURY: Duration = Duration::from_hours(876_000);

#[derive(Default)]
pub(super) struct Keys {
    values: HashMap<String, (Bytes, Instant)>,
    sweep_at: usize,
}

impl Keys {
    pub(super) fn put(&mut self, key: &str, value: Bytes, ttl: Duration) {
        let now = Instant::now();
        if self.values.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.values.retain(|_, (_, ends)| *ends > now);
            self.sweep_at = self.values.len() * 2;
        }
        let ends = now.checked_add(ttl).unwrap_or_else(|| now + A_CENTURY);
        self.values.insert(key.to_owned(), (value, ends));
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Bytes> {
        let (value, ends) = self.values.remove(key)?;
        (ends > Instant::now()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_keys_are_gone_and_do_not_pile_up() {
        let mut keys = Keys::default();
        keys.put("kept", Bytes::from_static(b"1"), Duration::MAX);
        for n in 0..10_000 {
            keys.put(&n.to_string(), Bytes::new(), Duration::ZERO);
        }
        assert!(keys.values.len() <= SWEEP_FROM + 1, "{} keys", keys.values.len());
        assert_eq!(keys.take("9999"), None);
        assert_eq!(keys.take("kept"), Some(Bytes::from_static(b"1")));
        assert_eq!(keys.take("kept"), None);
    }
}
