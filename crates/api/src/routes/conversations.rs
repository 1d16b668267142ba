//! Conversations.

use axum::{
    Json as Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chat::Chat;
use http::{HeaderMap, StatusCode};
use protocol::{
    Conversation, ConversationFilter, ConversationId, ConversationKind, ConversationPatch, CreateConversation, Page,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SearchParams, created_or_found};
use crate::{
    error::Result,
    etag,
    extract::{Auth, IdempotencyKey, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations, create_conversation))
        .routes(routes!(list_public_conversations))
        .routes(routes!(get_conversation, update_conversation, delete_conversation))
        .routes(routes!(join_conversation))
        .routes(routes!(leave_conversation))
}

/// Which of one's conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Of this kind.
    #[param(inline)]
    kind: Option<ConversationKind>,
    /// With messages that are not read (true), or without.
    unread: Option<bool>,
    /// Archived ones (true), or the others; all when absent.
    archived: Option<bool>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Make a conversation. A direct one is found when the two have it already.
#[utoipa::path(post, path = "/conversations", tag = "conversations", request_body = CreateConversation,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 64,
        description = "Makes the call safe to repeat: the first conversation comes back.")),
    responses(
        (status = 201, description = "Made; `Location` tells where.", body = Conversation),
        (status = 200, description = "It was there.", body = Conversation),
    ), security(("bearer" = [])))]
async fn create_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<CreateConversation>,
) -> Result<Response> {
    let (conversation, created) = chat.create_conversation(&caller, request, key.as_deref()).await?;
    let path = format!("/v1/conversations/{}", conversation.id);
    Ok(created_or_found(created, &path, conversation).into_response())
}

/// One's own conversations, last activity first. Takes `If-None-Match`.
#[utoipa::path(get, path = "/conversations", tag = "conversations", params(ListParams),
    responses(
        (status = 200, description = "A page.", body = Page<Conversation>),
        (status = 304, description = "As the client has it."),
    ), security(("bearer" = [])))]
async fn list_conversations(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<ListParams>,
    headers: HeaderMap,
) -> Result<Response> {
    let filter = ConversationFilter { kind: params.kind, unread: params.unread, archived: params.archived };
    let page = chat.conversations(&caller, &filter, params.cursor.as_deref(), params.limit).await?;
    etag::json(&headers, &page)
}

/// The lobby: public conversations whose title contains `query`, last activity first.
#[utoipa::path(get, path = "/conversations/public", tag = "conversations", params(SearchParams),
    responses((status = 200, description = "A page.", body = Page<Conversation>)), security(("bearer" = [])))]
async fn list_public_conversations(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<SearchParams>,
) -> Result<Body<Page<Conversation>>> {
    let page = chat.public_conversations(&caller, &params.query, params.cursor.as_deref(), params.limit).await?;
    Ok(Body(page))
}

/// One conversation.
#[utoipa::path(get, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 200, description = "The conversation.", body = Conversation)), security(("bearer" = [])))]
async fn get_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
) -> Result<Body<Conversation>> {
    Ok(Body(chat.conversation(&caller, id).await?))
}

/// Change title, description, picture or policy, or put it into the archive or take it out (admins).
#[utoipa::path(patch, path = "/conversations/{id}", tag = "conversations", request_body = ConversationPatch,
    params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 200, description = "The conversation, changed.", body = Conversation)),
    security(("bearer" = [])))]
async fn update_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(patch): Json<ConversationPatch>,
) -> Result<Body<Conversation>> {
    Ok(Body(chat.update_conversation(&caller, id, patch).await?))
}

/// Close a conversation for all (owners).
#[utoipa::path(delete, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 204, description = "Closed.")), security(("bearer" = [])))]
async fn delete_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
) -> Result<StatusCode> {
    chat.delete_conversation(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a public conversation; joining twice is fine.
#[utoipa::path(post, path = "/conversations/{id}/join", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 200, description = "The conversation, joined.", body = Conversation)),
    security(("bearer" = [])))]
async fn join_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
) -> Result<Body<Conversation>> {
    Ok(Body(chat.join(&caller, id).await?))
}

/// Leave a conversation. The last owner hands it over first, unless nobody else is left.
#[utoipa::path(post, path = "/conversations/{id}/leave", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which.")),
    responses((status = 204, description = "Left.")), security(("bearer" = [])))]
async fn leave_conversation(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
) -> Result<StatusCode> {
    chat.leave(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
