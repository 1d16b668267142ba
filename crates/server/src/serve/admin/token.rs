//! Who may use the operators' API: whoever has the token, which is one for all nodes of a cluster.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use chat::ChatError;
use protocol::ErrorCode;
use subtle::ConstantTimeEq as _;

/// The token; none: the API is off.
#[derive(Clone)]
pub(crate) struct AdminToken(Option<Arc<str>>);

impl AdminToken {
    pub(crate) fn new(token: Option<&str>) -> Self {
        Self(token.map(Into::into))
    }

    fn check(&self, authorization: Option<&str>) -> Result<(), ChatError> {
        let Some(wanted) = &self.0 else {
            let what = "the operators' API is off: set STARLING_ADMIN_TOKEN, the same one on all nodes";
            return Err(ChatError::new(ErrorCode::Forbidden, what));
        };
        let given = authorization.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        // In the same time wherever they differ.
        match given {
            Some(given) if bool::from(given.as_bytes().ct_eq(wanted.as_bytes())) => Ok(()),
            Some(_) => Err(ChatError::new(ErrorCode::NotAuthenticated, "this is not STARLING_ADMIN_TOKEN")),
            None => {
                let what = "send `Authorization: Bearer` with the value of STARLING_ADMIN_TOKEN";
                Err(ChatError::new(ErrorCode::NotAuthenticated, what))
            }
        }
    }
}

/// Lets nobody through who does not have the token.
pub(super) async fn guard(State(token): State<AdminToken>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match token.check(given) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            tracing::debug!(path = request.uri().path(), "the operators' API was refused to somebody");
            api::refusal(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_opens() {
        let token = AdminToken::new(Some("0123456789abcdef"));
        assert!(token.check(Some("Bearer 0123456789abcdef")).is_ok());
        assert!(token.check(Some("bearer  0123456789abcdef ")).is_ok());
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdefg", "Basic 0123456789abcdef"]
        {
            assert_eq!(token.check(Some(wrong)).map_err(|e| e.code), Err(ErrorCode::NotAuthenticated), "{wrong}");
        }
        assert_eq!(token.check(None).map_err(|e| e.code), Err(ErrorCode::NotAuthenticated));
    }

    #[test]
    fn without_a_token_nothing_opens() {
        let token = AdminToken::new(None);
        for any in [None, Some("Bearer "), Some("Bearer x")] {
            assert_eq!(token.check(any).map_err(|e| e.code), Err(ErrorCode::Forbidden));
        }
    }
}
