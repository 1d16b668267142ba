//! Notifications, what one wants to be told of, and the badges.

use axum::{Json as Body, extract::State, response::Response};
use chat::Chat;
use http::HeaderMap;
use protocol::{
    ConversationId, NotificationList, NotificationPreferences, NotificationPreferencesPatch, NotificationsRead,
    Preferences, PreferencesPatch, ReadNotifications, Unread,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    etag,
    extract::{Auth, Path, Query},
    json::{Json, OptionalJson},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(get_unread))
        .routes(routes!(list_notifications))
        .routes(routes!(read_notifications))
        .routes(routes!(get_notification_preferences, update_notification_preferences))
        .routes(routes!(update_preferences))
}

/// Which notifications.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NotificationParams {
    /// Only those that are not read.
    #[serde(default)]
    unread: bool,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// The badges: how much is not read. Takes `If-None-Match`.
#[utoipa::path(get, path = "/unread", tag = "notifications",
    responses(
        (status = 200, description = "The numbers.", body = Unread),
        (status = 304, description = "As the client has them."),
    ), security(("bearer" = [])))]
async fn get_unread(State(chat): State<Chat>, Auth(caller): Auth, headers: HeaderMap) -> Result<Response> {
    etag::json(&headers, &chat.unread(&caller).await?)
}

/// One's own notifications, newest first; on the first page also conversations with new messages.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(NotificationParams),
    responses((status = 200, description = "A page.", body = NotificationList)), security(("bearer" = [])))]
async fn list_notifications(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<NotificationParams>,
) -> Result<Body<NotificationList>> {
    Ok(Body(chat.notifications(&caller, params.unread, params.cursor.as_deref(), params.limit).await?))
}

/// Mark notifications read: some, or all. The body may be absent: all.
#[utoipa::path(post, path = "/notifications/read", tag = "notifications", request_body = Option<ReadNotifications>,
    responses((status = 200, description = "What is left.", body = NotificationsRead)), security(("bearer" = [])))]
async fn read_notifications(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    OptionalJson(request): OptionalJson<ReadNotifications>,
) -> Result<Body<NotificationsRead>> {
    Ok(Body(chat.read_notifications(&caller, request).await?))
}

/// What one wants to be told of, in all conversations.
#[utoipa::path(get, path = "/me/notification-preferences", tag = "notifications",
    responses((status = 200, description = "The settings.", body = NotificationPreferences)),
    security(("bearer" = [])))]
async fn get_notification_preferences(
    State(chat): State<Chat>,
    Auth(caller): Auth,
) -> Result<Body<NotificationPreferences>> {
    Ok(Body(chat.notification_preferences(&caller).await?))
}

/// Change what one wants to be told of, in all conversations.
#[utoipa::path(patch, path = "/me/notification-preferences", tag = "notifications",
    request_body = NotificationPreferencesPatch,
    responses((status = 200, description = "The settings, changed.", body = NotificationPreferences)),
    security(("bearer" = [])))]
async fn update_notification_preferences(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Json(patch): Json<NotificationPreferencesPatch>,
) -> Result<Body<NotificationPreferences>> {
    Ok(Body(chat.set_notification_preferences(&caller, patch).await?))
}

/// Change one's own settings of a conversation: what to be told of, mute, its place in one's list.
#[utoipa::path(patch, path = "/conversations/{id}/preferences", tag = "conversations",
    request_body = PreferencesPatch, params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 200, description = "The settings, changed.", body = Preferences)),
    security(("bearer" = [])))]
async fn update_preferences(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(patch): Json<PreferencesPatch>,
) -> Result<Body<Preferences>> {
    Ok(Body(chat.set_preferences(&caller, id, patch).await?))
}
