//! Announcements to everybody of an org.

use axum::{
    Json as Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chat::Chat;
use http::StatusCode;
use protocol::{Announcement, AnnouncementList, AnnouncementsRead, CreateAnnouncement, ReadAnnouncements};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::PageParams;
use crate::{
    error::Result,
    extract::{Auth, IdempotencyKey, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(list_announcements, create_announcement)).routes(routes!(read_announcements))
}

/// Announcements, newest first, and how far one has read.
#[utoipa::path(get, path = "/announcements", tag = "notifications", params(PageParams),
    responses((status = 200, description = "A page.", body = AnnouncementList)), security(("bearer" = [])))]
async fn list_announcements(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<PageParams>,
) -> Result<Body<AnnouncementList>> {
    Ok(Body(chat.announcements(&caller, params.cursor.as_deref(), params.limit).await?))
}

/// Announce something to everybody of the org (org admins).
#[utoipa::path(post, path = "/announcements", tag = "org", request_body = CreateAnnouncement,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 64,
        description = "Makes the call safe to repeat: the first announcement comes back.")),
    responses(
        (status = 201, description = "Made.", body = Announcement),
        (status = 200, description = "It was made before: the first one.", body = Announcement),
    ), security(("bearer" = [])))]
async fn create_announcement(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<CreateAnnouncement>,
) -> Result<Response> {
    let (announcement, created) = chat.announce(&caller, request, key.as_deref()).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Body(announcement)).into_response())
}

/// Move one's marker forward: announcements up to a seq are read.
#[utoipa::path(post, path = "/announcements/read", tag = "notifications", request_body = ReadAnnouncements,
    responses((status = 200, description = "Where the marker is now.", body = AnnouncementsRead)),
    security(("bearer" = [])))]
async fn read_announcements(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Json(request): Json<ReadAnnouncements>,
) -> Result<Body<AnnouncementsRead>> {
    Ok(Body(chat.read_announcements(&caller, request).await?))
}
