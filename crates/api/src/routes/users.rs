//! Oneself and others.

use axum::{Json as Body, extract::State};
use chat::Chat;
use protocol::{Page, ProfilePatch, User, UserId};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SearchParams;
use crate::{
    error::Result,
    extract::{Auth, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(get_me, update_me)).routes(routes!(search_users)).routes(routes!(get_user))
}

/// Oneself.
#[utoipa::path(get, path = "/me", tag = "users",
    responses((status = 200, description = "The caller.", body = User)), security(("bearer" = [])))]
async fn get_me(State(chat): State<Chat>, Auth(caller): Auth) -> Result<Body<User>> {
    // Read again: the caller is as of their sign-in, up to a second old.
    Ok(Body(chat.user(&caller, caller.user.id).await?))
}

/// Change one's own profile.
#[utoipa::path(patch, path = "/me", tag = "users", request_body = ProfilePatch,
    responses((status = 200, description = "The caller, changed.", body = User)), security(("bearer" = [])))]
async fn update_me(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Json(patch): Json<ProfilePatch>,
) -> Result<Body<User>> {
    Ok(Body(chat.update_profile(&caller, patch).await?))
}

/// Users whose username or display name begins with `query`, by username.
#[utoipa::path(get, path = "/users", tag = "users", params(SearchParams),
    responses((status = 200, description = "A page.", body = Page<User>)), security(("bearer" = [])))]
async fn search_users(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<SearchParams>,
) -> Result<Body<Page<User>>> {
    Ok(Body(chat.search_users(&caller, &params.query, params.cursor.as_deref(), params.limit).await?))
}

/// One user.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = UserId, Path, description = "Who.")),
    responses((status = 200, description = "The user.", body = User)), security(("bearer" = [])))]
async fn get_user(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<UserId>) -> Result<Body<User>> {
    Ok(Body(chat.user(&caller, id).await?))
}
