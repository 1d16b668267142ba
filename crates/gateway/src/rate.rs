//! How many commands a connection may send: a token bucket (GCRA form, one number of state).
//!
//! Source: the generic cell rate algorithm, ITU-T I.371 annex A.

use std::time::Duration;

use tokio::time::Instant;

/// Refusals within [`WINDOW`] that end a connection.
const REFUSALS_MAX: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(10);

/// One connection's allowance.
pub(crate) struct Rate {
    /// Between two commands at the sustained rate; none: unlimited.
    interval: Option<Duration>,
    burst: Duration,
    /// When the bucket will be empty of debt ("theoretical arrival time").
    due: Instant,
    refusals: u32,
    refusals_since: Instant,
}

/// A command that came too early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooFast {
    /// Try again after this.
    Wait(Duration),
    /// It does not listen: end it.
    Hopeless,
}

impl Rate {
    /// `rate` per second sustained, `burst` at once; either 0: unlimited.
    pub(crate) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let interval = (rate != 0 && burst != 0).then(|| Duration::from_secs(1) / rate);
        let burst = interval.unwrap_or_default() * burst.saturating_sub(1);
        Self { interval, burst, due: now, refusals: 0, refusals_since: now }
    }

    /// Takes one command.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), TooFast> {
        let Some(interval) = self.interval else { return Ok(()) };
        let due = self.due.max(now);
        let ahead = due - now;
        if ahead <= self.burst {
            self.due = due + interval;
            return Ok(());
        }
        if now - self.refusals_since > WINDOW {
            (self.refusals, self.refusals_since) = (0, now);
        }
        self.refusals += 1;
        let wait = ahead.saturating_sub(self.burst);
        if self.refusals > REFUSALS_MAX { Err(TooFast::Hopeless) } else { Err(TooFast::Wait(wait)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_sustained_rate_holds() {
        let start = Instant::now();
        let mut rate = Rate::new(20, 60, start);
        for _ in 0..60 {
            assert_eq!(rate.take(start), Ok(()));
        }
        assert_eq!(rate.take(start), Err(TooFast::Wait(Duration::from_millis(50))));
        let later = start + Duration::from_millis(50);
        assert_eq!(rate.take(later), Ok(()));
        assert!(rate.take(later).is_err());
    }

    #[test]
    fn only_a_thousand_refusals_within_ten_seconds_are_hopeless() {
        let start = Instant::now();
        let mut rate = Rate::new(1, 1, start);
        assert_eq!(rate.take(start), Ok(()));
        for _ in 0..1_000 {
            assert!(matches!(rate.take(start), Err(TooFast::Wait(_))));
        }
        assert_eq!(rate.take(start), Err(TooFast::Hopeless));
        let mut unlimited = Rate::new(0, 60, start);
        assert!((0..100_000).all(|_| unlimited.take(start).is_ok()));
    }
}
