//! Delivered and read markers.

use axum::{Json as Body, extract::State};
use chat::Chat;
use protocol::{ConversationId, MarkerRequest, Receipt};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Path},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(mark_read)).routes(routes!(mark_delivered))
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

/// Move one's delivered marker forward.
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
