//! What people want to be told of: of one conversation, and everywhere. A change that changes nothing moves no feed.

use protocol::{
    ConversationId, NotificationPreferences, NotificationPreferencesPatch, Notify, Preferences, PreferencesPatch,
    Timestamp, UserId, UserSeq,
};
use sqlx::SqliteConnection;

use super::super::{
    codec::{Text, time_opt, to_db},
    error::Db,
    users,
};
use crate::Result;

/// Inside a write transaction. `None`: does not take part.
pub(super) async fn set(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    patch: &PreferencesPatch,
    now: Timestamp,
) -> Result<Option<(Preferences, Option<UserSeq>)>> {
    let row: Option<(String, Option<i64>, Option<i64>)> = sqlx::query_as(
        "select p.notify, p.muted_until, p.pinned_at from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.conversation_id = ? and p.user_id = ? and p.left_at is null",
    )
    .bind(conversation.0)
    .bind(user.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((notify, muted_until, pinned_at)) = row else { return Ok(None) };
    let before = Preferences {
        conversation_id: conversation,
        notify: Notify::parse(&notify)?,
        muted_until: time_opt(muted_until)?,
        pinned_at: time_opt(pinned_at)?,
    };
    let after = Preferences {
        notify: patch.notify.unwrap_or(before.notify),
        muted_until: patch.muted_until.unwrap_or(before.muted_until),
        pinned_at: match patch.pinned {
            None => before.pinned_at,
            // Pinned once more, it stays where it is.
            Some(true) => before.pinned_at.or(Some(now)),
            Some(false) => None,
        },
        ..before
    };
    if after == before {
        return Ok(Some((before, None)));
    }
    let seq = users::move_feed(conn, user).await?;
    sqlx::query(
        "update participants set notify = ?, muted_until = ?, pinned_at = ?, user_seq = ? \
         where conversation_id = ? and user_id = ?",
    )
    .bind(after.notify.text())
    .bind(after.muted_until.map(Timestamp::unix_millis))
    .bind(after.pinned_at.map(Timestamp::unix_millis))
    .bind(to_db(seq))
    .bind(conversation.0)
    .bind(user.0)
    .execute(conn)
    .await
    .db()?;
    Ok(Some((after, Some(seq))))
}

/// A user's settings for all conversations; the default when they have none.
pub(super) async fn everywhere(conn: &mut SqliteConnection, user: UserId) -> Result<NotificationPreferences> {
    let row: Option<(String, Option<i64>)> =
        sqlx::query_as("select notify, muted_until from notification_preferences where user_id = ?")
            .bind(user.0)
            .fetch_optional(conn)
            .await
            .db()?;
    row.map_or_else(
        || Ok(NotificationPreferences::default()),
        |(notify, muted_until)| {
            Ok(NotificationPreferences { notify: Notify::parse(&notify)?, muted_until: time_opt(muted_until)? })
        },
    )
}

/// Inside a write transaction.
pub(super) async fn set_everywhere(
    conn: &mut SqliteConnection,
    user: UserId,
    patch: &NotificationPreferencesPatch,
) -> Result<(NotificationPreferences, Option<UserSeq>)> {
    let before = everywhere(conn, user).await?;
    let after = NotificationPreferences {
        notify: patch.notify.unwrap_or(before.notify),
        muted_until: patch.muted_until.unwrap_or(before.muted_until),
    };
    if after == before {
        return Ok((before, None));
    }
    let seq = users::move_feed(conn, user).await?;
    sqlx::query(
        "insert into notification_preferences (user_id, notify, muted_until, user_seq) values (?, ?, ?, ?) \
         on conflict (user_id) do update set notify = excluded.notify, muted_until = excluded.muted_until, \
         user_seq = excluded.user_seq",
    )
    .bind(user.0)
    .bind(after.notify.text())
    .bind(after.muted_until.map(Timestamp::unix_millis))
    .bind(to_db(seq))
    .execute(conn)
    .await
    .db()?;
    Ok((after, Some(seq)))
}
