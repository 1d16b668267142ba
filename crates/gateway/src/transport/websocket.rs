//! A WebSocket as transport.

use std::future::pending;

use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, WebSocket},
};
use futures_util::SinkExt;
use protocol::CloseCode;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::{Batch, End, Inbound, Transport};
use crate::close::FAREWELL;

/// See the module.
pub(crate) struct WsTransport(pub(crate) WebSocket);

impl Transport for WsTransport {
    async fn receive(&mut self) -> Result<Inbound, End> {
        match self.0.recv().await {
            Some(Ok(Message::Text(text))) => Ok(Inbound::Text(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Inbound::Alive),
            other => Err(end_of(other)),
        }
    }

    async fn send(&mut self, batch: Batch) -> Result<(), End> {
        let writing = async {
            for frame in batch.frames {
                self.0.feed(Message::Text(frame)).await?;
            }
            if batch.ping {
                self.0.feed(Message::Ping(Bytes::new())).await?;
            }
            self.0.flush().await
        };
        writing.await.map_err(|error: axum::Error| {
            tracing::trace!(%error, "the socket broke");
            End::Gone
        })
    }

    async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame { code: code.code(), reason: code.reason().into() };
        let goodbye = async {
            self.0.send(Message::Close(Some(frame))).await?;
            // Reading on until the other side's close: a socket that is dropped with unread data resets, and the
            // client would not see the code.
            loop {
                match self.0.recv().await {
                    Some(Ok(_)) => {}
                    // A frame over the limit is not read on: what is left of it stays where it is for the while.
                    Some(Err(error)) if is_too_big(&error) => pending().await,
                    _ => return Ok::<_, axum::Error>(()),
                }
            }
        };
        let _ = timeout(FAREWELL, goodbye).await;
    }
}

/// The end that a received item means, when it is not text, ping or pong.
fn end_of(item: Option<Result<Message, axum::Error>>) -> End {
    match item {
        Some(Ok(Message::Binary(_))) => End::Close(CloseCode::BadFrame),
        Some(Err(error)) if is_too_big(&error) => End::Close(CloseCode::TooBig),
        Some(Err(error)) => match library_error(&error) {
            Some(tungstenite::Error::Utf8(_) | tungstenite::Error::Protocol(_)) => End::Close(CloseCode::BadFrame),
            _ => End::Gone,
        },
        _ => End::Gone,
    }
}

fn is_too_big(error: &axum::Error) -> bool {
    matches!(library_error(error), Some(tungstenite::Error::Capacity(_)))
}

/// The WebSocket library's own error, when that is what broke.
fn library_error(error: &axum::Error) -> Option<&tungstenite::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}
