//! Latencies of a run.

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Longest latency that is told apart; longer ones count as this one. Microseconds.
const LONGEST: u64 = 120_000_000;
/// More than threads.
const SHARDS: usize = 8;

/// Histograms of microseconds, three digits exact.
#[derive(Debug)]
pub(super) struct Meter(Vec<Mutex<Histogram<u64>>>);

/// An empty one.
pub(super) fn histogram() -> Histogram<u64> {
    // Bounds and precision are constants that the crate accepts.
    Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|_| unreachable!())
}

impl Meter {
    pub(super) fn new() -> Self {
        Self(std::iter::repeat_with(|| Mutex::new(histogram())).take(SHARDS).collect())
    }

    /// It took so many microseconds; `who` spreads the work.
    pub(super) fn record(&self, who: usize, micros: u64) {
        self.0[who % SHARDS].lock().saturating_record(micros.max(1));
    }

    /// Everything.
    pub(super) fn collect(&self) -> Histogram<u64> {
        let mut all = histogram();
        for shard in &self.0 {
            // Same bounds: adding cannot fail.
            let _ = all.add(&*shard.lock());
        }
        all
    }
}
