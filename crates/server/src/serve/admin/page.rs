//! The operators' page: static files that hold nothing; what it shows it asks the API for, with the token that its
//! reader gives it.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

/// Scripts, styles and calls of this address only.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

macro_rules! file {
    ($name:literal, $kind:literal) => {
        get(|| async { file($kind, include_str!(concat!("../../../../../clients/admin/", $name))) })
    };
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/admin", get(|| async { Redirect::temporary("/admin/") }))
        .route("/admin/", file!("index.html", "text/html; charset=utf-8"))
        .route("/admin/admin.css", file!("admin.css", "text/css; charset=utf-8"))
        .route("/admin/admin.js", file!("admin.js", "text/javascript; charset=utf-8"))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
