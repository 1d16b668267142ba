//! Users of an org as its admins see them, and what admins change of them. Nobody is told of a change that changes
//! nothing.

use protocol::{OrgId, OrgRole, Page, Timestamp, User, UserId, UserSeq};
use sqlx::{PgConnection, PgPool};

use super::{
    super::{
        fault::Outcome,
        keyset, own_feed,
        rows::{UserRow, user_columns, users},
        values::{Word, fold, int},
    },
    audit,
};
use crate::{NewAudit, OrgUsersFilter};

/// A page by username. `next_cursor` is the last username.
pub(super) async fn page(
    pool: &PgPool,
    org: OrgId,
    filter: &OrgUsersFilter,
    after: Option<&str>,
    limit: u32,
) -> Outcome<Page<User>> {
    let mut rows: Vec<UserRow> = sqlx::query_as(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users u
          WHERE u.org_id = $1 AND u.username_key > $3
            AND (starts_with(u.username_key, $2) OR starts_with(u.display_name_key, $2))
            AND ($4::boolean IS NULL OR (u.disabled_at IS NOT NULL) = $4)
            AND ($5::text IS NULL OR u.role = $5)
          ORDER BY u.username_key LIMIT $6"
    ))
    .bind(org.0)
    .bind(fold(&filter.query))
    .bind(fold(after.unwrap_or_default()))
    .bind(filter.disabled)
    .bind(filter.role.map(Word::word))
    .bind(keyset::ask(limit))
    .fetch_all(pool)
    .await?;
    let more = keyset::cut(&mut rows, limit);
    let items = users(rows);
    let next_cursor = items.last().filter(|_| more).map(|user| user.username.clone());
    Ok(Page { items, next_cursor })
}

/// Disables or enables a user, moving their feed.
pub(super) async fn set_disabled(
    pool: &PgPool,
    org: OrgId,
    id: UserId,
    disabled: bool,
    audit: Option<&NewAudit>,
    now: Timestamp,
) -> Outcome<Option<(User, Option<UserSeq>)>> {
    let mut tx = pool.begin().await?;
    let Some(user) = locked(&mut tx, org, id).await? else { return Ok(None) };
    if user.disabled_at.is_some() == disabled {
        return Ok(Some((user, None)));
    }
    let user_seq = own_feed::take(&mut tx, id, 1).await?;
    let disabled_at = disabled.then_some(now);
    sqlx::query("UPDATE users SET disabled_at = $2, disabled_user_seq = $3 WHERE id = $1")
        .bind(id.0)
        .bind(disabled_at.map(Timestamp::get))
        .bind(int(user_seq))
        .execute(&mut *tx)
        .await?;
    note(&mut tx, audit).await?;
    tx.commit().await?;
    Ok(Some((User { disabled_at, ..user }, Some(user_seq))))
}

/// Sets a user's role in the org.
pub(super) async fn set_role(
    pool: &PgPool,
    org: OrgId,
    id: UserId,
    role: OrgRole,
    audit: Option<&NewAudit>,
) -> Outcome<Option<User>> {
    let mut tx = pool.begin().await?;
    let Some(user) = locked(&mut tx, org, id).await? else { return Ok(None) };
    if user.role == role {
        return Ok(Some(user));
    }
    sqlx::query("UPDATE users SET role = $2 WHERE id = $1").bind(id.0).bind(role.word()).execute(&mut *tx).await?;
    note(&mut tx, audit).await?;
    tx.commit().await?;
    Ok(Some(User { role, ..user }))
}

async fn locked(tx: &mut PgConnection, org: OrgId, id: UserId) -> Outcome<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users u WHERE u.id = $1 AND u.org_id = $2 FOR NO KEY UPDATE"
    ))
    .bind(id.0)
    .bind(org.0)
    .fetch_optional(tx)
    .await?;
    Ok(row.map(UserRow::user))
}

async fn note(tx: &mut PgConnection, audit: Option<&NewAudit>) -> Outcome<()> {
    match audit {
        Some(audit) => audit::insert(tx, audit).await,
        None => Ok(()),
    }
}
