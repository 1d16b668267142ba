//! What hangs on one message: its thread, what it said before, how far it got.

use axum::{Json as Body, extract::State};
use chat::Chat;
use protocol::{MessageId, MessageReceipts, MessageVersions, ThreadPage};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::PageParams;
use crate::{
    error::Result,
    extract::{Auth, Path, Query},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(get_thread)).routes(routes!(list_edits)).routes(routes!(list_receipts))
}

/// A thread: the message that it hangs under, and its replies, ascending.
#[utoipa::path(get, path = "/messages/{id}/thread", tag = "messages",
    params(("id" = MessageId, Path, description = "The thread's root."), PageParams),
    responses((status = 200, description = "A page.", body = ThreadPage)), security(("bearer" = [])))]
async fn get_thread(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
    Query(params): Query<PageParams>,
) -> Result<Body<ThreadPage>> {
    Ok(Body(chat.thread(&caller, id, params.cursor.as_deref(), params.limit).await?))
}

/// What a message said before each of its edits, oldest first.
#[utoipa::path(get, path = "/messages/{id}/edits", tag = "messages",
    params(("id" = MessageId, Path, description = "Which.")),
    responses((status = 200, description = "All of them.", body = MessageVersions)), security(("bearer" = [])))]
async fn list_edits(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
) -> Result<Body<MessageVersions>> {
    Ok(Body(chat.versions(&caller, id).await?))
}

/// Who got and who read a message, by the time they joined.
#[utoipa::path(get, path = "/messages/{id}/receipts", tag = "receipts",
    params(("id" = MessageId, Path, description = "Which."), PageParams),
    responses((status = 200, description = "A page, and how many in all.", body = MessageReceipts)),
    security(("bearer" = [])))]
async fn list_receipts(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<MessageId>,
    Query(params): Query<PageParams>,
) -> Result<Body<MessageReceipts>> {
    Ok(Body(chat.message_receipts(&caller, id, params.cursor.as_deref(), params.limit).await?))
}
