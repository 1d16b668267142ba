//! `GET /v1/events`: the events of a socket as Server-Sent Events, for clients that no WebSocket reaches. Commands go
//! by REST.
//!
//! One delivery core: a stream is a connection over another transport, as if a socket had said `hello` at once. It
//! resumes on any node by a `Last-Event-ID` that no node keeps ([`position`]; when an id may go out: [`crate::marks`]).
//! `EventSource` gives up on any answer but 200 and network failures, so here refusals are plain HTTP: 401 and 403 for
//! what cannot succeed, 503 for what may later. A stream that ends says `close` with the code of a socket's close
//! frame.

mod encode;
mod position;
mod resume;
mod transport;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{CloseCode, ErrorCode};
use serde::Deserialize;

pub(crate) use self::position::{BadPosition, Position};
use crate::{
    admission::{Admission, Credentials, Door, admit, count_refusal, origin_allowed, problem},
    node::Node,
    serve::{Opening, serve},
};

/// `EventSource` sends it when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass on at once what comes, whatever it is configured to.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Within this `EventSource` comes back after an end, at a moment that is drawn for each stream: it has no jitter.
const RETRY: std::ops::Range<Duration> = Duration::from_millis(300)..Duration::from_millis(1_500);

/// The rest of the query.
#[derive(Deserialize)]
pub(crate) struct Where {
    /// For clients that cannot set the header, as when a page makes a new `EventSource`. The header counts more.
    last_event_id: Option<String>,
}

/// Opens a stream.
pub(crate) async fn handle(
    State(node): State<Arc<Node>>,
    Query(credentials): Query<Credentials>,
    Query(place): Query<Where>,
    headers: HeaderMap,
) -> Response {
    let response = open(&node, &credentials, place, &headers).await;
    for_origin(&node, &headers, response)
}

/// A browser's question before it sends `Authorization` or `Last-Event-ID` from another origin.
pub(crate) async fn preflight(State(node): State<Arc<Node>>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
        (header::ALLOW, "GET, OPTIONS"),
    ];
    response.headers_mut().extend(allowed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    for_origin(&node, &headers, response)
}

/// Any other method.
pub(crate) async fn wrong_method(method: Method) -> Response {
    let detail = format!("{method} is not possible here; commands go by REST");
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, &detail);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, OPTIONS"));
    response
}

async fn open(node: &Arc<Node>, credentials: &Credentials, place: Where, headers: &HeaderMap) -> Response {
    if node.is_draining() {
        count_refusal(node, "draining");
        return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "this node is going away; reconnect");
    }
    let caller = match admit(node, Door::Events, credentials, headers).await {
        Admission::Caller(caller) => *caller,
        Admission::NotNow => {
            count_refusal(node, "unavailable");
            let detail = "the database is out of reach; reconnect";
            return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail);
        }
        Admission::Refused(code) => return refusal(node, code),
        Admission::Unknown => return refusal(node, CloseCode::NotAuthenticated),
    };
    let last = last_event_id(headers, place);
    let id = last.as_ref().and_then(|last| last.as_ref().ok()).map(ToString::to_string);
    let (transport, body) = transport::open(node.env().spread(RETRY), id);
    node.spawn_for_connection(serve(Arc::clone(node), transport, Some(caller), Opening::Stream(last), None));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Where the client stands: none when it is new here.
fn last_event_id(headers: &HeaderMap, place: Where) -> Option<Result<Position, BadPosition>> {
    let text = match headers.get(LAST_EVENT_ID) {
        Some(value) => value.to_str().map(str::to_owned).map_err(|_| BadPosition),
        None => Ok(place.last_event_id?),
    };
    match text {
        // What `EventSource` would send if it had none.
        Ok(text) if text.is_empty() => None,
        text => Some(text.and_then(|text| text.parse())),
    }
}

/// What a socket is told by a close code, in HTTP's words.
fn refusal(node: &Node, code: CloseCode) -> Response {
    count_refusal(node, &code.code().to_string());
    let (status, code, detail) = match code {
        CloseCode::TokenExpired => (StatusCode::UNAUTHORIZED, ErrorCode::TokenExpired, "the access token has expired"),
        CloseCode::SessionRevoked => {
            (StatusCode::UNAUTHORIZED, ErrorCode::SessionRevoked, "this session has ended; sign in again")
        }
        CloseCode::UserDisabled => (StatusCode::FORBIDDEN, ErrorCode::UserDisabled, "this user has been disabled"),
        CloseCode::OriginRefused => {
            (StatusCode::FORBIDDEN, ErrorCode::Forbidden, "pages of this origin may not connect here")
        }
        CloseCode::NotAuthenticated => {
            let detail = "show a bearer token, or a ticket for events (`POST /v1/tickets`)";
            (StatusCode::UNAUTHORIZED, ErrorCode::NotAuthenticated, detail)
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "something failed here"),
    };
    problem(status, code, detail)
}

/// Lets a page of an allowed origin read the answer. Credentials are never cookies.
fn for_origin(node: &Node, asked: &HeaderMap, mut response: Response) -> Response {
    if let Some(origin) = asked.get(header::ORIGIN).filter(|_| origin_allowed(node, asked)) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}
