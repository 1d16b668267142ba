//! Keyset cursors of the lists that are ordered by a time and an id, the same for every database.
//!
//! Opaque to clients, small, and bound to their list: what another route made, or a person, is
//! [`StoreError::BadCursor`]. They are not signed: a forged one shows no more than a page of one's own list.
//! (The list of users is keyed by username; its `next_cursor` is simply the last username.)

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::Timestamp;
use uuid::Uuid;

use crate::{Result, StoreError};

/// Which list a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum List {
    /// A user's conversations.
    Conversations = 1,
    /// The lobby.
    Public = 2,
    /// A conversation's participants.
    Participants = 3,
    /// Who reacted to a message.
    Reactors = 4,
    /// How far a message got.
    Receipts = 5,
    /// Messages that were found, newest first.
    SearchNewest = 6,
    /// Messages that were found, best first: the cursor's time stands for how many came before.
    SearchBest = 7,
    /// A user's notifications.
    Notifications = 8,
    /// An org's announcements.
    Announcements = 9,
    /// Whom a user blocked.
    Blocked = 10,
    /// An org's reports.
    Reports = 11,
    /// An org's audit log.
    Audit = 12,
}

/// Bytes of a cursor: the list, milliseconds since 1970 (big endian), the id.
const LENGTH: usize = 1 + 8 + 16;

/// The cursor of the page after the item with this time and id.
pub(crate) fn encode(list: List, at: Timestamp, id: Uuid) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(list as u8);
    bytes.extend_from_slice(&at.unix_millis().to_be_bytes());
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The time and id of the last item of the page before.
pub(crate) fn decode(list: List, cursor: &str) -> Result<(Timestamp, Uuid)> {
    parse(list, cursor).ok_or(StoreError::BadCursor)
}

fn parse(list: List, cursor: &str) -> Option<(Timestamp, Uuid)> {
    let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let (tag, rest) = bytes.split_first()?;
    let (millis, id) = rest.split_first_chunk::<8>()?;
    // No row is older than 1970: a negative time is a forgery, and could be one that the database cannot hold.
    let millis = i64::from_be_bytes(*millis);
    if *tag != list as u8 || millis < 0 {
        return None;
    }
    Some((Timestamp::from_unix_millis(millis)?, Uuid::from_slice(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_only_to_its_own_list() {
        let (at, id) = (Timestamp::from_unix_millis(1_795_000_000_123).unwrap(), Uuid::now_v7());
        let cursor = encode(List::Public, at, id);
        assert_eq!(decode(List::Public, &cursor).unwrap(), (at, id));
        assert!(matches!(decode(List::Conversations, &cursor), Err(StoreError::BadCursor)));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let before_1970 = encode(List::Public, Timestamp::from_unix_millis(-1).unwrap(), Uuid::nil());
        let too_late = URL_SAFE_NO_PAD.encode([[2u8].as_slice(), &i64::MAX.to_be_bytes(), &[0; 16]].concat());
        for bad in ["", "x", "null", "ä", &"A".repeat(34), &"A".repeat(5_000), &before_1970, &too_late] {
            assert!(matches!(decode(List::Public, bad), Err(StoreError::BadCursor)), "{bad}");
        }
    }
}
