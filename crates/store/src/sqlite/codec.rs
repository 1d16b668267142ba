//! How values look in SQLite: enums as text, times as milliseconds, lists of ids as one JSON parameter.
//!
//! A list goes in as JSON so that each statement has one text and is prepared once, however long the list is:
//! `… where id in (select unhex(value) from json_each(?))`.

use protocol::{ConversationKind, History, Notify, OrgRole, Posting, Role, Timestamp};
use uuid::Uuid;

use super::error::corrupt;
use crate::Result;

/// An enum that is stored as text.
pub(super) trait Text: Sized + Copy + 'static {
    /// Every value and its text.
    const VALUES: &'static [(Self, &'static str)];

    /// Its text.
    fn text(self) -> &'static str
    where
        Self: PartialEq,
    {
        Self::VALUES.iter().find(|(value, _)| *value == self).map_or("", |(_, text)| text)
    }

    /// The value of a text.
    fn parse(text: &str) -> Result<Self> {
        Self::VALUES.iter().find(|(_, name)| *name == text).map(|(value, _)| *value).ok_or_else(|| corrupt(text))
    }
}

impl Text for OrgRole {
    const VALUES: &'static [(Self, &'static str)] = &[(Self::Member, "member"), (Self::Admin, "admin")];
}

impl Text for Role {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Member, "member"), (Self::Admin, "admin"), (Self::Owner, "owner")];
}

impl Text for ConversationKind {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Direct, "direct"), (Self::Group, "group"), (Self::Public, "public")];
}

impl Text for Posting {
    const VALUES: &'static [(Self, &'static str)] = &[(Self::Everyone, "everyone"), (Self::Admins, "admins")];
}

impl Text for History {
    const VALUES: &'static [(Self, &'static str)] = &[(Self::All, "all"), (Self::SinceJoin, "since_join")];
}

impl Text for Notify {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::All, "all"), (Self::Mentions, "mentions"), (Self::None, "none")];
}

/// A counter as stored. What is past the largest integer is past every row as well.
pub(super) fn to_db(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A counter as read; the schema's counters are never negative.
pub(super) fn from_db(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or_default()
}

/// A time as read.
pub(super) fn time(millis: i64) -> Result<Timestamp> {
    Timestamp::from_unix_millis(millis).ok_or_else(|| corrupt("a time"))
}

/// A time that may be absent, as read.
pub(super) fn time_opt(millis: Option<i64>) -> Result<Option<Timestamp>> {
    millis.map(time).transpose()
}

/// A JSON array of ids, for `json_each` and `unhex`.
pub(super) fn id_list(ids: impl IntoIterator<Item = Uuid>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("\"{}\"", id.simple())).collect();
    format!("[{}]", ids.join(","))
}

/// A JSON array of `[id, id]`.
pub(super) fn id_pairs(pairs: impl IntoIterator<Item = (Uuid, Uuid)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(a, b)| format!("[\"{}\",\"{}\"]", a.simple(), b.simple())).collect();
    format!("[{}]", pairs.join(","))
}

/// A JSON array of `[id, id, text]`.
pub(super) fn id_pairs_with_text<'a>(items: impl IntoIterator<Item = (Uuid, Uuid, &'a str)>) -> String {
    let items: Vec<serde_json::Value> = items
        .into_iter()
        .map(|(a, b, text)| serde_json::json!([a.simple().to_string(), b.simple().to_string(), text]))
        .collect();
    serde_json::Value::Array(items).to_string()
}

/// The form in which names are compared: each character lowered by itself, as Postgres' `lower()` does (Rust's
/// own `str::to_lowercase` minds the final sigma, so that a prefix of a name could fold to something else).
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}
