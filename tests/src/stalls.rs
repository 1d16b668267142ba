//! Moments at which this program, and most likely the whole machine, stood still.
//!
//! Machines that run tests are shared: all of one may be held up for seconds. What a test measures from outside grows by
//! that, whoever is to blame. A thread that does nothing but wake up finds such moments, so that a bound on a time can
//! leave them out instead of being so wide that it says nothing.

use std::{
    sync::{Once, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

/// Between two looks at the time.
const TICK: Duration = Duration::from_millis(10);
/// Who wakes up later than this was held up; everybody is a little late.
const HELD_UP: Duration = Duration::from_millis(100);

static FOUND: RwLock<Vec<(Instant, Instant)>> = RwLock::new(Vec::new());

/// Begins to look, unless something does already. To be called before the time that is measured.
pub fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::spawn(|| {
            let mut before = Instant::now();
            loop {
                thread::sleep(TICK);
                let now = Instant::now();
                if now - before > HELD_UP {
                    FOUND.write().unwrap_or_else(PoisonError::into_inner).push((before + TICK, now));
                }
                before = now;
            }
        });
    });
}

/// How much of this time it stood still.
pub fn within(from: Instant, to: Instant) -> Duration {
    let found = FOUND.read().unwrap_or_else(PoisonError::into_inner);
    found.iter().map(|(stood, went_on)| (*went_on).min(to).saturating_duration_since((*stood).max(from))).sum()
}

/// How much it stood still since then.
pub fn since(from: Instant) -> Duration {
    within(from, Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_within_counts() {
        // Far from what is really found meanwhile.
        let start = Instant::now() + Duration::from_secs(10_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        FOUND.write().unwrap().extend([(at(10), at(12)), (at(20), at(25))]);
        let stood =
            [(0, 9), (0, 100), (11, 21), (12, 20), (22, 23)].map(|(from, to)| within(at(from), at(to)).as_secs());
        assert_eq!(stood, [0, 7, 2, 0, 1]);
    }
}
