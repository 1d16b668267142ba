//! The auditor: compares what clients did and saw with what the store says afterwards.
//!
//! A pure function of a [`Log`] and the [`Truth`] read through `dyn Store`, so that the simulation and real processes
//! are judged by the same rules. It promises a [`Violation`] of the right [`Kind`] for each broken promise of
//! `docs/RELIABILITY.md`, and none for what is allowed. Where a log cannot tell (an edit whose answer was lost), it
//! holds its peace: it never guesses.

mod acknowledged;
mod back;
mod connections;
mod feeds;
mod lists;
mod log;
mod markers;
mod own;
mod presence;
mod registers;
mod restored;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod timeline;
mod truth;
mod views;
mod violation;
mod watchers;

use anyhow::Result;
use store::Store;

pub use self::{
    log::{Act, Deed, DeviceLog, Entry, Happened, Log, Looked, Outcome, PresenceSeen, Roll, token},
    own::{Own, OwnAct, OwnDeed, Restored, SignedIn},
    truth::{History, Theirs, Truth},
    violation::{Kind, Violation, summary},
};

/// Reads the truth and judges. Errors are the store's alone.
pub async fn audit(log: &Log, store: &dyn Store) -> Result<Vec<Violation>> {
    Ok(judge(log, &Truth::read(log, store).await?))
}

/// Judges: all violations, the first of each thing first.
pub fn judge(log: &Log, truth: &Truth) -> Vec<Violation> {
    let log = &*restored::without_the_lost(log);
    let mut found = Vec::new();
    truth::check(truth, &mut found);
    acknowledged::check(log, truth, &mut found);
    registers::check(log, truth, &mut found);
    back::check(log, &mut found);
    connections::check(log, truth, &mut found);
    settings::check(log, truth, &mut found);
    // After those who tell more of what a client finds wrong too.
    views::check(log, truth, &mut found);
    markers::check(log, truth, &mut found);
    feeds::check(log, truth, &mut found);
    presence::check(log, &mut found);
    sessions::check(log, &mut found);
    restored::check(log, &mut found);
    watchers::check(log, &mut found);
    lists::check(log, &mut found);
    // Each timeline is a walk through the whole log; nobody reads more of them.
    for violation in found.iter_mut().take(8) {
        violation.timeline = timeline::of(log, truth, violation);
    }
    found
}
