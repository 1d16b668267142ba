//! Values between Rust and SQL: words for enums, counters, times.

use protocol::{
    AuditAction, ConversationKind, History, MessageKind, NotificationKind, Notify, OrgRole, Posting, ReportReason,
    ReportStatus, Role, Timestamp,
};
use time::OffsetDateTime;

use super::fault::{Fault, Outcome};
use crate::Watermark;

/// An enum that is stored as a word, the same one as on the wire.
pub(super) trait Word: Copy + Sized + 'static {
    /// Every value with its word.
    const WORDS: &'static [(Self, &'static str)];

    /// The value that this word stands for, if it is one of them.
    fn known(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(value, _)| *value)
    }

    /// The value that this word stands for.
    fn of(word: &str) -> Outcome<Self> {
        Self::known(word).ok_or_else(|| Fault::internal("a column holds a word that this version does not know"))
    }

    /// The word of this value.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($($type:ident { $($value:ident = $word:literal),+ $(,)? })+) => {$(
        impl Word for $type {
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$value, $word)),+];
            fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }
        }
    )+};
}

words! {
    OrgRole { Member = "member", Admin = "admin" }
    ConversationKind { Direct = "direct", Group = "group", Public = "public" }
    Role { Member = "member", Admin = "admin", Owner = "owner" }
    Posting { Everyone = "everyone", Admins = "admins" }
    History { All = "all", SinceJoin = "since_join" }
    Notify { All = "all", Mentions = "mentions", None = "none" }
    MessageKind { Text = "text", System = "system" }
    ReportReason { Spam = "spam", Abuse = "abuse", Inappropriate = "inappropriate", Other = "other" }
    ReportStatus { Open = "open", Resolved = "resolved", Dismissed = "dismissed" }
    AuditAction {
        UserDisabled = "user.disabled",
        UserEnabled = "user.enabled",
        UserRole = "user.role",
        ReportDecided = "report.decided",
        AnnouncementCreated = "announcement.created",
    }
    NotificationKind { Mention = "mention", Reply = "reply", Added = "added" }
}

/// What `pg_current_snapshot()` shows, as text (`xmin:xmax:xip,xip,…`): the number of the next transaction, and those
/// that are still in progress.
pub(super) fn watermark(snapshot: &str) -> Outcome<Watermark> {
    let parse = || {
        let (xmax, open) = snapshot.split_once(':')?.1.split_once(':')?;
        let open = open.split(',').filter(|xid| !xid.is_empty()).map(|xid| xid.parse().ok());
        Some(Watermark::new(xmax.parse().ok()?, &open.collect::<Option<Vec<u64>>>()?))
    };
    parse().ok_or(Fault::internal("a snapshot that this version does not know"))
}

/// A counter or limit as Postgres takes it. What no counter ever reaches becomes the greatest value.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A counter as Postgres gave it; the schema has no negative ones.
pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A small counter or setting as Postgres gave it; the schema has no negative ones.
pub(super) fn small(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// A small counter or setting as Postgres takes it. What none ever reaches becomes the greatest value.
pub(super) fn small_int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A time that may be absent.
pub(super) fn moment(value: Option<OffsetDateTime>) -> Option<Timestamp> {
    value.map(Timestamp::new)
}

/// Text as it is compared and searched: the case of letters does not matter, whatever the database's locale. Each
/// character is lowered by itself, so that the beginning of a text folds to the beginning of its fold (a whole
/// text's lower case minds a final sigma).
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_wire() {
        fn check<T: Word + serde::Serialize>() {
            for (value, word) in T::WORDS {
                assert_eq!(serde_json::to_value(value).unwrap(), *word);
                assert_eq!(T::of(word).ok().unwrap().word(), *word);
            }
        }
        check::<OrgRole>();
        check::<ConversationKind>();
        check::<Role>();
        check::<Posting>();
        check::<History>();
        check::<Notify>();
        check::<MessageKind>();
        check::<ReportReason>();
        check::<ReportStatus>();
        check::<AuditAction>();
        check::<NotificationKind>();
        assert!(Role::of("king").is_err());
    }
}
