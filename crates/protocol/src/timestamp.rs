//! The only shape a time has on the wire: UTC, RFC 3339, milliseconds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use utoipa::ToSchema;

const WIRE: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment, cut to milliseconds so that what a client is told once is what it reads back later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T08:30:00.000Z")]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Cuts `at` to milliseconds, in UTC.
    pub fn new(at: OffsetDateTime) -> Self {
        let at = at.to_offset(UtcOffset::UTC);
        let nanos = at.nanosecond() / 1_000_000 * 1_000_000;
        Self(at.replace_nanosecond(nanos).unwrap_or(at))
    }

    /// The moment as `time` has it.
    pub fn get(self) -> OffsetDateTime {
        self.0
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        (self.0.unix_timestamp_nanos() / 1_000_000) as i64
    }

    /// From milliseconds since 1970-01-01T00:00:00Z; `None` out of the range of years -9999..=9999.
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok().map(Self)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self::new(at)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(WIRE).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(Self::new).map_err(|_| de::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds_and_reads_back_equal() {
        let text = "\"2026-11-21T10:30:00.123987+02:00\"";
        let at: Timestamp = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&at).unwrap();
        assert_eq!(written, "\"2026-11-21T08:30:00.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&written).unwrap(), at);
        assert_eq!(Timestamp::from_unix_millis(at.unix_millis()), Some(at));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }
}
