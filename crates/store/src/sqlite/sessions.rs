//! Sessions: logins that outlive sockets, kept alive by refresh tokens that are used once.

use protocol::{SessionId, Timestamp, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{time, to_db},
    error::{Db, corrupt},
    users,
};
use crate::{NewSession, Result, Rotation, SessionRecord, SessionState};

pub(super) async fn create(conn: &mut SqliteConnection, session: &NewSession) -> Result<()> {
    sqlx::query(
        "insert into sessions (id, user_id, device, refresh_hash, created_at, expires_at) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(session.id.0)
    .bind(session.user_id.0)
    .bind(&session.device)
    .bind(&session.refresh_hash)
    .bind(session.now.unix_millis())
    .bind(session.expires_at.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

/// Inside a write transaction: of two uses of one token the second sees the first.
pub(super) async fn rotate(
    conn: &mut SqliteConnection,
    old_hash: &[u8],
    new_hash: &[u8],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Rotation> {
    let current: Option<(Uuid, Uuid, i64)> = sqlx::query_as(
        "select id, user_id, expires_at from sessions where refresh_hash = ? and revoked_at is null and expires_at > ?",
    )
    .bind(old_hash)
    .bind(now.unix_millis())
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((session, user_id, old_expires_at)) = current else { return find_reuse(conn, old_hash, now).await };
    sqlx::query("insert into used_refresh_tokens (refresh_hash, session_id, expires_at) values (?, ?, ?)")
        .bind(old_hash)
        .bind(session)
        .bind(old_expires_at)
        .execute(&mut *conn)
        .await
        .db()?;
    sqlx::query("update sessions set refresh_hash = ?, expires_at = ? where id = ?")
        .bind(new_hash)
        .bind(expires_at.unix_millis())
        .bind(session)
        .execute(&mut *conn)
        .await
        .db()?;
    // What has expired is refused without having been remembered.
    sqlx::query("delete from used_refresh_tokens where session_id = ? and expires_at <= ?")
        .bind(session)
        .bind(now.unix_millis())
        .execute(&mut *conn)
        .await
        .db()?;
    let user = users::one(conn, UserId(user_id)).await?.ok_or_else(|| corrupt("a session without its user"))?;
    Ok(Rotation::Rotated { session: SessionId(session), user })
}

async fn find_reuse(conn: &mut SqliteConnection, hash: &[u8], now: Timestamp) -> Result<Rotation> {
    let stolen: Option<(Uuid, Uuid)> = sqlx::query_as(
        "select s.id, s.user_id from used_refresh_tokens h join sessions s on s.id = h.session_id \
         where h.refresh_hash = ? and s.revoked_at is null and s.expires_at > ?",
    )
    .bind(hash)
    .bind(now.unix_millis())
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((session, user_id)) = stolen else { return Ok(Rotation::Invalid) };
    let user_seq = revoke_one(conn, session, UserId(user_id), now).await?;
    Ok(Rotation::Reused { session: SessionId(session), user_id: UserId(user_id), user_seq })
}

async fn revoke_one(conn: &mut SqliteConnection, session: Uuid, user: UserId, now: Timestamp) -> Result<UserSeq> {
    let user_seq = users::move_feed(conn, user).await?;
    sqlx::query("update sessions set revoked_at = ?, user_seq = ? where id = ?")
        .bind(now.unix_millis())
        .bind(to_db(user_seq))
        .bind(session)
        .execute(conn)
        .await
        .db()?;
    Ok(user_seq)
}

pub(super) async fn state(conn: &mut SqliteConnection, id: SessionId, now: Timestamp) -> Result<Option<SessionState>> {
    let row: Option<(Uuid, bool)> =
        sqlx::query_as("select user_id, revoked_at is null and expires_at > ? from sessions where id = ?")
            .bind(now.unix_millis())
            .bind(id.0)
            .fetch_optional(conn)
            .await
            .db()?;
    Ok(row.map(|(user, active)| SessionState { user_id: UserId(user), active }))
}

pub(super) async fn list(conn: &mut SqliteConnection, user: UserId, now: Timestamp) -> Result<Vec<SessionRecord>> {
    let rows: Vec<(Uuid, Option<String>, i64, i64)> = sqlx::query_as(
        "select id, device, created_at, expires_at from sessions \
         where user_id = ? and revoked_at is null and expires_at > ? order by created_at desc, id desc",
    )
    .bind(user.0)
    .bind(now.unix_millis())
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|(id, device, created_at, expires_at)| {
            Ok(SessionRecord {
                id: SessionId(id),
                device,
                created_at: time(created_at)?,
                expires_at: time(expires_at)?,
            })
        })
        .collect()
}

/// Each revoked session takes a place of its own in the feed: a client drops a place that it has seen.
pub(super) async fn revoke(
    conn: &mut SqliteConnection,
    user: UserId,
    session: Option<SessionId>,
    now: Timestamp,
) -> Result<Option<UserSeq>> {
    let open: Vec<Uuid> = sqlx::query_scalar(
        "select id from sessions where user_id = ?1 and (?2 is null or id = ?2) and revoked_at is null \
         and expires_at > ?3 order by id",
    )
    .bind(user.0)
    .bind(session.map(|session| session.0))
    .bind(now.unix_millis())
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let mut last = None;
    for session in open {
        last = Some(revoke_one(conn, session, user, now).await?);
    }
    Ok(last)
}
