//! About this server: its documents, and a page that shows them.
//!
//! The page is three files inside the binary that load nothing from elsewhere; it reads the two documents beside it.

use std::sync::LazyLock;

use axum::{
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use chat::Chat;
use http::{HeaderName, header};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Made once: they do not change while the process lives.
static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(crate::openapi_document()));
static ASYNCAPI: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(crate::asyncapi_document()));

const PAGE: &str = include_str!("../../assets/docs/index.html");
const SCRIPT: &str = include_str!("../../assets/docs/docs.js");
const STYLE: &str = include_str!("../../assets/docs/docs.css");

/// Scripts, styles and documents from here alone; no one may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(get_openapi))
        .routes(routes!(get_asyncapi))
        .routes(routes!(get_docs))
        .route("/docs/docs.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT.as_bytes()) }))
        .route("/docs/docs.css", get(|| async { file("text/css; charset=utf-8", STYLE.as_bytes()) }))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
async fn get_openapi() -> Response {
    file("application/json", OPENAPI.clone())
}

/// The document of the socket `GET /v1/ws`.
#[utoipa::path(get, path = "/asyncapi.json", tag = "system",
    responses((status = 200, description = "AsyncAPI 3.0.", body = Object)))]
async fn get_asyncapi() -> Response {
    file("application/json", ASYNCAPI.clone())
}

/// Both documents as a page for people. Needs nothing from elsewhere.
#[utoipa::path(get, path = "/docs", tag = "system",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")))]
async fn get_docs() -> Response {
    file("text/html; charset=utf-8", PAGE.as_bytes())
}

fn file(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body.into()).into_response()
}
