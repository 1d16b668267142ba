//! How a refusal looks over HTTP: one status per code, a problem document (RFC 9457), and the headers that go with
//! them. What really happened stays in [`Failure`] for the log and is never sent.

use std::{any::Any, error::Error, time::Duration};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat::ChatError;
use http::{HeaderValue, StatusCode, header};
use protocol::{ErrorCode, Problem};

/// What a 503 or 429 says when nobody knows better, milliseconds.
const DEFAULT_RETRY_MS: u64 = 1_000;

/// Result of a handler.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) ChatError);

/// What the outermost layer needs to finish the answer: the document, which still lacks the request's id, and the
/// cause. Travels in the response's extensions.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    pub(crate) cause: Option<String>,
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        Self(error)
    }
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ChatError::new(code, message))
    }
}

/// The status of a code.
pub(crate) fn status(code: ErrorCode) -> StatusCode {
    use ErrorCode as Code;
    match code {
        Code::BadJson | Code::Invalid | Code::UnknownCommand => StatusCode::BAD_REQUEST,
        Code::NotAuthenticated | Code::TokenExpired | Code::SessionRevoked | Code::InvalidCredentials => {
            StatusCode::UNAUTHORIZED
        }
        Code::UserDisabled
        | Code::SignInDisabled
        | Code::Forbidden
        | Code::NotAParticipant
        | Code::PostingRestricted
        | Code::EditWindowPassed
        | Code::Blocked => StatusCode::FORBIDDEN,
        Code::NotFound | Code::NoSuchRoute => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::UsernameTaken
        | Code::IdempotencyConflict
        | Code::LastOwner
        | Code::MessageDeleted
        | Code::Archived
        | Code::WrongKind
        | Code::LimitReached => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::RateLimited | Code::SlowMode => StatusCode::TOO_MANY_REQUESTS,
        Code::Overloaded | Code::Unavailable | Code::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = status(error.code);
        let comes_back = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let problem = Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            detail: error.message,
            code: error.code,
            errors: error.errors,
            request_id: None,
            retry_after_ms: error.retry_after_ms.or(comes_back.then_some(DEFAULT_RETRY_MS)),
        };
        let cause = error.source.as_deref().map(|cause| chain(cause));
        let mut response = render(&problem);
        response.extensions_mut().insert(Failure { problem, cause });
        response
    }
}

/// The document as an answer.
pub(crate) fn render(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Strings, numbers and a fieldless enum: these always serialise.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(millis) = problem.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000).max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match problem.code {
            ErrorCode::TokenExpired | ErrorCode::SessionRevoked => r#"Bearer realm="starling", error="invalid_token""#,
            _ => r#"Bearer realm="starling""#,
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// An error and what caused it, outermost first.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Answer to a path under `/v1` that is none.
pub(crate) async fn no_such_route() -> ApiError {
    ApiError::new(ErrorCode::NoSuchRoute, "there is no such route")
}

/// Answer to a method that the path does not have.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "this route does not take this method")
}

/// Answer of a handler that panicked.
pub(crate) fn from_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic
        .downcast::<String>()
        .map(|text| *text)
        .or_else(|other| other.downcast::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|_| "with no text".into());
    let cause = format!("a handler panicked: {said}");
    ApiError(ChatError::new(ErrorCode::Internal, "something failed here").because(cause)).into_response()
}

/// Gives up on a request after `limit`. What it began to commit may still be committed.
pub(crate) async fn within(limit: Duration, request: Request, next: Next) -> Response {
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    let message = "the request took too long; whether it was done is not known";
    ApiError::new(ErrorCode::Timeout, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_status_and_all_that_pass_by_themselves_say_when() {
        for code in ErrorCode::ALL {
            let response = ApiError::new(*code, "no").into_response();
            let status = response.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            let waits = matches!(status.as_u16(), 429 | 503);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), waits, "{code}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401, "{code}");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (millis, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
            let error = ApiError(ChatError::new(ErrorCode::RateLimited, "slow").retry_after(millis));
            assert_eq!(error.into_response().headers()[header::RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn the_cause_is_kept_for_the_log_and_is_not_in_the_document() {
        let cause = std::io::Error::other("password of the database");
        let error = ChatError::new(ErrorCode::Internal, "something failed here").because(cause);
        let response = ApiError(error).into_response();
        let failure = response.extensions().get::<Failure>().unwrap();
        assert!(failure.cause.as_ref().unwrap().contains("password of the database"));
        assert!(!serde_json::to_string(&failure.problem).unwrap().contains("password"));
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let response = from_panic(Box::new("boom"));
        assert_eq!(response.status(), 500);
        assert!(response.extensions().get::<Failure>().unwrap().cause.as_ref().unwrap().contains("boom"));
    }
}
