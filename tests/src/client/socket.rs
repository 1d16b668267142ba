//! A bare WebSocket: frames in and out, nothing of the protocol. For clients, and for what no good client sends.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest, http::StatusCode},
};

const SOON: Duration = Duration::from_secs(20);

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a socket brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A text frame of JSON.
    Json(Value),
    /// The other side closed, with this code (1005: none).
    Closed(u16),
    /// The connection broke without a close.
    Broken,
}

impl Socket {
    /// Opens `http://ADDRESS:PORT` + `path` with these headers. The inner error is the status of a refused upgrade.
    pub async fn open(base: &str, path: &str, headers: &[(&str, &str)]) -> Result<Result<Self, StatusCode>> {
        let url = format!("{}{path}", base.trim_end_matches('/').replacen("http", "ws", 1));
        let mut request = url.as_str().into_client_request()?;
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse()?;
            request.headers_mut().insert(name, value.parse()?);
        }
        let opening = tokio_tungstenite::connect_async_with_config(request, None, true);
        match timeout(SOON, opening).await.with_context(|| format!("{url} did not open within {SOON:?}"))? {
            Ok((stream, _)) => Ok(Ok(Self { stream })),
            Err(Error::Http(response)) => Ok(Err(response.status())),
            Err(error) => Err(error).with_context(|| format!("cannot open {url}")),
        }
    }

    /// Opens `/v1/ws` with a bearer token.
    pub async fn with_token(base: &str, token: &str) -> Result<Self> {
        Self::at(base, "/v1/ws", token).await
    }

    /// The same for who will say `hello`, however slow the network.
    pub async fn awaiting_hello(base: &str, token: &str) -> Result<Self> {
        Self::at(base, "/v1/ws?await_hello=true", token).await
    }

    async fn at(base: &str, path: &str, token: &str) -> Result<Self> {
        match Self::open(base, path, &[("authorization", &format!("Bearer {token}"))]).await? {
            Ok(socket) => Ok(socket),
            Err(status) => bail!("the upgrade was refused with {status}"),
        }
    }

    /// Sends JSON.
    pub async fn send(&mut self, frame: &Value) -> Result<()> {
        self.send_raw(Message::text(frame.to_string())).await
    }

    /// Sends any frame.
    pub async fn send_raw(&mut self, frame: Message) -> Result<()> {
        Ok(timeout(SOON, self.stream.send(frame)).await.context("the other side does not read")??)
    }

    /// What comes next, whenever that is. Cancelling loses nothing.
    pub async fn next(&mut self) -> Frame {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(json) => return Frame::Json(json),
                    Err(error) => panic!("the server sent a frame that is not JSON ({error}): {text}"),
                },
                Some(Ok(Message::Close(frame))) => return Frame::Closed(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(Message::Binary(bytes))) => panic!("the server sent a binary frame: {bytes:?}"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::Broken,
            }
        }
    }

    /// The next frame, in time.
    pub async fn recv(&mut self) -> Result<Frame> {
        timeout(SOON, self.next()).await.with_context(|| format!("nothing came within {SOON:?}"))
    }

    /// Skips to the next frame of this `type`.
    pub async fn until(&mut self, kind: &str) -> Result<Value> {
        let mut skipped = Vec::new();
        loop {
            match self.recv().await.with_context(|| format!("waiting for `{kind}` after {skipped:?}"))? {
                Frame::Json(frame) if frame["type"] == kind => return Ok(frame),
                Frame::Json(frame) => skipped.push(frame["type"].clone()),
                ended => bail!("{ended:?} while waiting for `{kind}`"),
            }
        }
    }

    /// Skips to the close and returns its code; a connection that breaks without one is 1006.
    pub async fn close_code(&mut self) -> Result<u16> {
        loop {
            match self.recv().await? {
                Frame::Json(_) => {}
                Frame::Closed(code) => return Ok(code),
                Frame::Broken => return Ok(1006),
            }
        }
    }

    /// Closes in order.
    pub async fn close(mut self) -> Result<()> {
        Ok(timeout(SOON, self.stream.close(None)).await.context("closing took too long")??)
    }
}
