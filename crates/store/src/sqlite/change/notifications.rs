//! Stored notifications, written with what they tell of. Inside a write transaction.

use protocol::{NotificationKind, UserSeq};
use sqlx::SqliteConnection;

use super::super::{
    codec::{Text, from_db},
    error::Db,
};
use crate::{Result, WriteNotification};

/// Stores a notification and moves its user's feed; `None`, and nothing moves, when they were told already.
pub(in super::super) async fn notify(
    conn: &mut SqliteConnection,
    notification: &WriteNotification,
) -> Result<Option<UserSeq>> {
    let user_seq: Option<i64> = sqlx::query_scalar(
        "insert into notifications (id, user_id, user_seq, kind, conversation_id, message_id, actor_id, created_at) \
         values (?1, ?2, (select feed_seq + 1 from users where id = ?2), ?3, ?4, ?5, ?6, ?7) \
         on conflict (user_id, message_id, kind) do nothing returning user_seq",
    )
    .bind(notification.id.0)
    .bind(notification.user_id.0)
    .bind(notification.kind.text())
    .bind(notification.conversation_id.0)
    .bind(notification.message_id.0)
    .bind(notification.actor_id.0)
    .bind(notification.at.unix_millis())
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some(user_seq) = user_seq else { return Ok(None) };
    sqlx::query("update users set feed_seq = ? where id = ?")
        .bind(user_seq)
        .bind(notification.user_id.0)
        .execute(conn)
        .await
        .db()?;
    Ok(Some(from_db(user_seq)))
}

impl Text for NotificationKind {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Mention, "mention"), (Self::Reply, "reply"), (Self::Added, "added")];
}
