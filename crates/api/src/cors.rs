//! Which pages of other origins may call from a browser. Credentials are bearer tokens, never cookies, so no
//! origin gets more than it could have with the token alone.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::ApiConfig;

/// How long a browser may remember the answer to its question.
const MAX_AGE: Duration = Duration::from_hours(1);

/// `None`: same origin only.
pub(crate) fn layer(config: &ApiConfig) -> Result<Option<CorsLayer>, String> {
    let origins = if config.any_origin {
        AllowOrigin::any()
    } else if config.cors_origins.is_empty() {
        return Ok(None);
    } else {
        AllowOrigin::list(config.cors_origins.iter().map(|origin| exact(origin)).collect::<Result<Vec<_>, _>>()?)
    };
    let request_id = HeaderName::from_static("x-request-id");
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            request_id.clone(),
            crate::observe::TRACEPARENT,
        ])
        .expose_headers([request_id, header::RETRY_AFTER, header::LOCATION, header::ETAG])
        .max_age(MAX_AGE);
    Ok(Some(layer))
}

/// Browsers send scheme, host and port, and are compared with exactly that.
fn exact(origin: &str) -> Result<HeaderValue, String> {
    let wrong = || format!("`{origin}` is not an origin: write it as https://HOST or https://HOST:PORT");
    let uri: Uri = origin.parse().map_err(|_| wrong())?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    let written = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
    if written != origin || authority.as_str().contains('@') {
        return Err(wrong());
    }
    HeaderValue::from_str(origin).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_taken() {
        for good in ["https://app.example", "http://localhost:5173", "http://127.0.0.1:8080"] {
            assert!(exact(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "app.example", "https://app.example/", "https://a.b/c", "ftp://a", "https://u@h"] {
            assert!(exact(bad).is_err(), "{bad}");
        }
    }
}
