//! Orgs and users.

use protocol::{OrgId, OrgRole, ProfilePatch, USERNAME_MAX, User, UserId};
use sqlx::{FromRow, PgPool, Row};
use uuid::Uuid;

use super::{
    fault::{Fault, Outcome},
    rows::{UserRow, user_columns, users},
    values::{Word, fold},
};
use crate::{ExternalUser, NewUser};

/// Finds or makes the org with this slug.
pub(super) async fn ensure_org(pool: &PgPool, slug: &str) -> Outcome<OrgId> {
    // Nearly always it is there; only when it is not does this write, and another node may be doing the same.
    for _ in 0..2 {
        let found: Option<Uuid> =
            sqlx::query_scalar("SELECT id FROM orgs WHERE slug = $1").bind(slug).fetch_optional(pool).await?;
        if let Some(id) = found {
            return Ok(OrgId(id));
        }
        sqlx::query("INSERT INTO orgs (id, slug, name) VALUES ($1, $2, $2) ON CONFLICT (slug) DO NOTHING")
            .bind(OrgId::generate().0)
            .bind(slug)
            .execute(pool)
            .await?;
    }
    let id: Uuid = sqlx::query_scalar("SELECT id FROM orgs WHERE slug = $1").bind(slug).fetch_one(pool).await?;
    Ok(OrgId(id))
}

/// Makes a user.
pub(super) async fn create(pool: &PgPool, user: &NewUser) -> Outcome<User> {
    let row: UserRow = sqlx::query_as(concat!(
        "INSERT INTO users AS u (id, org_id, username, username_key, display_name, display_name_key, password_hash,
                                 guest, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ",
        user_columns!()
    ))
    .bind(user.id.0)
    .bind(user.org_id.0)
    .bind(&user.username)
    .bind(fold(&user.username))
    .bind(&user.display_name)
    .bind(fold(&user.display_name))
    .bind(&user.password_hash)
    .bind(user.guest)
    .bind(user.now.get())
    .fetch_one(pool)
    .await?;
    Ok(row.user())
}

/// Finds the user that another system's token names, or makes them.
pub(super) async fn upsert_external(pool: &PgPool, token: &ExternalUser) -> Outcome<User> {
    for username in usernames(&token.username, token.id) {
        if let Some(user) = by_external_id(pool, token).await? {
            return follow_token(pool, user, token).await;
        }
        // Nothing comes back when this user was made just now by another node, or the name is taken.
        let display_name = token.display_name.as_ref().unwrap_or(&token.username);
        let made: Option<UserRow> = sqlx::query_as(concat!(
            "INSERT INTO users AS u (id, org_id, external_id, username, username_key, display_name, display_name_key,
                                     avatar_url, role, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING ",
            user_columns!()
        ))
        .bind(token.id.0)
        .bind(token.org_id.0)
        .bind(&token.external_id)
        .bind(&username)
        .bind(fold(&username))
        .bind(display_name)
        .bind(fold(display_name))
        .bind(&token.avatar_url)
        .bind(token.role.unwrap_or(OrgRole::Member).word())
        .bind(token.now.get())
        .fetch_optional(pool)
        .await?;
        if let Some(row) = made {
            return Ok(row.user());
        }
    }
    match by_external_id(pool, token).await? {
        Some(user) => follow_token(pool, user, token).await,
        None => Err(Fault::internal("no username was free for a user of another system")),
    }
}

/// Names to try, in order; the last two cannot be taken by chance.
fn usernames(wanted: &str, id: UserId) -> Vec<String> {
    let with = |suffix: &str| {
        let room = USERNAME_MAX.saturating_sub(suffix.len() + 1);
        format!("{}-{suffix}", wanted.chars().take(room).collect::<String>())
    };
    let id = id.0.simple().to_string();
    let mut names = vec![wanted.to_owned()];
    names.extend((2..=5).map(|n| with(&n.to_string())));
    // The end of a UUIDv7 is random.
    names.push(with(id.get(20..).unwrap_or(&id)));
    names.push(id);
    names
}

async fn by_external_id(pool: &PgPool, token: &ExternalUser) -> Outcome<Option<User>> {
    let row: Option<UserRow> =
        sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.org_id = $1 AND u.external_id = $2"))
            .bind(token.org_id.0)
            .bind(&token.external_id)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(UserRow::user))
}

/// Name, picture and role follow the token where it has them; nothing is written when nothing changes.
async fn follow_token(pool: &PgPool, user: User, token: &ExternalUser) -> Outcome<User> {
    let display_name = token.display_name.as_ref().unwrap_or(&user.display_name);
    let avatar_url = token.avatar_url.as_ref().or(user.avatar_url.as_ref());
    let role = token.role.unwrap_or(user.role);
    if *display_name == user.display_name && avatar_url == user.avatar_url.as_ref() && role == user.role {
        return Ok(user);
    }
    let row: UserRow = sqlx::query_as(concat!(
        "UPDATE users u SET display_name = $2, display_name_key = $3, avatar_url = $4, role = $5
         WHERE u.id = $1 RETURNING ",
        user_columns!()
    ))
    .bind(user.id.0)
    .bind(display_name)
    .bind(fold(display_name))
    .bind(avatar_url)
    .bind(role.word())
    .fetch_one(pool)
    .await?;
    Ok(row.user())
}

/// One user.
pub(super) async fn one(pool: &PgPool, id: UserId) -> Outcome<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1"))
        .bind(id.0)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(UserRow::user))
}

/// Those of `ids` that exist in the org.
pub(super) async fn some(pool: &PgPool, org: OrgId, ids: &[UserId]) -> Outcome<Vec<User>> {
    let rows: Vec<UserRow> =
        sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1) AND u.org_id = $2"))
            .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .bind(org.0)
            .fetch_all(pool)
            .await?;
    Ok(users(rows))
}

/// A user by name, with their password hash.
pub(super) async fn credentials(pool: &PgPool, org: OrgId, username: &str) -> Outcome<Option<(User, Option<String>)>> {
    let row = sqlx::query(concat!(
        "SELECT u.password_hash, ",
        user_columns!(),
        " FROM users u WHERE u.org_id = $1 AND u.username_key = $2"
    ))
    .bind(org.0)
    .bind(fold(username))
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((UserRow::from_row(&row)?.user(), row.try_get("password_hash")?)))
}

/// Changes what the patch names.
pub(super) async fn update_profile(pool: &PgPool, id: UserId, patch: &ProfilePatch) -> Outcome<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "UPDATE users u SET
             display_name = coalesce($2, u.display_name),
             display_name_key = coalesce($3, u.display_name_key),
             avatar_url = CASE WHEN $4 THEN $5 ELSE u.avatar_url END,
             status_text = CASE WHEN $6 THEN $7 ELSE u.status_text END
         WHERE u.id = $1 RETURNING ",
        user_columns!()
    ))
    .bind(id.0)
    .bind(&patch.display_name)
    .bind(patch.display_name.as_deref().map(fold))
    .bind(patch.avatar_url.is_some())
    .bind(patch.avatar_url.as_ref().and_then(Option::as_ref))
    .bind(patch.status_text.is_some())
    .bind(patch.status_text.as_ref().and_then(Option::as_ref))
    .fetch_optional(pool)
    .await?;
    Ok(row.map(UserRow::user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_to_try_fits_and_the_last_are_unlike_any_other() {
        let names = usernames(&"é".repeat(USERNAME_MAX), UserId::generate());
        assert!(names.iter().all(|name| name.chars().count() <= USERNAME_MAX));
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
