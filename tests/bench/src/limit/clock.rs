//! One clock for a run, so that a sender's and a receiver's times compare.

use std::time::Instant;

/// Microseconds since the run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> u64 {
        self.at(Instant::now())
    }

    pub(super) fn at(self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.0).as_micros() as u64
    }
}
