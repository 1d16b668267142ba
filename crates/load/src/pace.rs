//! How fast is sent. Open loop: Poisson arrivals that do not wait for anybody, each with the time at which it was meant
//! to happen, so that a server which stalls is seen to stall. Closed loop: each sender waits for its answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::Semaphore,
    time::{sleep_until, timeout_at},
};

use crate::run::Run;

/// A source of chance that is the same for the same seed.
pub(crate) fn chance(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// Calls `arrive` with each intended time (of the run's clock), `rate` times per second, until `end` or the word to
/// stop.
pub(crate) async fn open(
    run: &Run,
    rate: f64,
    end: Instant,
    mut rng: SmallRng,
    mut arrive: impl FnMut(u64, &mut SmallRng),
) {
    let mut next = Instant::now();
    loop {
        // Exponential gaps: what comes from many people who know nothing of each other.
        let drawn: f64 = rng.random();
        next += Duration::from_secs_f64(-(1.0 - drawn).ln() / rate);
        if next >= end {
            return;
        }
        // Timers ring to the millisecond: what is due by then goes out at once, with its own time.
        if next > Instant::now() {
            tokio::select! {
                () = sleep_until(next.into()) => {}
                () = run.stop.cancelled() => return,
            }
        }
        if run.stop.is_cancelled() {
            return;
        }
        arrive(run.clock.at(next), &mut rng);
    }
}

/// One sender's closed loop: calls `begin` with a permit as soon as one is free, until `end`, the word to stop, or
/// until nobody takes what is begun: who was sent away for good gives each permit back at once.
pub(crate) async fn closed(
    run: &Run,
    in_flight: u32,
    end: Instant,
    mut begin: impl FnMut(u64, tokio::sync::OwnedSemaphorePermit) -> bool,
) {
    let permits = Arc::new(Semaphore::new(in_flight as usize));
    loop {
        let permit = tokio::select! {
            permit = timeout_at(end.into(), Arc::clone(&permits).acquire_owned()) => permit,
            () = run.stop.cancelled() => return,
        };
        let Ok(Ok(permit)) = permit else { return };
        if Instant::now() >= end {
            return;
        }
        if !begin(run.clock.now(), permit) {
            return;
        }
    }
}
