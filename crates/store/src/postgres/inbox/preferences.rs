//! What a user wants to be told of: in one conversation, and everywhere. A change takes a place in their feed, so that
//! their other devices learn of it.

use protocol::{
    ConversationId, NotificationPreferences, NotificationPreferencesPatch, Notify, Preferences, PreferencesPatch,
    Timestamp, UserId, UserSeq,
};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;

use super::super::{
    fault::Outcome,
    own_feed,
    values::{Word, int, moment},
};
use crate::{Conflict, StoreError};

#[derive(FromRow)]
struct PreferencesRow {
    notify: String,
    muted_until: Option<OffsetDateTime>,
    pinned_at: Option<OffsetDateTime>,
}

/// Changes a participant's settings.
pub(super) async fn set(
    pool: &PgPool,
    user: UserId,
    conversation: ConversationId,
    patch: &PreferencesPatch,
    now: Timestamp,
) -> Outcome<Option<(Preferences, Option<UserSeq>)>> {
    let mut tx = pool.begin().await?;
    let Some(before) = locked(&mut tx, user, conversation).await? else { return Ok(None) };
    let after = Preferences {
        notify: patch.notify.unwrap_or(before.notify),
        muted_until: patch.muted_until.unwrap_or(before.muted_until),
        pinned_at: match patch.pinned {
            None => before.pinned_at,
            Some(true) => before.pinned_at.or(Some(now)),
            Some(false) => None,
        },
        ..before
    };
    if after == before {
        return Ok(Some((after, None)));
    }
    let user_seq = own_feed::take(&mut tx, user, 1).await?;
    sqlx::query(
        "UPDATE participants SET notify = $3, muted_until = $4, pinned_at = $5, user_seq = $6
         WHERE conversation_id = $1 AND user_id = $2",
    )
    .bind(conversation.0)
    .bind(user.0)
    .bind(after.notify.word())
    .bind(after.muted_until.map(Timestamp::get))
    .bind(after.pinned_at.map(Timestamp::get))
    .bind(int(user_seq))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some((after, Some(user_seq))))
}

/// Locks the conversation before its participant, as whoever changes membership does: they cannot leave meanwhile, and
/// two never wait for each other in a circle.
async fn locked(tx: &mut PgConnection, user: UserId, conversation: ConversationId) -> Outcome<Option<Preferences>> {
    sqlx::query("SELECT 1 FROM conversations WHERE id = $1 FOR NO KEY UPDATE")
        .bind(conversation.0)
        .execute(&mut *tx)
        .await?;
    let row: Option<PreferencesRow> = sqlx::query_as(
        "SELECT p.notify, p.muted_until, p.pinned_at
         FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         WHERE p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL FOR NO KEY UPDATE OF p",
    )
    .bind(conversation.0)
    .bind(user.0)
    .fetch_optional(tx)
    .await?;
    let preferences = |row: PreferencesRow| {
        Ok(Preferences {
            conversation_id: conversation,
            notify: Notify::of(&row.notify)?,
            muted_until: moment(row.muted_until),
            pinned_at: moment(row.pinned_at),
        })
    };
    row.map(preferences).transpose()
}

/// A user's settings for all conversations.
pub(super) async fn everywhere(pool: &PgPool, user: UserId) -> Outcome<NotificationPreferences> {
    let mut connection = pool.acquire().await?;
    read(&mut connection, user).await
}

async fn read(connection: &mut PgConnection, user: UserId) -> Outcome<NotificationPreferences> {
    let row: Option<(String, Option<OffsetDateTime>)> =
        sqlx::query_as("SELECT notify, muted_until FROM notification_preferences WHERE user_id = $1")
            .bind(user.0)
            .fetch_optional(connection)
            .await?;
    let Some((notify, muted_until)) = row else { return Ok(NotificationPreferences::default()) };
    Ok(NotificationPreferences { notify: Notify::of(&notify)?, muted_until: moment(muted_until) })
}

/// Changes a user's settings for all conversations.
pub(super) async fn set_everywhere(
    pool: &PgPool,
    user: UserId,
    patch: &NotificationPreferencesPatch,
) -> Outcome<(NotificationPreferences, Option<UserSeq>)> {
    let mut tx = pool.begin().await?;
    // Their row stands for settings that may not be there yet.
    let known =
        sqlx::query("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE").bind(user.0).execute(&mut *tx).await?;
    if known.rows_affected() == 0 {
        return Err(StoreError::Conflict(Conflict::UnknownUser).into());
    }
    let before = read(&mut tx, user).await?;
    let after = NotificationPreferences {
        notify: patch.notify.unwrap_or(before.notify),
        muted_until: patch.muted_until.unwrap_or(before.muted_until),
    };
    if after == before {
        return Ok((after, None));
    }
    let user_seq = own_feed::take(&mut tx, user, 1).await?;
    sqlx::query(
        "INSERT INTO notification_preferences (user_id, notify, muted_until, user_seq) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET
             notify = excluded.notify, muted_until = excluded.muted_until, user_seq = excluded.user_seq",
    )
    .bind(user.0)
    .bind(after.notify.word())
    .bind(after.muted_until.map(Timestamp::get))
    .bind(int(user_seq))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((after, Some(user_seq)))
}
