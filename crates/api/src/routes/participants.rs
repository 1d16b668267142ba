//! Who takes part in a conversation.

use axum::{Json as Body, extract::State};
use chat::Chat;
use http::StatusCode;
use protocol::{AddParticipants, Conversation, ConversationId, Page, Participant, ParticipantPatch, UserId};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SearchParams;
use crate::{
    error::Result,
    extract::{Auth, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(list_participants, add_participants)).routes(routes!(
        get_participant,
        update_participant,
        remove_participant
    ))
}

/// Participants by the time they joined: all, or those whose username or display name begins with `query`, in any
/// case.
#[utoipa::path(get, path = "/conversations/{id}/participants", tag = "participants",
    params(("id" = ConversationId, Path, description = "Where."), SearchParams),
    responses((status = 200, description = "A page.", body = Page<Participant>)), security(("bearer" = [])))]
async fn list_participants(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Query(params): Query<SearchParams>,
) -> Result<Body<Page<Participant>>> {
    Ok(Body(chat.participants(&caller, id, &params.query, params.cursor.as_deref(), params.limit).await?))
}

/// Add people (admins).
#[utoipa::path(post, path = "/conversations/{id}/participants", tag = "participants",
    request_body = AddParticipants, params(("id" = ConversationId, Path, description = "Where.")),
    responses((status = 200, description = "The conversation with them.", body = Conversation)),
    security(("bearer" = [])))]
async fn add_participants(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(request): Json<AddParticipants>,
) -> Result<Body<Conversation>> {
    Ok(Body(chat.add_participants(&caller, id, request).await?))
}

/// One participant.
#[utoipa::path(get, path = "/conversations/{id}/participants/{user_id}", tag = "participants",
    params(("id" = ConversationId, Path, description = "Where."), ("user_id" = UserId, Path, description = "Who.")),
    responses((status = 200, description = "The participant.", body = Participant)), security(("bearer" = [])))]
async fn get_participant(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path((id, user)): Path<(ConversationId, UserId)>,
) -> Result<Body<Participant>> {
    Ok(Body(chat.participant(&caller, id, user).await?))
}

/// Change somebody's role (owners).
#[utoipa::path(patch, path = "/conversations/{id}/participants/{user_id}", tag = "participants",
    request_body = ParticipantPatch,
    params(("id" = ConversationId, Path, description = "Where."), ("user_id" = UserId, Path, description = "Who.")),
    responses((status = 200, description = "The participant, changed.", body = Participant)),
    security(("bearer" = [])))]
async fn update_participant(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path((id, user)): Path<(ConversationId, UserId)>,
    Json(patch): Json<ParticipantPatch>,
) -> Result<Body<Participant>> {
    Ok(Body(chat.update_participant(&caller, id, user, patch).await?))
}

/// Remove somebody (admins), or leave when it is oneself.
#[utoipa::path(delete, path = "/conversations/{id}/participants/{user_id}", tag = "participants",
    params(("id" = ConversationId, Path, description = "Where."), ("user_id" = UserId, Path, description = "Who.")),
    responses((status = 204, description = "They no longer take part.")), security(("bearer" = [])))]
async fn remove_participant(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path((id, user)): Path<(ConversationId, UserId)>,
) -> Result<StatusCode> {
    chat.remove_participant(&caller, id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
