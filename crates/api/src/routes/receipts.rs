//! Delivered and read markers, and who is typing.

use axum::{Json as Body, extract::State};
use chat::Chat;
use http::StatusCode;
use protocol::{BulkRead, ConversationId, MarkerRequest, Page, Receipt, TypingRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Path},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(mark_read))
        .routes(routes!(mark_delivered))
        .routes(routes!(mark_many))
        .routes(routes!(set_typing))
}

/// Move one's read marker forward (and the delivered marker with it).
#[utoipa::path(post, path = "/conversations/{id}/read", tag = "receipts", request_body = MarkerRequest,
    params(("id" = ConversationId, Path, description = "Where.")),
    responses((status = 200, description = "Where the markers are now.", body = Receipt)),
    security(("bearer" = [])))]
async fn mark_read(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(request): Json<MarkerRequest>,
) -> Result<Body<Receipt>> {
    Ok(Body(chat.mark_read(&caller, id, request.seq).await?))
}

/// Move one's delivered marker forward. Not kept above 100 participants.
#[utoipa::path(post, path = "/conversations/{id}/delivered", tag = "receipts", request_body = MarkerRequest,
    params(("id" = ConversationId, Path, description = "Where.")),
    responses((status = 200, description = "Where the markers are now.", body = Receipt)),
    security(("bearer" = [])))]
async fn mark_delivered(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(request): Json<MarkerRequest>,
) -> Result<Body<Receipt>> {
    Ok(Body(chat.mark_delivered(&caller, id, request.seq).await?))
}

/// Move one's read markers forward in many conversations at once. Those that one does not take part in are left out
/// of the answer.
#[utoipa::path(post, path = "/read", tag = "receipts", request_body = BulkRead,
    responses((status = 200, description = "Where the markers are now; `next_cursor` is null.", body = Page<Receipt>)),
    security(("bearer" = [])))]
async fn mark_many(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Json(request): Json<BulkRead>,
) -> Result<Body<Page<Receipt>>> {
    let items = chat.mark_many(&caller, request).await?;
    Ok(Body(Page { items, next_cursor: None }))
}

/// Say that one is typing, every 3 s while it is so, or that one stopped. Others forget it after 5 s.
#[utoipa::path(post, path = "/conversations/{id}/typing", tag = "receipts", request_body = TypingRequest,
    params(("id" = ConversationId, Path, description = "Where.")),
    responses((status = 204, description = "Told to who is there now.")), security(("bearer" = [])))]
async fn set_typing(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ConversationId>,
    Json(request): Json<TypingRequest>,
) -> Result<StatusCode> {
    chat.typing(&caller, id, request.typing).await?;
    Ok(StatusCode::NO_CONTENT)
}
