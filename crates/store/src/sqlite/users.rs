//! Orgs and users.

use protocol::{OrgId, ProfilePatch, USERNAME_MAX, User, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{Text, fold, from_db, id_list},
    error::Db,
    rows::{UserRow, user_columns},
};
use crate::{Conflict, ExternalUser, NewUser, Result, StoreError};

/// How many small suffixes are tried before a random one.
const SUFFIXES: u32 = 50;

pub(super) async fn org(conn: &mut SqliteConnection, slug: &str) -> Result<Option<OrgId>> {
    let id: Option<Uuid> =
        sqlx::query_scalar("select id from orgs where slug = ?").bind(slug).fetch_optional(conn).await.db()?;
    Ok(id.map(OrgId))
}

pub(super) async fn ensure_org(conn: &mut SqliteConnection, slug: &str) -> Result<OrgId> {
    sqlx::query("insert into orgs (id, slug, name) values (?1, ?2, ?2) on conflict (slug) do nothing")
        .bind(Uuid::now_v7())
        .bind(slug)
        .execute(&mut *conn)
        .await
        .db()?;
    org(conn, slug).await?.ok_or_else(|| StoreError::Internal("an org that was just made is not there".into()))
}

pub(super) async fn create(conn: &mut SqliteConnection, user: &NewUser) -> Result<User> {
    let row: UserRow = sqlx::query_as(concat!(
        "insert into users as u (id, org_id, username, username_key, display_name, display_name_key, password_hash, \
         guest, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?) returning ",
        "id, org_id, username, display_name, avatar_url, status_text, role, guest, disabled_at, created_at"
    ))
    .bind(user.id.0)
    .bind(user.org_id.0)
    .bind(&user.username)
    .bind(fold(&user.username))
    .bind(&user.display_name)
    .bind(fold(&user.display_name))
    .bind(&user.password_hash)
    .bind(user.guest)
    .bind(user.now.unix_millis())
    .fetch_one(conn)
    .await
    .db()?;
    row.into_user()
}

/// Inside a write transaction: nobody else makes the user or takes the name meanwhile.
pub(super) async fn upsert_external(conn: &mut SqliteConnection, user: &ExternalUser) -> Result<User> {
    let known: Option<Uuid> = sqlx::query_scalar("select id from users where org_id = ? and external_id = ?")
        .bind(user.org_id.0)
        .bind(&user.external_id)
        .fetch_optional(&mut *conn)
        .await
        .db()?;
    let id = match known {
        Some(id) => UserId(id),
        None => insert_external(conn, user).await?,
    };
    sqlx::query(
        "update users set display_name = coalesce(?, display_name), display_name_key = coalesce(?, display_name_key), \
         avatar_url = coalesce(?, avatar_url), role = coalesce(?, role) where id = ?",
    )
    .bind(&user.display_name)
    .bind(user.display_name.as_deref().map(fold))
    .bind(&user.avatar_url)
    .bind(user.role.map(Text::text))
    .bind(id.0)
    .execute(&mut *conn)
    .await
    .db()?;
    one(conn, id).await?.ok_or_else(|| StoreError::Internal("a user that was just made is not there".into()))
}

async fn insert_external(conn: &mut SqliteConnection, user: &ExternalUser) -> Result<UserId> {
    let username = free_username(conn, user.org_id, &user.username, user.id).await?;
    sqlx::query(
        "insert into users (id, org_id, external_id, username, username_key, display_name, display_name_key, \
         created_at) values (?1, ?2, ?3, ?4, ?5, ?4, ?5, ?6)",
    )
    .bind(user.id.0)
    .bind(user.org_id.0)
    .bind(&user.external_id)
    .bind(&username)
    .bind(fold(&username))
    .bind(user.now.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(user.id)
}

/// The wanted name, or the first free one of `name-2`, `name-3`, …; after those, one with a part of the id.
async fn free_username(conn: &mut SqliteConnection, org: OrgId, wanted: &str, id: UserId) -> Result<String> {
    for suffix in 1..=SUFFIXES {
        let name = if suffix == 1 { wanted.to_owned() } else { suffixed(wanted, &suffix.to_string()) };
        let taken: Option<i64> = sqlx::query_scalar("select 1 from users where org_id = ? and username_key = ?")
            .bind(org.0)
            .bind(fold(&name))
            .fetch_optional(&mut *conn)
            .await
            .db()?;
        if taken.is_none() {
            return Ok(name);
        }
    }
    // The last 12 hexadecimal digits of a UUIDv7 are random.
    let id = id.0.simple().to_string();
    Ok(suffixed(wanted, &id[20..]))
}

fn suffixed(name: &str, suffix: &str) -> String {
    let room = USERNAME_MAX.saturating_sub(suffix.len() + 1);
    let stem: String = name.chars().take(room).collect();
    format!("{stem}-{suffix}")
}

pub(super) async fn one(conn: &mut SqliteConnection, id: UserId) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!("select ", user_columns!(), " from users u where u.id = ?"))
        .bind(id.0)
        .fetch_optional(conn)
        .await
        .db()?;
    row.map(UserRow::into_user).transpose()
}

/// A user of another system.
pub(super) async fn external(conn: &mut SqliteConnection, org: OrgId, external_id: &str) -> Result<Option<User>> {
    let sql = concat!("select ", user_columns!(), " from users u where u.org_id = ? and u.external_id = ?");
    let row: Option<UserRow> = sqlx::query_as(sql).bind(org.0).bind(external_id).fetch_optional(conn).await.db()?;
    row.map(UserRow::into_user).transpose()
}

/// Those of `ids` that exist; in one org when it is given.
pub(super) async fn many(conn: &mut SqliteConnection, org: Option<OrgId>, ids: &[UserId]) -> Result<Vec<User>> {
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        " from users u where u.id in (select unhex(value) from json_each(?1)) and (?2 is null or u.org_id = ?2)"
    ))
    .bind(id_list(ids.iter().map(|id| id.0)))
    .bind(org.map(|org| org.0))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter().map(UserRow::into_user).collect()
}

pub(super) async fn credentials(
    conn: &mut SqliteConnection,
    org: OrgId,
    username: &str,
) -> Result<Option<(User, Option<String>)>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        password_hash: Option<String>,
    }
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        ", u.password_hash from users u where u.org_id = ? and u.username_key = ?"
    ))
    .bind(org.0)
    .bind(fold(username))
    .fetch_optional(conn)
    .await
    .db()?;
    row.map(|row| Ok((row.user.into_user()?, row.password_hash))).transpose()
}

pub(super) async fn update_profile(
    conn: &mut SqliteConnection,
    id: UserId,
    patch: &ProfilePatch,
) -> Result<Option<User>> {
    sqlx::query(
        "update users set display_name = coalesce(?1, display_name), \
         display_name_key = coalesce(?2, display_name_key), \
         avatar_url = case when ?3 then ?4 else avatar_url end, \
         status_text = case when ?5 then ?6 else status_text end where id = ?7",
    )
    .bind(&patch.display_name)
    .bind(patch.display_name.as_deref().map(fold))
    .bind(patch.avatar_url.is_some())
    .bind(patch.avatar_url.clone().flatten())
    .bind(patch.status_text.is_some())
    .bind(patch.status_text.clone().flatten())
    .bind(id.0)
    .execute(&mut *conn)
    .await
    .db()?;
    one(conn, id).await
}

/// The next place in a user's feed. Inside a write transaction.
pub(super) async fn move_feed(conn: &mut SqliteConnection, id: UserId) -> Result<UserSeq> {
    let seq: Option<i64> =
        sqlx::query_scalar("update users set feed_seq = feed_seq + 1 where id = ? returning feed_seq")
            .bind(id.0)
            .fetch_optional(conn)
            .await
            .db()?;
    seq.map(from_db).ok_or(StoreError::Conflict(Conflict::UnknownUser))
}
