//! Tells an operator of an outage in one line, and of its end in another, however much fails meanwhile and however many
//! parts of a node meet it.
//!
//! Says only when there is something to tell; what is told, and what is counted, is its owner's.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether something works, as everybody who tries it tells.
#[derive(Debug)]
pub struct Outage {
    /// It is over when something worked and nothing has failed for so long: what fails here and works there is one
    /// outage, not many.
    quiet: Duration,
    /// For who succeeds, which is nearly always: no lock.
    under_way: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<Instant>,
}

impl Outage {
    /// None is under way.
    pub fn new(quiet: Duration) -> Self {
        Self { quiet, under_way: AtomicBool::new(false), failures: Mutex::default() }
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Acquire)
    }

    /// Something failed. True when that is news: the caller tells it.
    pub fn failed(&self) -> bool {
        let mut failures = self.failures.lock();
        failures.count += 1;
        failures.last = Some(Instant::now());
        !self.under_way.swap(true, Ordering::AcqRel)
    }

    /// Something worked. How many failures there were when that ends an outage: the caller tells it.
    pub fn worked(&self) -> Option<u64> {
        if !self.under_way.load(Ordering::Acquire) {
            return None;
        }
        let mut failures = self.failures.lock();
        if failures.last.is_some_and(|last| last.elapsed() < self.quiet) || !self.under_way.load(Ordering::Acquire) {
            return None;
        }
        self.under_way.store(false, Ordering::Release);
        Some(std::mem::take(&mut failures.count))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn its_beginning_and_its_end_are_told_once_whatever_happens_in_between() {
        let outage = Outage::new(Duration::from_secs(1));
        assert_eq!(outage.worked(), None);
        assert!(outage.failed());
        for _ in 0..10 {
            // Some of it works: that is not the end.
            advance(Duration::from_millis(900)).await;
            assert_eq!(outage.worked(), None);
            assert!(!outage.failed());
        }
        advance(Duration::from_secs(1)).await;
        assert_eq!(outage.worked(), Some(11));
        assert_eq!(outage.worked(), None);
        assert!(outage.failed(), "the next one is news again");
    }
}
