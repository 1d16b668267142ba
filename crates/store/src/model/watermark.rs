//! A moment in the history of the store's writes: which of them could be seen then.
//!
//! It counts writes, not time: however long a commit takes, whatever a clock does, a write that could not be seen at a
//! watermark is told as one that came after it (docs/adr/0011-a-watermark-counts-writes.md). Small enough for SSE's
//! `Last-Event-ID`. It means nothing in another epoch.

use std::{fmt, str::FromStr};

/// Most writes in progress that a watermark names; beyond it, the newest ones and all after them count as not seen.
const OPEN_MAX: usize = 16;

/// What could be seen of a store's writes at one moment. The default is the moment before the first write.
///
/// As text: the first number that was not seen, and how far below it each number is that was not seen either, in
/// hexadecimal, joined by `-`: `2f1` or `2f1-3-8`; at most 289 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Watermark {
    /// Writes from this number on could not be seen.
    horizon: u64,
    /// Nor could these, which were still in progress: ascending, below `horizon`.
    open: Vec<u64>,
}

impl Watermark {
    /// Of the number of the next write and of the writes in progress (ascending).
    pub(crate) fn new(next: u64, open: &[u64]) -> Self {
        // What has been in progress for the longest is named: the others end soon.
        let (named, rest) = open.split_at(open.len().min(OPEN_MAX));
        Self { horizon: rest.first().copied().unwrap_or(next), open: named.to_vec() }
    }

    /// Writes from this number on could not be seen.
    pub(crate) fn horizon(&self) -> i64 {
        number(self.horizon)
    }

    /// Nor could these.
    pub(crate) fn open(&self) -> Vec<i64> {
        self.open.iter().copied().map(number).collect()
    }
}

/// As the databases hold it; what is parsed fits.
fn number(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// A text that is no [`Watermark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a watermark")]
pub struct BadWatermark;

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.horizon)?;
        self.open.iter().rev().try_for_each(|open| write!(f, "-{:x}", self.horizon - open))
    }
}

impl FromStr for Watermark {
    type Err = BadWatermark;

    /// Takes what [`fmt::Display`] gives, and nothing else.
    fn from_str(text: &str) -> Result<Self, BadWatermark> {
        let mut parts = text.split('-').map(hexadecimal);
        let horizon = parts.next().flatten().ok_or(BadWatermark)?;
        let mut open = Vec::new();
        let mut below = 0;
        for part in parts {
            let step = part.filter(|step| *step > below && *step <= horizon).ok_or(BadWatermark)?;
            if open.len() == OPEN_MAX {
                return Err(BadWatermark);
            }
            below = step;
            open.push(horizon - step);
        }
        open.reverse();
        Ok(Self { horizon, open })
    }
}

/// A number of the databases, written as [`fmt::LowerHex`] writes it.
fn hexadecimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let shortest = text == "0" || !text.starts_with('0');
    let value = u64::from_str_radix(text, 16).ok().filter(|value| i64::try_from(*value).is_ok())?;
    (plain && shortest).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_text() {
        let many: Vec<u64> = (0..40).map(|n| 1_000 + 7 * n).collect();
        for watermark in [
            Watermark::default(),
            Watermark::new(1, &[0]),
            Watermark::new(0x2f1, &[0x2e9, 0x2ee]),
            Watermark::new(i64::MAX as u64, &[0, 1, 2]),
            Watermark::new(5_000, &many),
        ] {
            let text = watermark.to_string();
            assert_eq!(text.parse(), Ok(watermark), "{text}");
            assert!(text.len() <= 16 * 17 + 17, "{text}");
        }
        assert_eq!(Watermark::new(0x2f1, &[0x2e9, 0x2ee]).to_string(), "2f1-3-8");
    }

    #[test]
    fn names_the_oldest_and_counts_the_others_as_not_seen() {
        let open: Vec<u64> = (100..140).collect();
        let watermark = Watermark::new(500, &open);
        assert_eq!(watermark.horizon(), 116);
        assert_eq!(watermark.open(), (100..116).collect::<Vec<i64>>());
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        let too_many = "ff-1-2-3-4-5-6-7-8-9-a-b-c-d-e-f-10-11";
        for bad in [
            "",
            "-",
            "1-",
            "-1",
            "x",
            "1F",
            "+1",
            " 1",
            "1 ",
            "01",
            "1-0",
            "5-6",
            "9-2-2",
            "9-3-2",
            "1.5",
            "é",
            "8000000000000000",
            "ffffffffffffffffffffffff",
            too_many,
        ] {
            assert_eq!(bad.parse::<Watermark>(), Err(BadWatermark), "{bad:?}");
        }
    }
}
