//! Everything that is drawn in a simulation comes from here: one seed, and a stream of its own for each part, so that
//! what one part draws does not move what another one draws.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use protocol::Timestamp;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// Where virtual time begins, Unix milliseconds: 2026-01-01.
pub(super) const BEGIN_MS: i64 = 1_767_225_600_000;

/// A stream of numbers. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Chance {
    rng: Arc<Mutex<StdRng>>,
    /// When virtual time began.
    began: Instant,
    clock: Arc<Mutex<i64>>,
}

impl Chance {
    /// The stream of this part of a seed. Inside a runtime.
    pub fn new(seed: u64, part: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, part).hash(&mut hasher);
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(hasher.finish())));
        Self { rng, began: Instant::now(), clock: Arc::default() }
    }

    /// A number of this range.
    pub fn range(&self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.rng.lock().random_range(range) }
    }

    /// An index below `len`, which is above 0.
    pub fn index(&self, len: usize) -> usize {
        self.range(0..len.max(1) as u64) as usize
    }

    /// True so many times in a thousand.
    pub fn per_mille(&self, times: u32) -> bool {
        times > 0 && self.range(0..1_000) < u64::from(times)
    }

    /// A time of this range, to the microsecond.
    pub fn time(&self, range: Range<Duration>) -> Duration {
        Duration::from_micros(self.range(range.start.as_micros() as u64..range.end.as_micros() as u64))
    }

    /// One of these.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.index(of.len())) }
    }

    /// Moves this part's wall clock away from virtual time, by so many milliseconds.
    pub fn step_clock(&self, by_ms: i64) {
        *self.clock.lock() += by_ms;
    }

    fn unix_ms(&self) -> i64 {
        BEGIN_MS + self.began.elapsed().as_millis() as i64 + *self.clock.lock()
    }
}

impl chat::Chance for Chance {
    fn id(&self) -> Uuid {
        let mut random = [0; 10];
        self.rng.lock().fill_bytes(&mut random);
        Builder::from_unix_timestamp_millis(self.unix_ms() as u64, &random).into_uuid()
    }

    fn below(&self, bound: u64) -> u64 {
        self.range(0..bound.max(1))
    }
}

impl chat::Clock for Chance {
    fn now(&self) -> Timestamp {
        // In range: virtual time ends minutes after it began.
        Timestamp::from_unix_millis(self.unix_ms()).unwrap_or_else(|| time::OffsetDateTime::UNIX_EPOCH.into())
    }
}
