//! Messages, and what changed in a conversation.

use axum::{
    Json as Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chat::{Chat, ChatError, Told};
use protocol::{Changes, ConversationId, EditMessage, HistoryWindow, Message, MessageId, Page, SendMessage, Seq};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::created_or_found;
use crate::{
    error::Result,
    extract::{Auth, IdempotencyKey, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(list_messages, send_message)).routes(routes!(list_changes)).routes(routes!(
        get_message,
        edit_message,
        delete_message
    ))
}

/// Which page of a history: at most one of `before`, `after` and `around`; the newest messages without.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryParams {
    /// Messages with a smaller seq, the nearest ones.
    #[param(value_type = Option<u64>)]
    before: Option<Seq>,
    /// Messages with a greater seq, the nearest ones.
    #[param(value_type = Option<u64>)]
    after: Option<Seq>,
    /// Messages on both sides of a seq, it included.
    #[param(value_type = Option<u64>)]
    around: Option<Seq>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl HistoryParams {
    fn window(&self) -> Result<HistoryWindow> {
        match (self.before, self.after, self.around) {
            (None, None, None) => Ok(HistoryWindow::Latest),
            (Some(seq), None, None) => Ok(HistoryWindow::Before(seq)),
            (None, Some(seq), None) => Ok(HistoryWindow::After(seq)),
            (None, None, Some(seq)) => Ok(HistoryWindow::Around(seq)),
            (Some(_), ..) => Err(ChatError::field("before", "cannot go with `after` or `around`").into()),
            (None, Some(_), _) => Err(ChatError::field("after", "cannot go with `around`").into()),
        }
    }
}

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChangesParams {
    /// Everything after this seq; from the beginning when absent.
    #[serde(default)]
    #[param(value_type = u64)]
    after: Seq,
    /// 1–500; 500 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A page of history, ascending by seq. `next_cursor` is the seq to go on with in the same direction.
#[utoipa::path(get, path = "/conversations/{id}/messages", tag = "messages",
    params(("id" = ConversationId, Path, description = "Where."), HistoryParams),
    responses((status = 200, description = "A page.", body = Page<Message>)), security(("bearer" = [])))]
async fn list_messages(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Query(params): Query<HistoryParams>,
) -> Result<Body<Page<Message>>> {
    let window = params.window()?;
    Ok(Body(chat.history(&caller, id, window, params.limit).await?))
}

/// Send a message. Answered when it is committed.
#[utoipa::path(post, path = "/conversations/{id}/messages", tag = "messages", request_body = SendMessage,
    params(
        ("id" = ConversationId, Path, description = "Where."),
        ("Idempotency-Key" = Option<String>, Header, max_length = 64, description = "The same as `client_id`."),
    ),
    responses(
        (status = 201, description = "Sent; `Location` tells where.", body = Message),
        (status = 200, description = "It was sent before: the first message.", body = Message),
    ), security(("bearer" = [])))]
async fn send_message(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    IdempotencyKey(key): IdempotencyKey,
    Json(mut request): Json<SendMessage>,
) -> Result<Response> {
    request.client_id = match (request.client_id.take(), key) {
        (Some(id), Some(key)) if id != key => {
            return Err(ChatError::field("client_id", "differs from the Idempotency-Key").into());
        }
        (id, key) => id.or(key),
    };
    let (message, created) = chat.send(&caller, id, request).await?;
    let path = format!("/v1/messages/{}", message.id);
    Ok(created_or_found(created, &path, Told::into_message(message)).into_response())
}

/// What changed after a seq: each changed message once, in its present state.
#[utoipa::path(get, path = "/conversations/{id}/changes", tag = "messages",
    params(("id" = ConversationId, Path, description = "Where."), ChangesParams),
    responses((status = 200, description = "Ask again from `to` while `more`.", body = Changes)),
    security(("bearer" = [])))]
async fn list_changes(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Query(params): Query<ChangesParams>,
) -> Result<Body<Changes>> {
    Ok(Body(chat.changes(&caller, id, params.after, params.limit).await?))
}

/// One message.
#[utoipa::path(get, path = "/messages/{id}", tag = "messages",
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "The message.", body = Message)), security(("bearer" = [])))]
async fn get_message(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<MessageId>) -> Result<Body<Message>> {
    Ok(Body(chat.message(&caller, id).await?))
}

/// Edit one's own message.
#[utoipa::path(patch, path = "/messages/{id}", tag = "messages", request_body = EditMessage,
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "The message, edited.", body = Message)), security(("bearer" = [])))]
async fn edit_message(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
    Json(request): Json<EditMessage>,
) -> Result<Body<Message>> {
    Ok(Body(chat.edit(&caller, id, request).await?))
}

/// Delete one's own message, or any as an admin of the conversation; deleting twice is fine.
#[utoipa::path(delete, path = "/messages/{id}", tag = "messages",
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "What is left of it.", body = Message)), security(("bearer" = [])))]
async fn delete_message(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
) -> Result<Body<Message>> {
    Ok(Body(chat.delete(&caller, id).await?))
}
