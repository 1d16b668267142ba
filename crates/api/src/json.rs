//! JSON bodies in, with an error that says what is wrong and where.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
};
use chat::ChatError;
use http::{HeaderMap, StatusCode, header};
use protocol::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{ApiError, Result};

/// A JSON body. 415 for another content type, 413 over the limit, 400 `bad_json` for what is not JSON, 400
/// `invalid` naming the field for JSON that does not fit.
pub(crate) struct Json<T>(pub(crate) T);

/// As [`Json`]; no body at all is the default.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            return Err(wrong_type());
        }
        let body = read(request, state).await?;
        decode(&body).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let json = is_json(request.headers());
        let body = read(request, state).await?;
        match (body.is_empty(), json) {
            (true, _) => Ok(Self(T::default())),
            (false, true) => decode(&body).map(Self),
            (false, false) => Err(wrong_type()),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn wrong_type() -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMediaType, "the body must be application/json")
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::new(ErrorCode::TooLarge, "the body is over the limit")
        } else {
            ApiError::new(ErrorCode::BadJson, "the body ended before it was complete")
        }
    })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // serde reads an array into a struct by position; no client of ours means that.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(match whole(body) {
            Ok(()) => ApiError::new(ErrorCode::Invalid, "the body must be a JSON object"),
            Err(error) => not_json(&error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refusal(body, &path, &error.into_inner())
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Whether all of it is one JSON document, whatever it says.
fn whole(body: &[u8]) -> serde_json::Result<()> {
    serde_json::from_slice::<serde_json::Value>(body).map(drop)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::BadJson, format!("the body is not JSON: {}", protocol::describe(error)))
}

fn refusal(body: &[u8], path: &str, error: &serde_json::Error) -> ApiError {
    let message = match error.classify() {
        Category::Data => protocol::describe(error),
        // serde_json calls it a fault of the text when an enum meets a number.
        _ if whole(body).is_ok() => "has a value of the wrong type".to_owned(),
        _ => return not_json(error),
    };
    match field(path, &message) {
        Some(field) => {
            let mut refused = ChatError::field(&field, &message);
            refused.message = format!("{field}: {message}");
            refused.into()
        }
        None => ApiError::new(ErrorCode::Invalid, format!("the body does not fit: {message}")),
    }
}

/// The refused field, dotted (`attachments.0.url`). Of one that is missing or unknown the path names the parent, and
/// the text the field.
fn field(path: &str, message: &str) -> Option<String> {
    let named = ["missing field `", "unknown field `"].iter().find_map(|start| {
        let rest = message.strip_prefix(start)?;
        Some(&rest[..rest.find('`')?])
    });
    let path = &path.replace('[', ".").replace(']', "");
    match (path.as_str(), named) {
        (".", None) => None,
        (".", Some(name)) => Some(name.to_owned()),
        (path, Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => Some(format!("{path}.{name}")),
        (path, _) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use protocol::{CreateConversation, GuestRequest, LogoutRequest};

    use super::*;

    fn request(content_type: Option<&str>, body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        if let Some(value) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, value.parse().unwrap());
        }
        request
    }

    async fn refusal<T: DeserializeOwned>(content_type: Option<&str>, body: impl Into<Body>) -> ChatError {
        match Json::<T>::from_request(request(content_type, body), &()).await {
            Ok(_) => panic!("it should be refused"),
            Err(ApiError(error)) => error,
        }
    }

    #[tokio::test]
    async fn the_content_type_must_be_json() {
        let body = r#"{"username":"zoe"}"#;
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(Json::<GuestRequest>::from_request(request(Some(good), body), &()).await.is_ok(), "{good}");
        }
        for bad in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("json")] {
            assert_eq!(refusal::<GuestRequest>(bad, body).await.code, ErrorCode::UnsupportedMediaType, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_json_is_told_from_json_that_does_not_fit() {
        let json = Some("application/json");
        for bad in [&b""[..], b"{", b"{\"username\":\"\\ud800\"}", b"\xff", b"{\"username\":\"a\"} x"] {
            assert_eq!(refusal::<GuestRequest>(json, bad.to_vec()).await.code, ErrorCode::BadJson, "{bad:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(refusal::<GuestRequest>(json, deep).await.code, ErrorCode::BadJson | ErrorCode::Invalid));
    }

    #[tokio::test]
    async fn the_field_is_named() {
        let json = Some("application/json");
        for (body, field) in [
            (r"{}", "kind"),
            (r#"{"kind":"secret"}"#, "kind"),
            (r#"{"kind":5}"#, "kind"),
            (r#"{"kind":"group","size":3}"#, "size"),
            (r#"{"kind":"group","title":7}"#, "title"),
            (r#"{"kind":"group","participant_ids":["x"]}"#, "participant_ids.0"),
            (r#"{"kind":"group","subject":{"type":"a","id":"1"}}"#, "subject.title"),
        ] {
            let error = refusal::<CreateConversation>(json, body).await;
            assert_eq!(error.code, ErrorCode::Invalid, "{body}");
            assert_eq!(error.errors[0].field, field, "{body}");
        }
        for array in ["[]", r#"["group"]"#, " 5", "null"] {
            assert_eq!(refusal::<CreateConversation>(json, array).await.code, ErrorCode::Invalid, "{array}");
        }
    }

    #[tokio::test]
    async fn no_body_is_the_default_where_a_body_is_optional() {
        let OptionalJson(logout) =
            OptionalJson::<LogoutRequest>::from_request(request(None, Body::empty()), &()).await.ok().unwrap();
        assert!(!logout.all);
        let plain = OptionalJson::<LogoutRequest>::from_request(request(None, "{}"), &()).await;
        assert_eq!(plain.err().unwrap().0.code, ErrorCode::UnsupportedMediaType);
    }
}
