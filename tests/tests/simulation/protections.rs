//! Each protection off: the simulation must notice, or it would not notice if the protection broke.

use chat::Protections;
use starling_tests::{
    audit::Kind,
    sim::{Plan, run},
};

use crate::seeds::number;

/// Within so many seeds it must be noticed.
const MOST: u64 = 300;

/// What is broken without each protection; one of these must be found.
const BREAKS: [(&str, &[Kind]); 7] = [
    ("gap_fill", &[Kind::Gap, Kind::Reordered, Kind::Missing]),
    ("head_sweep", &[Kind::Stale, Kind::Missing, Kind::FeedNotWhole]),
    ("dedupe", &[Kind::Doubled]),
    ("idempotency", &[Kind::Doubled]),
    ("subscribe_first", &[Kind::Gap, Kind::Missing, Kind::Stale]),
    ("membership", &[Kind::Leaked]),
    ("lease_end", &[Kind::GhostPresence]),
];

/// How many seeds from this one on it took to notice.
fn noticed(name: &str, kinds: &[Kind], from: u64) -> Option<u64> {
    let without = Protections::without(name).unwrap();
    (0..MOST).find(|more| {
        let outcome = run(&Plan::draw(from + more).with_protections(without)).unwrap();
        outcome.violations.iter().any(|violation| kinds.contains(&violation.kind))
    })
}

#[test]
fn a_protection_that_is_off_is_noticed() {
    assert_eq!(BREAKS.map(|(name, _)| name), Protections::NAMES);
    let rounds = number("ROUNDS", 1);
    for (name, kinds) in BREAKS {
        let mut took: Vec<_> = (0..rounds)
            .map(|round| {
                let took = noticed(name, kinds, 1 + round * 1_000);
                1 + took.unwrap_or_else(|| panic!("nothing of {kinds:?} was found in {MOST} seeds without {name}"))
            })
            .collect();
        took.sort_unstable();
        eprintln!("{name}: noticed after {} seeds (median of {rounds}), {took:?}", took[took.len() / 2]);
    }
}
