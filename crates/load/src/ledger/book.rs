//! Faults, each under the chaos event during which it was found, and the first few told in words.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// So many are told in words; all are counted.
const TOLD: usize = 20;

/// What can be wrong with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Lost,
    Doubled,
    Reordered,
    Misrouted,
    /// Found by the verdict, and where one place is acknowledged to two.
    Diverged,
    Corrupt,
}

/// How often each fault happened; all 0 when deliveries were right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Acknowledged, and not delivered to somebody who takes part.
    pub lost: u64,
    /// Delivered again on one connection, above its cursor; or stored twice.
    pub doubled: u64,
    /// Delivered after a later one.
    pub reordered: u64,
    /// Of a conversation that the receiver is not in, or of none of this run.
    pub misrouted: u64,
    /// At one place of a conversation two receivers got different messages.
    pub diverged: u64,
    /// The text is not the one that was sent.
    pub corrupt: u64,
}

impl Counts {
    /// None of any kind.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }

    /// Each with its name, in the order of reports.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("reordered", self.reordered),
            ("misrouted", self.misrouted),
            ("diverged", self.diverged),
            ("corrupt", self.corrupt),
        ]
    }

    pub(super) fn add(&mut self, fault: Fault, times: u64) {
        *match fault {
            Fault::Lost => &mut self.lost,
            Fault::Doubled => &mut self.doubled,
            Fault::Reordered => &mut self.reordered,
            Fault::Misrouted => &mut self.misrouted,
            Fault::Diverged => &mut self.diverged,
            Fault::Corrupt => &mut self.corrupt,
        } += times;
    }

    pub(super) fn sum(&mut self, other: &Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.misrouted += other.misrouted;
        self.diverged += other.diverged;
        self.corrupt += other.corrupt;
    }
}

/// What was done to the cluster, and what was found wrong from then on until the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chapter {
    pub(crate) event: String,
    pub(crate) counts: Counts,
}

/// The book of faults. Its first chapter is the time before anything was done to the cluster.
#[derive(Debug)]
pub(crate) struct Book {
    current: AtomicUsize,
    chapters: Mutex<(Vec<Chapter>, Vec<String>)>,
}

impl Default for Book {
    fn default() -> Self {
        let first = Chapter { event: "undisturbed".into(), counts: Counts::default() };
        Self { current: AtomicUsize::new(0), chapters: Mutex::new((vec![first], Vec::new())) }
    }
}

impl Book {
    /// Something is done to the cluster.
    pub(crate) fn event(&self, event: String) {
        let mut inner = self.chapters.lock();
        inner.0.push(Chapter { event, counts: Counts::default() });
        self.current.store(inner.0.len() - 1, Relaxed);
    }

    /// The chapter of now.
    pub(crate) fn current(&self) -> u32 {
        self.current.load(Relaxed) as u32
    }

    /// Something is wrong.
    pub(crate) fn fault(&self, fault: Fault, what: impl FnOnce() -> String) {
        let mut inner = self.chapters.lock();
        if inner.1.len() < TOLD {
            inner.1.push(format!("{fault:?}: {}", what()).to_lowercase());
        }
        let current = self.current.load(Relaxed);
        if let Some(chapter) = inner.0.get_mut(current) {
            chapter.counts.add(fault, 1);
        }
    }

    /// Something is wrong that is counted elsewhere.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        let told = &mut self.chapters.lock().1;
        if told.len() < TOLD {
            told.push(what());
        }
    }

    /// What was found so far, and the first few in words.
    pub(crate) fn chapters(&self) -> (Vec<Chapter>, Vec<String>) {
        self.chapters.lock().clone()
    }

    /// How many faults were found so far.
    pub(crate) fn total(&self) -> u64 {
        self.chapters.lock().0.iter().map(|chapter| chapter.counts.total()).sum()
    }

    pub(super) fn told_enough(told: &[String]) -> bool {
        told.len() >= TOLD
    }
}
