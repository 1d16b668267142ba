//! An org's users for its admins: the whole list, disabling, roles.

use protocol::{OrgId, OrgRole, Page, Timestamp, User, UserId, UserSeq};
use sqlx::SqliteConnection;

use super::{
    super::{
        codec::{Text, fold, from_db},
        error::Db,
        pages,
        rows::{UserRow, user_columns},
    },
    audit,
};
use crate::{NewAudit, OrgUsersFilter, Result};

pub(super) async fn list(
    conn: &mut SqliteConnection,
    org: OrgId,
    filter: &OrgUsersFilter,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<User>> {
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        " from users u where u.org_id = ?1 and u.username_key > ?2 \
         and (substr(u.username_key, 1, length(?3)) = ?3 or substr(u.display_name_key, 1, length(?3)) = ?3) \
         and (?4 is null or (u.disabled_at is not null) = ?4) and (?5 is null or u.role = ?5) \
         order by u.username_key limit ?6"
    ))
    .bind(org.0)
    .bind(after.map(fold).unwrap_or_default())
    .bind(fold(&filter.query))
    .bind(filter.disabled)
    .bind(filter.role.map(Text::text))
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let mut items: Vec<User> = rows.into_iter().map(UserRow::into_user).collect::<Result<_>>()?;
    let more = pages::cut(&mut items, limit);
    let next_cursor = items.last().filter(|_| more).map(|user| user.username.clone());
    Ok(Page { items, next_cursor })
}

async fn find(conn: &mut SqliteConnection, org: OrgId, id: UserId) -> Result<Option<User>> {
    let row: Option<UserRow> =
        sqlx::query_as(concat!("select ", user_columns!(), " from users u where u.org_id = ? and u.id = ?"))
            .bind(org.0)
            .bind(id.0)
            .fetch_optional(conn)
            .await
            .db()?;
    row.map(UserRow::into_user).transpose()
}

/// Inside a write transaction: nobody else changes the user meanwhile.
pub(super) async fn set_disabled(
    conn: &mut SqliteConnection,
    org: OrgId,
    id: UserId,
    disabled: bool,
    audit: Option<NewAudit>,
    now: Timestamp,
) -> Result<Option<(User, Option<UserSeq>)>> {
    let Some(mut user) = find(conn, org, id).await? else { return Ok(None) };
    if user.disabled_at.is_some() == disabled {
        return Ok(Some((user, None)));
    }
    user.disabled_at = disabled.then_some(now);
    let seq: i64 = sqlx::query_scalar(
        "update users set feed_seq = feed_seq + 1, disabled_user_seq = feed_seq + 1, disabled_at = ? \
         where id = ? returning feed_seq",
    )
    .bind(user.disabled_at.map(Timestamp::unix_millis))
    .bind(id.0)
    .fetch_one(&mut *conn)
    .await
    .db()?;
    if let Some(audit) = audit {
        audit::add(conn, &audit).await?;
    }
    Ok(Some((user, Some(from_db(seq)))))
}

/// Inside a write transaction.
pub(super) async fn set_role(
    conn: &mut SqliteConnection,
    org: OrgId,
    id: UserId,
    role: OrgRole,
    audit: Option<NewAudit>,
) -> Result<Option<User>> {
    let Some(mut user) = find(conn, org, id).await? else { return Ok(None) };
    if user.role == role {
        return Ok(Some(user));
    }
    user.role = role;
    sqlx::query("update users set role = ? where id = ?")
        .bind(role.text())
        .bind(id.0)
        .execute(&mut *conn)
        .await
        .db()?;
    if let Some(audit) = audit {
        audit::add(conn, &audit).await?;
    }
    Ok(Some(user))
}
