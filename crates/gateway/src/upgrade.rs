//! `GET /v1/ws`: who may open a socket.
//!
//! Browsers see a refused upgrade as 1006 and would retry for ever: what cannot succeed (credentials, origin) is
//! accepted and then closed with a code; what may succeed later (drain, a store that is away) is refused with 503.

mod handshake;

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use protocol::ErrorCode;
use serde::Deserialize;
use traces::Context;

use self::handshake::{Handshake, NoHandshake};
use crate::{
    admission::{Admission, Credentials, Door, admit, count_refusal, problem},
    node::Node,
    serve::{Opening, serve},
    transport::{Transport, WsTransport},
};

/// The trace in which the socket was opened; see [`crate::traced::command`].
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a client says of what it will say.
#[derive(Deserialize)]
pub(crate) struct Promise {
    /// It will say `hello`: events are held for it until then.
    #[serde(default)]
    await_hello: bool,
}

pub(crate) async fn handle(
    State(node): State<Arc<Node>>,
    Query(credentials): Query<Credentials>,
    promise: Result<Query<Promise>, QueryRejection>,
    headers: HeaderMap,
    handshake: Result<Handshake, NoHandshake>,
) -> Response {
    let Ok(Query(Promise { await_hello: says_hello })) = promise else {
        return problem(StatusCode::BAD_REQUEST, ErrorCode::Invalid, "await_hello is true or false");
    };
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(other) => return other.into_response(),
    };
    if node.is_draining() {
        count_refusal(&node, "draining");
        return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "this node is going away; reconnect");
    }
    let frame_bytes = node.chat.limits().frame_bytes;
    let caller = match admit(&node, Door::Socket, &credentials, &headers).await {
        Admission::NotNow => {
            count_refusal(&node, "unavailable");
            let detail = "the database is out of reach; reconnect";
            return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail);
        }
        Admission::Refused(code) => {
            count_refusal(&node, &code.code().to_string());
            let refuse = move |mut socket: WsTransport| drop(tokio::spawn(async move { socket.close(code).await }));
            return handshake.accept(frame_bytes, refuse);
        }
        Admission::Caller(caller) => Some(*caller),
        Admission::Unknown => None,
    };
    let trace = Context::of_caller(headers.get_all(TRACEPARENT).iter().map(HeaderValue::as_bytes));
    handshake.accept(frame_bytes, move |socket| {
        // A task of its own: that of the handshake is larger than what serves an idle connection.
        let opening = Opening::Silent { says_hello };
        node.spawn_for_connection(serve(Arc::clone(&node), socket, caller, opening, trace));
    })
}
