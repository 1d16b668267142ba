//! The opening handshake of a WebSocket (RFC 6455, 4.2), by hand: axum's keeps the connection beneath to itself.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use protocol::ErrorCode;

use crate::{
    admission::problem,
    transport::{Io, WsTransport},
};

/// A request that asks for a WebSocket.
pub(crate) struct Handshake {
    key: HeaderValue,
    connection: OnUpgrade,
}

/// It asks for something else, or not as the protocol wants it.
pub(crate) struct NoHandshake;

impl IntoResponse for NoHandshake {
    fn into_response(self) -> Response {
        let detail = "this is a WebSocket: connect with an upgrade, version 13";
        let mut response = problem(StatusCode::UPGRADE_REQUIRED, ErrorCode::Invalid, detail);
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Handshake {
    type Rejection = NoHandshake;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoHandshake> {
        let headers = &parts.headers;
        let asks = parts.method == Method::GET
            && has_token(headers, CONNECTION, "upgrade")
            && has_token(headers, UPGRADE, "websocket")
            && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| asks && is_key(key)).cloned().ok_or(NoHandshake)?;
        // None where the server beneath cannot give the connection away.
        let connection = parts.extensions.remove().ok_or(NoHandshake)?;
        Ok(Self { key, connection })
    }
}

impl Handshake {
    /// Says yes; `serve` gets the socket once the answer is out.
    pub(super) fn accept(self, frame_bytes: usize, serve: impl FnOnce(WsTransport) + Send + 'static) -> Response {
        let Self { key, connection } = self;
        tokio::spawn(async move {
            match connection.await {
                Ok(upgraded) => {
                    let (io, read) = Io::of(upgraded);
                    serve(WsTransport::new(io, &read, frame_bytes));
                }
                Err(error) => tracing::trace!(%error, "an upgrade failed"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Base64 is always a header's value.
        if let Ok(accept) = derive_accept_key(key.as_bytes()).parse() {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// Sixteen bytes in Base64.
fn is_key(key: &HeaderValue) -> bool {
    let of_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.as_bytes().strip_suffix(b"==").is_some_and(|key| key.len() == 22 && key.iter().all(of_base64))
}

/// Whether a header's list has this word, in whatever case.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
