//! Which places of a conversation a receiver has: one bit each, so that millions of deliveries are remembered.

use protocol::Seq;

/// A place so far above all that came is no place of a conversation that a run writes in. What a server says is never
/// allocated for unchecked: 10^15 bits are more than there is.
const FAR: u64 = 4_000_000;

/// Places above a first one.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    base: Seq,
    words: Vec<u64>,
}

impl Seen {
    pub(super) fn above(base: Seq) -> Self {
        Self { base, words: Vec::new() }
    }

    fn bit(&self, seq: Seq) -> Option<(usize, u64)> {
        let offset = seq.checked_sub(self.base)?.checked_sub(1)?;
        Some(((offset / 64) as usize, 1 << (offset % 64)))
    }

    /// Whether it can be a place at all.
    pub(super) fn fits(&self, seq: Seq) -> bool {
        seq.saturating_sub(self.base) <= self.words.len() as u64 * 64 + FAR
    }

    /// True when it was not there.
    pub(super) fn insert(&mut self, seq: Seq) -> bool {
        let Some((word, bit)) = self.bit(seq).filter(|_| self.fits(seq)) else { return false };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.bit(seq).is_some_and(|(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0))
    }
}
