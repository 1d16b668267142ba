//! Stored notifications, written with what they tell of. Inside a write transaction.

use protocol::{NotificationKind, UserSeq};
use sqlx::SqliteConnection;

use super::super::{
    codec::{Text, to_db},
    error::Db,
    users,
};
use crate::{Result, WriteNotification};

/// Stores a notification and moves its user's feed; `None`, and nothing moves, when they were told already.
pub(in super::super) async fn notify(
    conn: &mut SqliteConnection,
    notification: &WriteNotification,
) -> Result<Option<UserSeq>> {
    let known: Option<i64> =
        sqlx::query_scalar("select 1 from notifications where user_id = ? and message_id = ? and kind = ?")
            .bind(notification.user_id.0)
            .bind(notification.message_id.0)
            .bind(notification.kind.text())
            .fetch_optional(&mut *conn)
            .await
            .db()?;
    if known.is_some() {
        return Ok(None);
    }
    let user_seq = users::move_feed(conn, notification.user_id).await?;
    sqlx::query(
        "insert into notifications (id, user_id, user_seq, kind, conversation_id, message_id, actor_id, created_at) \
         values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(notification.id.0)
    .bind(notification.user_id.0)
    .bind(to_db(user_seq))
    .bind(notification.kind.text())
    .bind(notification.conversation_id.0)
    .bind(notification.message_id.0)
    .bind(notification.actor_id.0)
    .bind(notification.at.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(Some(user_seq))
}

impl Text for NotificationKind {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Mention, "mention"), (Self::Reply, "reply"), (Self::Added, "added")];
}
