//! The `id:` of a stream: where a client stands, in a text that any node understands and none keeps.
//!
//! `epoch.user_seq.announcement_seq.watermark`, for instance `9f2c….7.3.2f1-3-8`; at most [`POSITION_MAX`] bytes. Only
//! what [`fmt::Display`] writes is read again: anything else is [`BadPosition`], never a guess.

use std::{fmt, str::FromStr, sync::Arc};

use protocol::UserSeq;
use store::Watermark;

/// Longest text that is looked at, bytes: a watermark has at most 289, two counters 20 each, an epoch 32.
const POSITION_MAX: usize = 512;
/// Longest epoch, bytes.
const EPOCH_MAX: usize = 64;

/// What a client that comes back has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Of which history.
    pub(crate) epoch: Arc<str>,
    /// Of the user's feed.
    pub(crate) user_seq: UserSeq,
    /// Of the org's announcements.
    pub(crate) announcement_seq: u64,
    /// Of all conversations together.
    pub(crate) watermark: Arc<Watermark>,
}

/// A text that no node made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, user_seq, announcement_seq, watermark } = self;
        write!(f, "{epoch}.{user_seq}.{announcement_seq}.{watermark}")
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        if text.len() > POSITION_MAX {
            return Err(BadPosition);
        }
        let mut parts = text.split('.');
        let (Some(epoch), Some(user_seq), Some(announcement_seq), Some(watermark), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadPosition);
        };
        let is_epoch = (1..=EPOCH_MAX).contains(&epoch.len())
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_epoch {
            return Err(BadPosition);
        }
        Ok(Self {
            epoch: epoch.into(),
            user_seq: counter(user_seq)?,
            announcement_seq: counter(announcement_seq)?,
            watermark: Arc::new(watermark.parse().map_err(|_| BadPosition)?),
        })
    }
}

/// A number as we write it, which the databases can hold.
fn counter(text: &str) -> Result<u64, BadPosition> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let value = text.parse::<i64>().ok().filter(|_| plain).ok_or(BadPosition)?;
    u64::try_from(value).map_err(|_| BadPosition)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comes_back_from_its_text_and_nothing_else_does() {
        let text = "9f2c0123456789ab9f2c0123456789ab.7.3.2f1-3-8";
        let position: Position = text.parse().unwrap();
        assert_eq!((position.user_seq, position.announcement_seq), (7, 3));
        assert_eq!(position.to_string(), text);
        let too_long = format!("{}.7.3.2f1", "e".repeat(EPOCH_MAX + 1));
        for bad in [
            "",
            "7",
            "...",
            "e.7.3",
            "e.7.3.2f1.",
            "e.7.3.2f1.x",
            ".7.3.2f1",
            "e.07.3.2f1",
            "e.+7.3.2f1",
            "e.-7.3.2f1",
            "e. 7.3.2f1",
            "e.7.9223372036854775808.2f1",
            "e.7.3.",
            "e.7.3.2F1",
            "e.7.3.2f1-0",
            "é.7.3.2f1",
            "e\u{0}.7.3.2f1",
            &too_long,
            &format!("e.7.3.{}", "1".repeat(POSITION_MAX)),
        ] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_written_the_same(text in "[a-f0-9.-]{0,40}|\\PC{0,60}") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }
}
