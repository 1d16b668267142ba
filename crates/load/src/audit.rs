//! Checks every delivery: each receiver must get each acknowledged message once, in one dense order.

use std::collections::HashSet;

use protocol::{MessageId, Seq};
use serde::Serialize;

/// What was wrong; all 0 when nothing was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Acknowledged, but not received.
    pub lost: u64,
    /// Received again.
    pub doubled: u64,
    /// Received after a later one.
    pub reordered: u64,
}

impl Findings {
    /// Nothing was wrong.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another receiver's.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

/// What one receiver saw of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ids: HashSet<MessageId>,
    last: Seq,
    doubled: u64,
    reordered: u64,
}

impl Seen {
    /// A message came.
    pub(crate) fn message(&mut self, id: MessageId, seq: Seq) {
        if !self.ids.insert(id) {
            self.doubled += 1;
        } else if seq <= self.last {
            self.reordered += 1;
        }
        self.last = self.last.max(seq);
    }

    /// How many came.
    pub(crate) fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The verdict, given how many were sent.
    pub(crate) fn findings(&self, sent: u64) -> Findings {
        Findings { lost: sent.saturating_sub(self.count()), doubled: self.doubled, reordered: self.reordered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_fault_is_found_as_often_as_it_happened() {
        let ids: Vec<_> = (0..4).map(|_| MessageId::generate()).collect();
        let mut seen = Seen::default();
        seen.message(ids[0], 1);
        seen.message(ids[2], 3);
        seen.message(ids[1], 2);
        seen.message(ids[2], 3);
        assert_eq!(seen.findings(4), Findings { lost: 1, doubled: 1, reordered: 1 });
    }
}
