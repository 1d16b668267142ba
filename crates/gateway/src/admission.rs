//! Who may open a connection, over whatever transport: where it comes from, and what it shows.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat::{Caller, ChatError};
use protocol::{CloseCode, ErrorCode, Problem};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{close::close_code, node::Node};

/// Clients that are refused for now come back after this, seconds.
const RETRY_AFTER: u64 = 1;

/// A store that takes longer than this to say who it is counts as out of reach: other nodes may reach it, and a client
/// that waits here does not find them.
const SIGN_IN: Duration = Duration::from_secs(3);

/// Credentials in the URL.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    ticket: Option<String>,
    token: Option<String>,
}

/// Which route is asked for: a ticket opens one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `GET /v1/ws`.
    Socket,
    /// `GET /v1/events`.
    Events,
}

/// What becomes of who knocks.
pub(crate) enum Admission {
    /// They proved who they are.
    Caller(Box<Caller>),
    /// They showed nothing.
    Unknown,
    /// Not them, nor later.
    Refused(CloseCode),
    /// Perhaps later.
    NotNow,
}

/// Looks at the origin and the credentials.
pub(crate) async fn admit(node: &Node, door: Door, credentials: &Credentials, headers: &HeaderMap) -> Admission {
    if !origin_allowed(node, headers) {
        return Admission::Refused(CloseCode::OriginRefused);
    }
    let bearer = headers.get(header::AUTHORIZATION).map(bearer);
    let caller = async {
        match (bearer, &credentials.ticket, &credentials.token) {
            (Some(Some(token)), _, _) => Some(node.chat.authenticate_connection(token).await),
            (None, Some(ticket), _) => Some(redeem(node, door, ticket).await),
            (None, None, Some(token)) if node.config.allow_query_token => {
                Some(node.chat.authenticate_connection(token).await)
            }
            // A header that is no bearer token, or a token in the URL where the operator forbids it.
            _ => None,
        }
    };
    if bearer.is_none() && credentials.ticket.is_none() && credentials.token.is_none() {
        return Admission::Unknown;
    }
    let Ok(caller) = timeout(SIGN_IN, caller).await else { return Admission::NotNow };
    let Some(caller) = caller else { return Admission::Refused(CloseCode::NotAuthenticated) };
    match caller {
        Ok(caller) => Admission::Caller(Box::new(caller)),
        Err(error) if error.code == ErrorCode::Unavailable => Admission::NotNow,
        // No ticket for events can have been sold here.
        Err(error) if error.code == ErrorCode::SignInDisabled => Admission::Refused(CloseCode::NotAuthenticated),
        Err(error) => {
            if error.code == ErrorCode::Internal {
                tracing::error!(error = &error as &dyn std::error::Error, "signing a connection in failed");
            }
            Admission::Refused(close_code(&error))
        }
    }
}

async fn redeem(node: &Node, door: Door, ticket: &str) -> Result<Caller, ChatError> {
    match door {
        Door::Socket => node.chat.redeem_ticket(ticket).await,
        Door::Events => node.chat.redeem_pass(ticket).await,
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Exact match; programs that are no browsers send none.
pub(crate) fn origin_allowed(node: &Node, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    node.config.any_origin
        || origin.to_str().is_ok_and(|origin| node.config.allowed_origins.iter().any(|allowed| allowed == origin))
}

/// Counts a connection that is refused, by reason.
pub(crate) fn count_refusal(node: &Node, reason: &str) {
    node.metrics.refused_upgrades.with_label_values(&[reason]).inc();
}

/// A refusal that HTTP can say.
pub(crate) fn problem(status: StatusCode, code: ErrorCode, detail: &str) -> Response {
    let retry = status == StatusCode::SERVICE_UNAVAILABLE;
    let body = Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or_default().into(),
        status: status.as_u16(),
        detail: detail.into(),
        code,
        errors: Vec::new(),
        request_id: None,
        retry_after_ms: retry.then_some(RETRY_AFTER * 1_000),
    };
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    match status {
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(HeaderName::from_static("connection"), HeaderValue::from_static("upgrade"));
        }
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}
