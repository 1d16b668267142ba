//! `GET /v1/ws`: who may open a socket.
//!
//! Browsers see a refused upgrade as 1006 and would retry for ever: what cannot succeed (credentials, origin) is
//! accepted and then closed with a code; what may succeed later (drain, a store that is away) is refused with 503.

use std::{future::ready, sync::Arc};

use axum::{
    extract::{
        Query, State, WebSocketUpgrade,
        rejection::QueryRejection,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use protocol::ErrorCode;
use serde::Deserialize;

use crate::{
    admission::{Admission, Credentials, Door, admit, count_refusal, problem},
    node::Node,
    serve::{Opening, serve},
    transport::{Transport, WsTransport},
};

/// Small on purpose: they are allocated with the connection, and most connections are idle.
const READ_BUFFER: usize = 2 * 1024;
const WRITE_BUFFER: usize = 2 * 1024;

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
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(Query(Promise { await_hello: says_hello })) = promise else {
        return problem(StatusCode::BAD_REQUEST, ErrorCode::Invalid, "await_hello is true or false");
    };
    let Ok(upgrade) = upgrade else {
        let detail = "this is a WebSocket: connect with an upgrade";
        return problem(StatusCode::UPGRADE_REQUIRED, ErrorCode::Invalid, detail);
    };
    if node.is_draining() {
        count_refusal(&node, "draining");
        return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "this node is going away; reconnect");
    }
    let frame_bytes = node.chat.limits().frame_bytes;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .on_failed_upgrade(|error| tracing::trace!(%error, "an upgrade failed"));
    let caller = match admit(&node, Door::Socket, &credentials, &headers).await {
        Admission::NotNow => {
            count_refusal(&node, "unavailable");
            let detail = "the database is out of reach; reconnect";
            return problem(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail);
        }
        Admission::Refused(code) => {
            count_refusal(&node, &code.code().to_string());
            return upgrade.on_upgrade(async move |socket: WebSocket| WsTransport(socket).close(code).await);
        }
        Admission::Caller(caller) => Some(*caller),
        Admission::Unknown => None,
    };
    upgrade.on_upgrade(move |socket| {
        // A task of our own: that of the upgrade is several times as large as what serves an idle connection.
        let opening = Opening::Silent { says_hello };
        node.spawn_for_connection(serve(Arc::clone(&node), WsTransport(socket), caller, opening));
        ready(())
    })
}
