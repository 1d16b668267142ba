//! The web client, carried inside the binary, and the answer for what is not there.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use protocol::{ErrorCode, Problem};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../../clients/web"]
#[include = "*.html"]
#[include = "*.js"]
#[include = "*.css"]
#[include = "*.svg"]
#[include = "*.png"]
#[include = "*.ico"]
#[include = "*.woff2"]
#[include = "*.webmanifest"]
#[exclude = "test/*"]
#[exclude = "node_modules/*"]
struct Client;

/// Scripts and styles only from here; sockets anywhere, because the API may have another address than the page.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob: https:; \
                      media-src 'self' blob: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file of the web client; `/` is `index.html`.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Client::get(path) else { return not_found(&uri, &headers) };
    if method != Method::GET && method != Method::HEAD {
        let detail = "this is a page: GET it";
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, detail);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    secured(file_response(path, file, &headers))
}

/// For listeners without a web client.
pub(crate) async fn nothing(uri: Uri) -> Response {
    no_such_route(&uri)
}

fn file_response(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte)));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    // `no-cache` is "ask every time": a new version of the server is seen at once, an unchanged file costs a 304.
    let common = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let body = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
        std::borrow::Cow::Owned(bytes) => Body::from(bytes),
    };
    (common, [(header::CONTENT_TYPE, content_type(path))], body).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

fn secured(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page for people, a problem document for programs.
fn not_found(uri: &Uri, headers: &HeaderMap) -> Response {
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !wants_page || uri.path().starts_with("/v1/") {
        return no_such_route(uri);
    }
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not here</title>\
                <h1>There is no such page</h1><p><a href=\"/\">To the chat</a>";
    secured((StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
}

fn no_such_route(uri: &Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    problem(StatusCode::NOT_FOUND, ErrorCode::NoSuchRoute, &format!("there is no {path} here"))
}

fn problem(status: StatusCode, code: ErrorCode, detail: &str) -> Response {
    let body = Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or_default().into(),
        status: status.as_u16(),
        detail: detail.into(),
        code,
        errors: Vec::new(),
        request_id: None,
        retry_after_ms: None,
    };
    let mut response = (status, axum::Json(body)).into_response();
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
