//! Who blocked whom. A change takes a place in the blocker's feed; who is blocked is not told.

use protocol::{Page, Timestamp, User, UserId, UserSeq};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    fault::Outcome,
    keyset::{self, older},
    own_feed,
    rows::{UserRow, user_columns},
    values::int,
};
use crate::{Conflict, StoreError, cursor::List};

/// Blocks somebody of the same org, or no longer does.
pub(super) async fn set(
    pool: &PgPool,
    user: UserId,
    other: UserId,
    blocked: bool,
    now: Timestamp,
) -> Outcome<Option<UserSeq>> {
    let mut tx = pool.begin().await?;
    // The user's row stands for a block that may not be there yet.
    let known = sqlx::query(
        "SELECT 1 FROM users u JOIN users o ON o.id = $2 AND o.org_id = u.org_id
         WHERE u.id = $1 FOR NO KEY UPDATE OF u",
    )
    .bind(user.0)
    .bind(other.0)
    .execute(&mut *tx)
    .await?;
    if known.rows_affected() == 0 {
        return Err(StoreError::Conflict(Conflict::UnknownUser).into());
    }
    let is_blocked: Option<bool> =
        sqlx::query_scalar("SELECT active FROM blocks WHERE user_id = $1 AND blocked_id = $2")
            .bind(user.0)
            .bind(other.0)
            .fetch_optional(&mut *tx)
            .await?;
    if is_blocked.unwrap_or(false) == blocked {
        return Ok(None);
    }
    let user_seq = own_feed::take(&mut tx, user, 1).await?;
    sqlx::query(
        "INSERT INTO blocks (user_id, blocked_id, active, user_seq, changed_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, blocked_id) DO UPDATE SET
             active = excluded.active, user_seq = excluded.user_seq, changed_at = excluded.changed_at",
    )
    .bind(user.0)
    .bind(other.0)
    .bind(blocked)
    .bind(int(user_seq))
    .bind(now.get())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(user_seq))
}

#[derive(FromRow)]
struct BlockedRow {
    blocked_at: OffsetDateTime,
    blocked_id: Uuid,
    #[sqlx(flatten)]
    user: UserRow,
}

/// Whom the user blocked, the last first.
pub(super) async fn page(pool: &PgPool, user: UserId, cursor: Option<&str>, limit: u32) -> Outcome<Page<User>> {
    let (before, before_id) = keyset::at(List::Blocked, cursor)?;
    let mut rows: Vec<BlockedRow> = sqlx::query_as(concat!(
        "SELECT b.changed_at AS blocked_at, b.blocked_id, ",
        user_columns!(),
        " FROM blocks b JOIN users u ON u.id = b.blocked_id
          WHERE b.user_id = $1 AND b.active AND ",
        older!("b.changed_at", "b.blocked_id", "$2", "$3"),
        "ORDER BY b.changed_at DESC, b.blocked_id DESC LIMIT $4"
    ))
    .bind(user.0)
    .bind(before)
    .bind(before_id)
    .bind(keyset::ask(limit))
    .fetch_all(pool)
    .await?;
    let next_cursor = keyset::next_at(&mut rows, limit, List::Blocked, |row| (row.blocked_at, row.blocked_id));
    Ok(Page { items: rows.into_iter().map(|row| row.user.user()).collect(), next_cursor })
}

/// Whether one of the two blocked the other.
pub(super) async fn between(pool: &PgPool, one: UserId, other: UserId) -> Outcome<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM blocks WHERE user_id = $1 AND blocked_id = $2 AND active)
             OR EXISTS (SELECT 1 FROM blocks WHERE user_id = $2 AND blocked_id = $1 AND active)",
    )
    .bind(one.0)
    .bind(other.0)
    .fetch_one(pool)
    .await?)
}
