//! What this node remembers of the changes that it committed: in which batch, when, and whether their events went out.
//! For an operator who asks what became of one. Bounded; what is older is forgotten, and said to be.

use std::collections::VecDeque;

use parking_lot::Mutex;
use protocol::{ConversationId, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Env;

/// What this node knows of who committed a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitsView {
    /// Of changes that were committed before this it knows no more; none: it is set to remember nothing.
    pub remembers_since: Option<Timestamp>,
    /// Each time that it committed the change, or found it committed when it was tried again, the first first.
    pub commits: Vec<CommitView>,
}

/// A change in a batch of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitView {
    /// The lane of the node's writer.
    pub lane: usize,
    /// Counts the node's batches, since its start.
    pub batch: u64,
    /// Changes in that batch.
    pub changes: usize,
    /// When it was taken.
    pub accepted_at: Timestamp,
    /// When its transaction was over.
    pub committed_at: Timestamp,
    /// What became of its event.
    pub event: EventView,
}

/// What became of the event of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum EventView {
    /// It waits for the bus.
    Waiting,
    /// The bus took it.
    Published {
        /// When.
        at: Timestamp,
    },
    /// The bus did not take it; nodes find the hole and read the store.
    Refused {
        /// When.
        at: Timestamp,
    },
    /// More waited for the bus than may; nodes find the hole and read the store.
    Dropped,
}

/// Names an entry.
pub(super) type Number = u64;

#[derive(Debug, Clone, Copy)]
enum Sent {
    Waiting,
    Published(Instant),
    Refused(Instant),
    Dropped,
}

struct Entry {
    conversation: ConversationId,
    seq: Seq,
    batch: u64,
    /// Of that batch.
    changes: u32,
    lane: u32,
    accepted: Instant,
    committed: Instant,
    sent: Sent,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The number of the oldest one.
    first: Number,
    batches: u64,
}

/// The last changes of this node.
pub(crate) struct Journal {
    // Held for an entry, or for those of one batch.
    state: Mutex<State>,
    most: usize,
    began: Instant,
}

/// A batch that was committed just now.
pub(super) struct Batch<'a> {
    journal: &'a Journal,
    number: u64,
    lane: usize,
    changes: usize,
    committed: Instant,
}

impl Journal {
    /// Remembers so many changes, 96 bytes each. It takes memory as it fills.
    pub(crate) fn remembering(most: usize) -> Self {
        Self { state: Mutex::default(), most, began: Instant::now() }
    }

    /// A batch of this lane was committed.
    pub(super) fn batch(&self, lane: usize, changes: usize) -> Batch<'_> {
        let mut state = self.state.lock();
        state.batches += 1;
        Batch { journal: self, number: state.batches, lane, changes, committed: Instant::now() }
    }

    /// The bus took these events, or did not. What is forgotten is passed over.
    pub(super) fn sent(&self, numbers: &[Number], took: bool) {
        let now = Instant::now();
        self.mark(numbers, if took { Sent::Published(now) } else { Sent::Refused(now) });
    }

    /// There was no room for this event.
    pub(super) fn dropped(&self, number: Number) {
        self.mark(&[number], Sent::Dropped);
    }

    fn mark(&self, numbers: &[Number], sent: Sent) {
        let mut state = self.state.lock();
        let first = state.first;
        for number in numbers {
            let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            if let Some(entry) = place.and_then(|place| state.entries.get_mut(place)) {
                entry.sent = sent;
            }
        }
    }

    /// What is known of a change.
    pub(crate) fn of(&self, conversation: ConversationId, seq: Seq, env: &Env) -> CommitsView {
        let (now, time) = (Instant::now(), env.now());
        let moment = |at: Instant| Timestamp::new(time.get() - now.saturating_duration_since(at));
        let state = self.state.lock();
        let oldest = state.entries.front().filter(|_| state.entries.len() >= self.most).map(|entry| entry.committed);
        let entries = state.entries.iter().filter(|entry| entry.conversation == conversation && entry.seq == seq);
        let view = |entry: &Entry| CommitView {
            lane: entry.lane as usize,
            batch: entry.batch,
            changes: entry.changes as usize,
            accepted_at: moment(entry.accepted),
            committed_at: moment(entry.committed),
            event: match entry.sent {
                Sent::Waiting => EventView::Waiting,
                Sent::Published(at) => EventView::Published { at: moment(at) },
                Sent::Refused(at) => EventView::Refused { at: moment(at) },
                Sent::Dropped => EventView::Dropped,
            },
        };
        CommitsView {
            remembers_since: Some(moment(oldest.unwrap_or(self.began))).filter(|_| self.most > 0),
            commits: entries.map(view).collect(),
        }
    }
}

impl Batch<'_> {
    /// A change of it, whose event is about to be handed to the publisher.
    pub(super) fn note(&self, conversation: ConversationId, seq: Seq, accepted: Instant) -> Number {
        let mut state = self.journal.state.lock();
        while state.entries.len() >= self.journal.most && state.entries.pop_front().is_some() {
            state.first += 1;
        }
        let number = state.first + state.entries.len() as u64;
        if self.journal.most > 0 {
            state.entries.push_back(Entry {
                conversation,
                seq,
                batch: self.number,
                changes: self.changes as u32,
                lane: self.lane as u32,
                accepted,
                committed: self.committed,
                sent: Sent::Waiting,
            });
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(journal: &Journal, id: ConversationId, seq: Seq) -> Vec<&'static str> {
        let name = |view: &CommitView| match view.event {
            EventView::Waiting => "waiting",
            EventView::Published { .. } => "published",
            EventView::Refused { .. } => "refused",
            EventView::Dropped => "dropped",
        };
        journal.of(id, seq, &Env::default()).commits.iter().map(name).collect()
    }

    #[test]
    fn an_event_is_known_by_its_number_until_it_is_forgotten() {
        let (journal, id) = (Journal::remembering(3), ConversationId::generate());
        let batch = journal.batch(1, 2);
        let numbers: Vec<_> = (1..=5).map(|seq| batch.note(id, seq, Instant::now())).collect();
        assert_eq!((sent(&journal, id, 2), sent(&journal, id, 3)), (vec![], vec!["waiting"]));
        journal.sent(&numbers[..4], true);
        journal.dropped(numbers[4]);
        assert_eq!((sent(&journal, id, 3), sent(&journal, id, 4)), (vec!["published"], vec!["published"]));
        assert_eq!(sent(&journal, id, 5), vec!["dropped"]);
        journal.sent(&numbers, false);
        assert_eq!(sent(&journal, id, 5), vec!["refused"]);
        let again = journal.batch(0, 1).note(id, 5, Instant::now());
        assert_eq!(sent(&journal, id, 5), vec!["refused", "waiting"]);
        journal.sent(&[again, again + 1], true);
        assert_eq!(sent(&journal, id, 5), vec!["refused", "published"]);
        let view = journal.of(id, 5, &Env::default());
        assert_eq!(
            view.commits.iter().map(|c| (c.lane, c.batch, c.changes)).collect::<Vec<_>>(),
            [(1, 1, 2), (0, 2, 1)]
        );
    }

    #[test]
    fn who_is_to_remember_nothing_claims_nothing() {
        let (journal, id) = (Journal::remembering(0), ConversationId::generate());
        let number = journal.batch(0, 1).note(id, 1, Instant::now());
        journal.sent(&[number], true);
        let view = journal.of(id, 1, &Env::default());
        assert!(view.commits.is_empty() && view.remembers_since.is_none());
    }
}
