//! `ETag` and `If-None-Match` for lists that clients poll: the body is still made, but not sent again.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use chat::ChatError;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use protocol::ErrorCode;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Result;

/// The value as JSON with its tag, or 304 when the client has it.
pub(crate) fn json(request: &HeaderMap, value: &impl Serialize) -> Result<Response> {
    let body = serde_json::to_vec(value)
        .map_err(|e| ChatError::new(ErrorCode::Internal, "something failed here").because(e))?;
    let tag = tag(&body);
    let mut response = if has(request, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let headers = response.headers_mut();
    // Hex in quotes is always a header value.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn tag(body: &[u8]) -> String {
    use std::fmt::Write;
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(body)[..16] {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Weak comparison (RFC 9110): what a proxy made of the tag does not matter.
fn has(request: &HeaderMap, tag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let mut request = HeaderMap::new();
        let first = json(&request, &[1, 2, 3]).ok().unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        let weak = format!("\"other\", W/{}", tag.to_str().unwrap());
        request.insert(header::IF_NONE_MATCH, weak.parse().unwrap());
        assert_eq!(json(&request, &[1, 2, 3]).ok().unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(json(&request, &[1, 2]).ok().unwrap().status(), StatusCode::OK);
    }
}
