//! Reactions and pins of a message. Each is a toggle that may be repeated.

use axum::{Json as Body, extract::State};
use chat::Chat;
use protocol::{ConversationId, Message, MessageId, Page, Reactor};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Path, Query},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(list_reactions))
        .routes(routes!(add_reaction, remove_reaction))
        .routes(routes!(pin_message, unpin_message))
        .routes(routes!(list_pins))
}

/// Which reactions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReactionParams {
    /// With this emoji; with any when absent.
    emoji: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Who reacted, in the order of time.
#[utoipa::path(get, path = "/messages/{id}/reactions", tag = "messages",
    params(("id" = MessageId, Path, description = "Which."), ReactionParams),
    responses((status = 200, description = "A page.", body = Page<Reactor>)), security(("bearer" = [])))]
async fn list_reactions(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
    Query(params): Query<ReactionParams>,
) -> Result<Body<Page<Reactor>>> {
    let emoji = params.emoji.as_deref();
    Ok(Body(chat.reactors(&caller, id, emoji, params.cursor.as_deref(), params.limit).await?))
}

/// React to a message. At most 20 distinct emoji under one message.
#[utoipa::path(put, path = "/messages/{id}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = MessageId, Path, description = "Which."),
        ("emoji" = String, Path, description = "One emoji, percent-encoded."),
    ),
    responses((status = 200, description = "The message with the reaction.", body = Message)),
    security(("bearer" = [])))]
async fn add_reaction(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path((id, emoji)): Path<(MessageId, String)>,
) -> Result<Body<Message>> {
    Ok(Body(chat.react(&caller, id, &emoji, true).await?))
}

/// Take a reaction back.
#[utoipa::path(delete, path = "/messages/{id}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = MessageId, Path, description = "Which."),
        ("emoji" = String, Path, description = "One emoji, percent-encoded."),
    ),
    responses((status = 200, description = "The message without it.", body = Message)),
    security(("bearer" = [])))]
async fn remove_reaction(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path((id, emoji)): Path<(MessageId, String)>,
) -> Result<Body<Message>> {
    Ok(Body(chat.react(&caller, id, &emoji, false).await?))
}

/// Pin a message (admins; in a direct conversation both).
#[utoipa::path(put, path = "/messages/{id}/pin", tag = "messages",
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "The message, pinned.", body = Message)), security(("bearer" = [])))]
async fn pin_message(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<MessageId>) -> Result<Body<Message>> {
    Ok(Body(chat.pin(&caller, id, true).await?))
}

/// Unpin it.
#[utoipa::path(delete, path = "/messages/{id}/pin", tag = "messages",
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "The message, no longer pinned.", body = Message)),
    security(("bearer" = [])))]
async fn unpin_message(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
) -> Result<Body<Message>> {
    Ok(Body(chat.pin(&caller, id, false).await?))
}

/// Pinned messages, the last pinned first.
#[utoipa::path(get, path = "/conversations/{id}/pins", tag = "messages",
    params(("id" = ConversationId, Path, description = "Where.")),
    responses((status = 200, description = "All of them; `next_cursor` is null.", body = Page<Message>)),
    security(("bearer" = [])))]
async fn list_pins(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
) -> Result<Body<Page<Message>>> {
    Ok(Body(chat.pins(&caller, id).await?))
}
