//! The part of a user that goes with what they did, as columns of a row.

use protocol::{Sender, UserId};
use uuid::Uuid;

/// Columns of [`SenderRow`], of `users s`.
macro_rules! sender_columns {
    () => {
        "s.id as sender_id, s.username as sender_username, s.display_name as sender_display_name, \
         s.avatar_url as sender_avatar_url"
    };
}
pub(super) use sender_columns;

/// See [`sender_columns`]. Its columns have names of their own, so that it can stand inside other rows.
#[derive(sqlx::FromRow)]
pub(super) struct SenderRow {
    #[sqlx(rename = "sender_id")]
    id: Uuid,
    #[sqlx(rename = "sender_username")]
    username: String,
    #[sqlx(rename = "sender_display_name")]
    display_name: String,
    #[sqlx(rename = "sender_avatar_url")]
    avatar_url: Option<String>,
}

impl SenderRow {
    pub(super) fn into_sender(self) -> Sender {
        Sender {
            id: UserId(self.id),
            username: self.username,
            display_name: self.display_name,
            avatar_url: self.avatar_url,
        }
    }
}
