//! What came of it all.

use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use super::{
    Book, Counts, Fault, Ledger,
    order::{Diverged, Expected},
};

/// The proof in numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Messages that were due, whether a device took them or not.
    pub sent: u64,
    /// Of them, those that no device ever said: it was not connected when they were due, nor later.
    #[serde(default)]
    pub unsent: u64,
    /// Of them, those that the server said are stored.
    pub acknowledged: u64,
    /// Of those that were said, those of which nobody knows: refused for good, or never answered, however often they
    /// were repeated.
    pub unknown: u64,
    /// Deliveries that there should have been: of acknowledged messages, and of those that came to anybody, to
    /// everybody who takes part.
    pub expected: u64,
    /// Deliveries that there were, each once; of unacknowledged messages too.
    pub delivered: u64,
    /// Repetitions at or below a cursor, which the protocol allows.
    pub repeated: u64,
    /// Everything that was wrong.
    pub faults: Counts,
    /// The same, by what was done to the cluster.
    pub by_event: Vec<EventFaults>,
    /// The first few in words.
    pub told: Vec<String>,
}

/// Faults from one event until the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventFaults {
    /// What was done.
    pub event: String,
    /// What was wrong.
    pub faults: Counts,
}

impl Verdict {
    /// Messages were sent, and nothing that came of them could be checked: that nothing was wrong says nothing.
    pub fn proves_nothing(&self) -> bool {
        self.sent > 0 && (self.acknowledged == 0 || self.expected == 0)
    }
}

impl Ledger {
    /// What is true now; "lost" means for good only when nothing is under way any more.
    pub(crate) fn verdict(&self) -> Verdict {
        let (mut chapters, mut told) = self.book.chapters();
        let mut expected = 0;
        for room in self.rooms() {
            for Diverged { seq, chapter, count } in room.diverged() {
                if let Some(chapter) = chapters.get_mut(chapter as usize) {
                    chapter.counts.add(Fault::Diverged, count);
                }
                if !Book::told_enough(&told) {
                    told.push(format!(
                        "diverged: {count} were told another message than the right one at {seq} of {}",
                        room.id
                    ));
                }
            }
            let all = room.expected();
            for member in room.members() {
                let (wanted, missing) = member.missing(room.id, &all);
                expected += wanted;
                for Expected { key, seq, chapter, .. } in missing {
                    if let Some(chapter) = chapters.get_mut(*chapter as usize) {
                        chapter.counts.add(Fault::Lost, 1);
                    }
                    if !Book::told_enough(&told) {
                        told.push(format!("lost: {key}, {seq} of {}, for person {}", room.id, member.person));
                    }
                }
            }
        }
        let mut faults = Counts::default();
        for chapter in &chapters {
            faults.sum(&chapter.counts);
        }
        let (sent, said) = (self.sent.load(Relaxed), self.said.load(Relaxed));
        let acknowledged = self.acknowledged.load(Relaxed);
        let by_event = chapters.into_iter().map(|chapter| EventFaults { event: chapter.event, faults: chapter.counts });
        Verdict {
            sent,
            unsent: sent.saturating_sub(said),
            acknowledged,
            unknown: said.saturating_sub(acknowledged),
            expected,
            delivered: self.delivered.load(Relaxed),
            repeated: self.repeated.load(Relaxed),
            faults,
            by_event: by_event.collect(),
            told,
        }
    }

    /// Sent, acknowledged, delivered and wrong so far.
    pub(crate) fn so_far(&self) -> [u64; 4] {
        let of = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
        [of(&self.sent), of(&self.acknowledged), of(&self.delivered), self.book.total()]
    }
}
