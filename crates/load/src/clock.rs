//! One clock for a run: microseconds since 1970 that never jump, so that a sender's and a receiver's times compare.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that was set once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    unix: u64,
}

impl Clock {
    /// Set now.
    pub(crate) fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), unix: unix.as_micros() as u64 }
    }

    /// Now, in microseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// That moment.
    pub(crate) fn at(&self, moment: Instant) -> u64 {
        self.unix + moment.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Seconds since it was set.
    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Since it was set.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
