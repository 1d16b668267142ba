//! What carries a connection's frames: a WebSocket, an SSE response, a simulated wire. A transport only encodes; what
//! goes over it, when, and why it ends is the connection's business.

mod websocket;

use std::future::Future;

use protocol::CloseCode;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(crate) use self::websocket::{Io, WsTransport};

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// We end it and say why.
    Close(CloseCode),
    /// The client ended it, or the network did.
    Gone,
}

/// Something came from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A frame of text.
    Text(Utf8Bytes),
    /// A sign of life (a ping or pong).
    Alive,
}

/// What goes out with one flush.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Frames, in order.
    pub frames: Vec<Utf8Bytes>,
    /// Then a ping, so that a dead client shows.
    pub ping: bool,
    /// Where the client stands once it has them: for transports that resume by an id. Often the same as before.
    pub id: Option<String>,
}

/// One client's end.
pub trait Transport: Send + 'static {
    /// Waits for what comes next; for ever where clients say nothing. Dropped before its end, it loses nothing.
    fn receive(&mut self) -> impl Future<Output = Result<Inbound, End>> + Send;

    /// Writes and flushes. It may wait as long as the client does not read: callers bound it. After an error, or
    /// dropped before its end, nothing but [`Transport::close`] may follow.
    fn send(&mut self, batch: Batch) -> impl Future<Output = Result<(), End>> + Send;

    /// Says why it ends and waits a moment (bounded) for the other side.
    fn close(&mut self, code: CloseCode) -> impl Future<Output = ()> + Send;

    /// Its clients know nothing of cursors: they come back with the last [`Batch::id`], and only when they are ended,
    /// since they cannot move by themselves.
    fn resumes_by_id(&self) -> bool {
        false
    }
}

impl End {
    /// Metric label: the code, or `client`.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Close(code) => code.code().to_string(),
            Self::Gone => crate::metrics::GONE.into(),
        }
    }
}

impl From<Utf8Bytes> for Batch {
    fn from(frame: Utf8Bytes) -> Self {
        Self { frames: vec![frame], ..Self::default() }
    }
}
