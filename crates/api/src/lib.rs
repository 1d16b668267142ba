//! REST: a router over `chat`. Handlers decode, call one method, encode.
//!
//! Everything that is refused, here or below, is answered with `application/problem+json` and a stable code; see
//! [`error`](mod@error) for the one place where a code becomes a status. The routes' own doc comments are the
//! OpenAPI document.

mod cors;
mod documents;
mod error;
mod etag;
mod extract;
mod json;
mod observe;
mod routes;

use std::time::Duration;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use chat::Chat;
use http::header;
use tower_http::{catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer};

pub use documents::{PLACEHOLDERS, asyncapi_document, errors_document, openapi_document, typescript_document};

/// A refusal as a problem document, for routers of others.
pub fn refusal(error: chat::ChatError) -> axum::response::Response {
    axum::response::IntoResponse::into_response(error::ApiError(error))
}

/// What the operator may set.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Origins that browsers may call from; empty: same origin only.
    pub cors_origins: Vec<String>,
    /// Any origin may call.
    pub any_origin: bool,
    /// A request that takes longer gets 503 `timeout`.
    pub request_timeout: Duration,
    /// Largest body, bytes.
    pub body_limit: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            any_origin: false,
            request_timeout: Duration::from_secs(10),
            body_limit: 256 * 1024,
        }
    }
}

/// Everything under `/v1` but the sockets, with its own answer for unknown `/v1` routes. It sets no fallback of the
/// whole router, so that it can be merged with others. Fails on an origin that is none and when the metrics are
/// registered already; the message is fit for an operator.
#[allow(clippy::needless_pass_by_value)] // Handed over, like the chat: callers have no use for it afterwards.
pub fn router(chat: Chat, config: ApiConfig, registry: &prometheus::Registry) -> Result<Router, String> {
    let routes = routes::routes();
    let metrics = observe::Metrics::register(registry, &routes::known(routes.get_openapi()))?;
    let cors = cors::layer(&config)?;
    let timeout = config.request_timeout;
    // `route_layer`, so that the fallback of a router that this is merged into stays its own. The last layer is the
    // outermost: what is refused by any of them is still counted, logged and given its
    // request id by `observe`, and carries CORS headers, so that browsers can read it.
    let mut router = Router::from(routes)
        .with_state(chat)
        .method_not_allowed_fallback(error::method_not_allowed)
        .route_layer(DefaultBodyLimit::max(config.body_limit))
        .route_layer(middleware::from_fn(move |request, next| error::within(timeout, request, next)))
        .route_layer(CatchPanicLayer::custom(error::from_panic));
    if let Some(cors) = cors {
        router = router.route_layer(cors);
    }
    Ok(router
        .route_layer(middleware::from_fn(move |request, next| observe::observe(metrics.clone(), request, next)))
        .route_layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE])))
}
