//! About this server.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use chat::Chat;
use http::header;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Made once: it does not change while the process lives.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(crate::openapi_document()));

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(get_openapi))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")))]
async fn get_openapi() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Bytes::clone(&DOCUMENT))
}
