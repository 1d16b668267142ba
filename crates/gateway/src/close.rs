//! How a connection ends: one match from what happened to the close code.

use axum::extract::ws::Message;
use chat::ChatError;
use protocol::{CloseCode, ErrorCode};
use tokio_tungstenite::tungstenite;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// We end it and say why.
    Close(CloseCode),
    /// The client ended it, or the network did.
    Gone,
}

impl End {
    /// Metric label: the code, or `client`.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Close(code) => code.code().to_string(),
            Self::Gone => "client".into(),
        }
    }
}

/// The end that a received item means, when it is not text, ping or pong.
pub(crate) fn end_of(item: Option<Result<Message, axum::Error>>) -> End {
    match item {
        Some(Ok(Message::Binary(_))) => End::Close(CloseCode::BadFrame),
        Some(Err(error)) => match library_error(&error) {
            Some(tungstenite::Error::Capacity(_)) => End::Close(CloseCode::TooBig),
            Some(tungstenite::Error::Utf8(_) | tungstenite::Error::Protocol(_)) => End::Close(CloseCode::BadFrame),
            _ => End::Gone,
        },
        _ => End::Gone,
    }
}

/// The code for a use case that failed where the connection cannot go on without it.
pub(crate) fn close_code(error: &ChatError) -> CloseCode {
    match error.code {
        ErrorCode::NotAuthenticated => CloseCode::NotAuthenticated,
        ErrorCode::TokenExpired => CloseCode::TokenExpired,
        ErrorCode::SessionRevoked => CloseCode::SessionRevoked,
        ErrorCode::UserDisabled => CloseCode::UserDisabled,
        _ => CloseCode::Internal,
    }
}

/// The WebSocket library's own error, when that is what broke.
fn library_error(error: &axum::Error) -> Option<&tungstenite::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}
