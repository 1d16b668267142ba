//! REST: a router over `chat`. Handlers decode, call one method, encode.

use std::time::Duration;

use chat::Chat;

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

/// Everything under `/v1` but the sockets, with its own fallback for unknown `/v1` routes.
pub fn router(_chat: Chat, _config: ApiConfig, _registry: &prometheus::Registry) -> Result<axum::Router, String> {
    unimplemented!()
}

/// The OpenAPI document of those routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    unimplemented!()
}
