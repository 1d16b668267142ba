//! Blocking. A block that ended stays as a row that is not active, so that the blocker's feed can tell of it.

use protocol::{Page, Timestamp, User, UserId, UserSeq};
use sqlx::SqliteConnection;

use super::super::{
    codec::{time, to_db},
    error::Db,
    pages,
    rows::{UserRow, user_columns},
    users,
};
use crate::{Conflict, Result, StoreError, cursor::List};

/// Inside a write transaction. `None`: nothing changed. Only somebody of the same org can be blocked.
pub(super) async fn set(
    conn: &mut SqliteConnection,
    user: UserId,
    other: UserId,
    blocked: bool,
    now: Timestamp,
) -> Result<Option<UserSeq>> {
    let active: Option<bool> = sqlx::query_scalar(
        "select coalesce(b.active, 0) from users u join users o on o.id = ?2 and o.org_id = u.org_id \
         left join blocks b on b.user_id = u.id and b.blocked_id = o.id where u.id = ?1",
    )
    .bind(user.0)
    .bind(other.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    if active.ok_or(StoreError::Conflict(Conflict::UnknownUser))? == blocked {
        return Ok(None);
    }
    let seq = users::move_feed(conn, user).await?;
    sqlx::query(
        "insert into blocks (user_id, blocked_id, active, user_seq, changed_at) values (?, ?, ?, ?, ?) \
         on conflict (user_id, blocked_id) do update set active = excluded.active, user_seq = excluded.user_seq, \
         changed_at = excluded.changed_at",
    )
    .bind(user.0)
    .bind(other.0)
    .bind(blocked)
    .bind(to_db(seq))
    .bind(now.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(Some(seq))
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    user: UserId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<User>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        changed_at: i64,
    }
    let (at, id) = pages::keyset(List::Blocked, cursor)?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        ", b.changed_at from blocks b join users u on u.id = b.blocked_id \
         where b.user_id = ?1 and b.active and (?2 is null or (b.changed_at, b.blocked_id) < (?2, ?3)) \
         order by b.changed_at desc, b.blocked_id desc limit ?4"
    ))
    .bind(user.0)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let blocked =
        rows.into_iter().map(|row| Ok((time(row.changed_at)?, row.user.into_user()?))).collect::<Result<Vec<_>>>()?;
    let Page { items, next_cursor } = pages::page(blocked, limit, List::Blocked, |(at, user)| (*at, user.id.0));
    Ok(Page { items: items.into_iter().map(|(_, user)| user).collect(), next_cursor })
}

pub(super) async fn between(conn: &mut SqliteConnection, one: UserId, other: UserId) -> Result<bool> {
    sqlx::query_scalar(
        "select exists (select 1 from blocks where user_id = ?1 and blocked_id = ?2 and active) \
         or exists (select 1 from blocks where user_id = ?2 and blocked_id = ?1 and active)",
    )
    .bind(one.0)
    .bind(other.0)
    .fetch_one(conn)
    .await
    .db()
}
