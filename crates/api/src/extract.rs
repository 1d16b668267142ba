//! What handlers take besides a body: who calls, ids in the path, the query, idempotency keys. All refuse with a
//! problem document.

use axum::{
    extract::{FromRequestParts, Path as AxumPath},
    http::request::Parts,
};
use chat::{Caller, Chat, ChatError};
use http::header;
use protocol::{CLIENT_ID_MAX, ErrorCode};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Result};

/// Name of the header that makes a creating call safe to repeat.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The caller, by `Authorization: Bearer …`.
pub(crate) struct Auth(pub(crate) Caller);

impl FromRequestParts<Chat> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, chat: &Chat) -> Result<Self> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(ApiError::new(ErrorCode::NotAuthenticated, "sign in first: there is no Authorization header"));
        };
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            ApiError::new(ErrorCode::NotAuthenticated, "the Authorization header is not of the form `Bearer TOKEN`")
        })?;
        let caller = chat.authenticate(token).await?;
        tracing::Span::current().record("user.id", tracing::field::display(caller.user.id));
        Ok(Self(caller))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Ids in the path. What is no id names nothing: 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::new(ErrorCode::NotFound, "there is no such thing: the id is not a UUID")),
        }
    }
}

/// The query. Parameters that are not known are ignored.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        match path.as_str() {
            "." => ApiError::new(ErrorCode::Invalid, format!("the query does not fit: {message}")),
            field => ChatError::field(field, format!("has a value that is not allowed: {message}")).into(),
        }
    })
}

/// `Idempotency-Key`: 1 to 64 visible ASCII characters.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (1..=CLIENT_ID_MAX).contains(&key.len()));
        match key {
            Some(key) => Ok(Self(Some(key.to_owned()))),
            None => Err(ChatError::field("Idempotency-Key", "must have 1 to 64 visible ASCII characters").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Params {
        cursor: Option<String>,
        limit: Option<u32>,
    }

    #[test]
    fn the_query_names_the_parameter_it_refuses() {
        let params: Params = parse_query("limit=5&cursor=a%20b&other=1").ok().unwrap();
        assert_eq!(params, Params { cursor: Some("a b".into()), limit: Some(5) });
        for bad in ["limit=-1", "limit=1e9", "limit=", "limit=99999999999", "limit=x"] {
            let ApiError(error) = parse_query::<Params>(bad).err().unwrap();
            assert_eq!((error.code, error.errors[0].field.as_str()), (ErrorCode::Invalid, "limit"), "{bad}");
        }
        assert_eq!(parse_query::<Params>("limit=1&limit=2").err().unwrap().0.code, ErrorCode::Invalid);
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn an_idempotency_key_is_short_and_visible() {
        let read = async |value: &[u8]| {
            let request = Request::builder().header(IDEMPOTENCY_KEY, value).body(()).unwrap();
            IdempotencyKey::from_request_parts(&mut request.into_parts().0, &()).await
        };
        assert_eq!(read(b"abc").await.ok().unwrap().0.as_deref(), Some("abc"));
        for bad in [&b""[..], &[b'x'; 65], "é".as_bytes()] {
            assert_eq!(read(bad).await.err().unwrap().0.code, ErrorCode::Invalid);
        }
    }
}
