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

/// See [`sender_columns`].
#[derive(sqlx::FromRow)]
pub(super) struct SenderRow {
    sender_id: Uuid,
    sender_username: String,
    sender_display_name: String,
    sender_avatar_url: Option<String>,
}

impl SenderRow {
    pub(super) fn into_sender(self) -> Sender {
        Sender {
            id: UserId(self.sender_id),
            username: self.sender_username,
            display_name: self.sender_display_name,
            avatar_url: self.sender_avatar_url,
        }
    }
}
