//! Sessions and their refresh tokens. A revocation moves the user's feed, under the user's row lock; whoever
//! locks both a user and sessions locks the user first.

use protocol::{SessionId, Timestamp, UserId, UserSeq};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    fault::{Fault, Outcome},
    rows::{UserRow, user_columns},
    values::{count, int},
};
use crate::{NewSession, Rotation, SessionRecord};

/// Opens a session.
pub(super) async fn create(pool: &PgPool, session: &NewSession) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO sessions (id, user_id, device, refresh_hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(session.id.0)
    .bind(session.user_id.0)
    .bind(&session.device)
    .bind(&session.refresh_hash)
    .bind(session.now.get())
    .bind(session.expires_at.get())
    .execute(pool)
    .await?;
    Ok(())
}

/// Exchanges a refresh token for another, or finds out that it was exchanged before.
pub(super) async fn rotate(
    pool: &PgPool,
    old_hash: &[u8],
    new_hash: &[u8],
    expires_at: Timestamp,
    now: Timestamp,
) -> Outcome<Rotation> {
    let mut tx = pool.begin().await?;
    // The user's row before anything else: a lock on the session's row would stay even when the row turns out, after
    // the wait, to be of another token, and a revocation could then wait in a circle.
    let owner: Option<UserRow> = sqlx::query_as(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users u
          WHERE u.id = coalesce(
              (SELECT s.user_id FROM sessions s WHERE s.refresh_hash = $1),
              (SELECT s.user_id FROM used_refresh_tokens t JOIN sessions s ON s.id = t.session_id
               WHERE t.refresh_hash = $1))
          FOR NO KEY UPDATE"
    ))
    .bind(old_hash)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(owner) = owner else { return Ok(Rotation::Invalid) };
    // Of two that bring the same token, the second comes here when the first is done, and no longer finds it.
    let found: Option<(Uuid, OffsetDateTime)> = sqlx::query_as(
        "SELECT id, expires_at FROM sessions WHERE refresh_hash = $1 AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(old_hash)
    .bind(now.get())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((session, ends)) = found else {
        let rotation = reuse(&mut tx, old_hash, now).await?;
        tx.commit().await?;
        return Ok(rotation);
    };
    sqlx::query("DELETE FROM used_refresh_tokens WHERE session_id = $1 AND expires_at <= $2")
        .bind(session)
        .bind(now.get())
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO used_refresh_tokens (refresh_hash, session_id, expires_at) VALUES ($1, $2, $3)")
        .bind(old_hash)
        .bind(session)
        .bind(ends)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE sessions SET refresh_hash = $2, expires_at = $3 WHERE id = $1")
        .bind(session)
        .bind(new_hash)
        .bind(expires_at.get())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Rotation::Rotated { session: SessionId(session), user: owner.user() })
}

/// Revokes the session of a token that was exchanged before.
async fn reuse(tx: &mut PgConnection, hash: &[u8], now: Timestamp) -> Outcome<Rotation> {
    let owner: Option<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT s.id, s.user_id FROM used_refresh_tokens t JOIN sessions s ON s.id = t.session_id
         WHERE t.refresh_hash = $1",
    )
    .bind(hash)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((session, user)) = owner else { return Ok(Rotation::Invalid) };
    Ok(match revoke_in(tx, UserId(user), Some(SessionId(session)), now).await? {
        Some(user_seq) => Rotation::Reused { session: SessionId(session), user_id: UserId(user), user_seq },
        None => Rotation::Invalid,
    })
}

/// A user's sessions that count, newest first.
pub(super) async fn list(pool: &PgPool, user: UserId, now: Timestamp) -> Outcome<Vec<SessionRecord>> {
    let rows: Vec<(Uuid, Option<String>, OffsetDateTime, OffsetDateTime)> = sqlx::query_as(
        "SELECT id, device, created_at, expires_at FROM sessions
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at DESC, id DESC",
    )
    .bind(user.0)
    .bind(now.get())
    .fetch_all(pool)
    .await?;
    let record = |(id, device, created_at, expires_at)| SessionRecord {
        id: SessionId(id),
        device,
        created_at: Timestamp::new(created_at),
        expires_at: Timestamp::new(expires_at),
    };
    Ok(rows.into_iter().map(record).collect())
}

/// Revokes one session or all.
pub(super) async fn revoke(
    pool: &PgPool,
    user: UserId,
    session: Option<SessionId>,
    now: Timestamp,
) -> Outcome<Option<UserSeq>> {
    let mut tx = pool.begin().await?;
    let head = revoke_in(&mut tx, user, session, now).await?;
    tx.commit().await?;
    Ok(head)
}

/// Revokes inside a transaction; each session takes its own place in the feed.
async fn revoke_in(
    tx: &mut PgConnection,
    user: UserId,
    session: Option<SessionId>,
    now: Timestamp,
) -> Outcome<Option<UserSeq>> {
    let head: Option<i64> = sqlx::query_scalar("SELECT feed_seq FROM users WHERE id = $1 FOR NO KEY UPDATE")
        .bind(user.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(head) = head else { return Ok(None) };
    let revoked = sqlx::query(
        "WITH active AS (
             SELECT id, row_number() OVER (ORDER BY id) AS place FROM sessions
             WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND revoked_at IS NULL AND expires_at > $3)
         UPDATE sessions s SET revoked_at = $3, user_seq = $4 + active.place
         FROM active WHERE s.id = active.id AND s.revoked_at IS NULL",
    )
    .bind(user.0)
    .bind(session.map(|id| id.0))
    .bind(now.get())
    .bind(head)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if revoked == 0 {
        return Ok(None);
    }
    let head: i64 = sqlx::query_scalar("UPDATE users SET feed_seq = feed_seq + $2 WHERE id = $1 RETURNING feed_seq")
        .bind(user.0)
        .bind(int(revoked))
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(Fault::internal("a locked user is gone"))?;
    Ok(Some(count(head)))
}
