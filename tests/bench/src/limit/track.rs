//! Which numbers one member has seen.

use std::collections::BTreeSet;

/// Numbers from 1 on.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The highest number seen.
    highest: u64,
    /// Lower ones that were not seen.
    missing: BTreeSet<u64>,
}

/// What seeing a number means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is higher than all before.
    InOrder,
    /// It was missing: higher ones came first.
    Late,
    /// It was seen before.
    Again,
}

impl Track {
    /// A number has come.
    pub(super) fn see(&mut self, number: u64) -> Seen {
        if number > self.highest {
            self.missing.extend(self.highest + 1..number);
            self.highest = number;
            Seen::InOrder
        } else if self.missing.remove(&number) {
            Seen::Late
        } else {
            Seen::Again
        }
    }

    /// How many numbers were seen.
    pub(super) fn count(&self) -> u64 {
        self.highest - self.missing.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_remembered_until_they_are_filled() {
        let mut track = Track::default();
        assert_eq!(
            [1, 2, 5, 3, 3, 5].map(|number| track.see(number)),
            [Seen::InOrder, Seen::InOrder, Seen::InOrder, Seen::Late, Seen::Again, Seen::Again]
        );
        assert_eq!(track.count(), 4);
    }
}
