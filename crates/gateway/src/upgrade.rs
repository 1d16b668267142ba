//! `GET /v1/ws`: who may open a socket.
//!
//! Browsers see a refused upgrade as 1006 and would retry for ever: what cannot succeed (credentials, origin) is
//! accepted and then closed with a code; what may succeed later (drain, a store that is away) is refused with 503.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat::Caller;
use protocol::{CloseCode, ErrorCode, Problem};
use serde::Deserialize;

use crate::{
    close::close_code,
    node::Node,
    serve::{serve, serve_stranger},
    transport::{Transport, WsTransport},
};

/// Small on purpose: they are allocated with the connection, and most connections are idle.
const READ_BUFFER: usize = 2 * 1024;
const WRITE_BUFFER: usize = 2 * 1024;
/// Clients that are refused for now come back after this, seconds.
const RETRY_AFTER: u64 = 1;

/// Credentials in the URL.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    ticket: Option<String>,
    token: Option<String>,
}

enum Admission {
    Caller(Box<Caller>),
    /// The first frame must be `hello` with a token.
    Unknown,
    Refused(CloseCode),
    NotNow,
}

pub(crate) async fn handle(
    State(node): State<Arc<Node>>,
    Query(credentials): Query<Credentials>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let detail = "this is a WebSocket: connect with an upgrade";
        return problem(StatusCode::UPGRADE_REQUIRED, ErrorCode::Invalid, detail);
    };
    if node.is_draining() {
        node.metrics.refused_upgrades.with_label_values(&["draining"]).inc();
        return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "this node is going away; reconnect");
    }
    let frame_bytes = node.chat.limits().frame_bytes;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .on_failed_upgrade(|error| tracing::trace!(%error, "an upgrade failed"));
    let caller = match admit(&node, &credentials, &headers).await {
        Admission::NotNow => {
            node.metrics.refused_upgrades.with_label_values(&["unavailable"]).inc();
            let detail = "the database is out of reach; reconnect";
            return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail);
        }
        Admission::Refused(code) => {
            node.metrics.refused_upgrades.with_label_values(&[&code.code().to_string()]).inc();
            return upgrade.on_upgrade(async move |socket: WebSocket| WsTransport(socket).close(code).await);
        }
        Admission::Caller(caller) => Some(*caller),
        Admission::Unknown => None,
    };
    let tracker = node.connections.clone();
    upgrade.on_upgrade(move |socket| {
        let transport = WsTransport(socket);
        tracker.track_future(async {
            match caller {
                Some(caller) => serve(node, transport, caller, None).await,
                None => serve_stranger(node, transport).await,
            }
        })
    })
}

async fn admit(node: &Node, credentials: &Credentials, headers: &HeaderMap) -> Admission {
    if !origin_allowed(node, headers) {
        return Admission::Refused(CloseCode::OriginRefused);
    }
    let bearer = headers.get(header::AUTHORIZATION).map(bearer);
    let caller = match (bearer, &credentials.ticket, &credentials.token) {
        (Some(Some(token)), _, _) => node.chat.authenticate(token).await,
        (None, Some(ticket), _) => node.chat.redeem_ticket(ticket).await,
        (None, None, Some(token)) if node.config.allow_query_token => node.chat.authenticate(token).await,
        (None, None, None) => return Admission::Unknown,
        // A header that is no bearer token, or a token in the URL where the operator forbids it.
        _ => return Admission::Refused(CloseCode::NotAuthenticated),
    };
    match caller {
        Ok(caller) => Admission::Caller(Box::new(caller)),
        Err(error) if error.code == ErrorCode::Unavailable => Admission::NotNow,
        Err(error) => {
            if error.code == ErrorCode::Internal {
                tracing::error!(error = &error as &dyn std::error::Error, "signing a socket in failed");
            }
            Admission::Refused(close_code(&error))
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Exact match; programs that are no browsers send none.
fn origin_allowed(node: &Node, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    node.config.any_origin
        || origin.to_str().is_ok_and(|origin| node.config.allowed_origins.iter().any(|allowed| allowed == origin))
}

fn problem(status: StatusCode, code: ErrorCode, detail: &str) -> Response {
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
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(HeaderName::from_static("connection"), HeaderValue::from_static("upgrade"));
    }
    response
}
