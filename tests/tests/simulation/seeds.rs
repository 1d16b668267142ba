//! Many seeds, none of which may break a promise.

use std::{
    env,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use starling_tests::{
    audit::summary,
    sim::{Outcome, Plan, run, shrink},
};

/// How many seeds run where nobody says how many, and from which one on. Without optimisation they take five times as
/// long: `make test` runs more of them, with it.
const SEEDS: u64 = 200;
const FROM: u64 = 1;
/// For how long at most, seconds, where nobody says `SEEDS` or `WITHIN`: a slow machine runs fewer.
const WITHIN: u64 = 120;
/// Runs that shrinking a failing plan may take.
const SHRINK: usize = 200;
/// Failing seeds that are told; further ones are only counted.
const TOLD: usize = 3;

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 1..=12 {
        let plan = Plan::draw(seed);
        let (one, two) = (run(&plan).unwrap(), run(&plan).unwrap());
        assert!(one.trace == two.trace, "seed {seed} gave two logs; {}", first_difference(&one, &two));
    }
}

fn first_difference(one: &Outcome, two: &Outcome) -> String {
    for (device, (one, two)) in one.log.devices.iter().zip(&two.log.devices).enumerate() {
        for (a, b) in one.entries.iter().zip(&two.entries) {
            if a != b {
                return format!("device {device}:\n{a:?}\n{b:?}");
            }
        }
    }
    let (one, two) = [one, two].map(|outcome| serde_json::to_string(&outcome.log).unwrap()).into();
    let same = one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count();
    let around = |text: &str| {
        let bytes = &text.as_bytes()[same.saturating_sub(400)..text.len().min(same + 200)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    format!("they differ in what was answered:\n{}\n{}", around(&one), around(&two))
}

#[test]
fn no_seed_breaks_a_promise() {
    let (from, seeds) = (number("FROM", FROM), number("SEEDS", SEEDS));
    let unbounded = env::var_os("SEEDS").is_some() && env::var_os("WITHIN").is_none();
    let most = Duration::from_secs(if unbounded { u64::MAX } else { number("WITHIN", WITHIN) });
    let (next, failed) = (AtomicU64::new(from), Mutex::new(Vec::new()));
    let (began, acts, runs) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    // Each run hands its calls of the store to a thread and waits for it: one processor has work for two.
    let workers = 2 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds || began.elapsed() > most {
                        return;
                    }
                    let outcome = run(&Plan::draw(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
                    tell_progress(runs.fetch_add(1, Ordering::Relaxed) + 1, seeds, began.elapsed());
                    acts.fetch_add(outcome.log.acts.len() as u64, Ordering::Relaxed);
                    if !outcome.violations.is_empty() {
                        failed.lock().push((seed, outcome));
                    }
                }
            });
        }
    });
    let (failed, acts, runs) = (failed.into_inner(), acts.into_inner(), runs.into_inner());
    eprintln!("{runs} seeds from {from}: {acts} acts, {} failed, {:?}", failed.len(), began.elapsed());
    if !failed.is_empty() {
        let told: Vec<_> = failed.iter().take(TOLD).map(|(seed, outcome)| tell(*seed, outcome)).collect();
        panic!("{} seeds broke a promise\n{}", failed.len(), told.join("\n"));
    }
}

fn tell_progress(done: u64, seeds: u64, time: Duration) {
    if done.is_multiple_of(10_000) {
        eprintln!("{done} of {seeds} seeds after {time:?}");
    }
}

/// The smallest plan that still fails, where it was written, and its timeline.
fn tell(seed: u64, outcome: &Outcome) -> String {
    let (plan, outcome) = shrink(&Plan::draw(seed), outcome.violations[0].kind, SHRINK).unwrap();
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../simulation");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("seed-{seed}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&plan).unwrap()).unwrap();
    let left = format!("{} steps and {} faults left", plan.steps.len(), plan.faults.len());
    format!("seed {seed}, {left}: {}\n{}", path.display(), summary(&outcome.violations))
}
