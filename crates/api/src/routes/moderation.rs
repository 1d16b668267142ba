//! Blocking and reporting.

use axum::{
    Json as Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chat::Chat;
use http::StatusCode;
use protocol::{CreateReport, Page, Report, User, UserId};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::PageParams;
use crate::{
    error::Result,
    extract::{Auth, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(block_user, unblock_user))
        .routes(routes!(list_blocks))
        .routes(routes!(create_report))
}

/// Block a user: they can open no direct conversation with one, nor notify one.
#[utoipa::path(put, path = "/users/{id}/block", tag = "users", params(("id" = UserId, Path, description = "Whom.")),
    responses((status = 204, description = "Blocked.")), security(("bearer" = [])))]
async fn block_user(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<UserId>) -> Result<StatusCode> {
    chat.set_blocked(&caller, id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unblock a user.
#[utoipa::path(delete, path = "/users/{id}/block", tag = "users",
    params(("id" = UserId, Path, description = "Whom.")),
    responses((status = 204, description = "No longer blocked.")), security(("bearer" = [])))]
async fn unblock_user(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<UserId>) -> Result<StatusCode> {
    chat.set_blocked(&caller, id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom one has blocked, the last first.
#[utoipa::path(get, path = "/me/blocks", tag = "users", params(PageParams),
    responses((status = 200, description = "A page.", body = Page<User>)), security(("bearer" = [])))]
async fn list_blocks(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<PageParams>,
) -> Result<Body<Page<User>>> {
    Ok(Body(chat.blocked_users(&caller, params.cursor.as_deref(), params.limit).await?))
}

/// Report a message or a user to the admins of the org.
#[utoipa::path(post, path = "/reports", tag = "users", request_body = CreateReport,
    responses(
        (status = 201, description = "Reported.", body = Report),
        (status = 200, description = "One had reported it before: the first report.", body = Report),
    ), security(("bearer" = [])))]
async fn create_report(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Json(request): Json<CreateReport>,
) -> Result<Response> {
    let (report, created) = chat.report(&caller, request).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Body(report)).into_response())
}
