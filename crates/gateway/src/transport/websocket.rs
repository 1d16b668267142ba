//! A WebSocket as transport.
//!
//! Reading, control frames and the closing handshake are tungstenite's. What goes out does not pass through its buffer:
//! a frame's bytes are those that came from the bus, shared by all sockets; only headers (unmasked, 2 to 10 bytes) are
//! made here, on the stack, and a batch is one `writev` without a copy. An idle socket has a small read buffer and no
//! other.

mod io;

use std::{
    future::poll_fn,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Bytes;
use protocol::CloseCode;
use tokio::{io::AsyncWrite, time::timeout};
use tokio_tungstenite::tungstenite::{
    self, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext},
};

pub(crate) use self::io::Io;
use self::io::Polled;
use super::{Batch, End, Inbound, Transport};
use crate::close::FAREWELL;

/// Small on purpose: it is allocated with the connection, and most connections are idle. What a client says is mostly
/// shorter.
const READ_BUFFER: usize = 512;
/// Frames in one `writev`. Far fewer than a kernel takes (`IOV_MAX`, 1,024 parts), and a stack has room for them.
const FRAMES_AT_ONCE: usize = 64;
/// The longest header of an unmasked frame.
const HEADER_MAX: usize = 10;

/// See the module.
pub(crate) struct WsTransport {
    io: Io,
    context: WebSocketContext,
    /// The batch that is being written: emptied with its end.
    batch: Vec<Utf8Bytes>,
    /// The first of it that is not with the kernel, and how many bytes of it, header included, are.
    at: usize,
    offset: usize,
    /// A frame over the limit came: tungstenite is not to read on from the middle of it.
    is_deaf: bool,
}

impl WsTransport {
    /// A connection whose handshake is over; `read` is what came after it already. Messages and frames of more than
    /// `frame_bytes` end it.
    pub(crate) fn new(io: Io, read: &[u8], frame_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(frame_bytes))
            .max_frame_size(Some(frame_bytes));
        // A copy: what HTTP read into has room for a large head, and would stay for as long as the socket.
        let context = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        Self { io, context, batch: Vec::new(), at: 0, offset: 0, is_deaf: false }
    }

    /// Does something with tungstenite's side of it; what would block is waited for.
    fn poll_context<T>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut WebSocketContext, &mut Polled<'_, '_>) -> tungstenite::Result<T>,
    ) -> Poll<tungstenite::Result<T>> {
        match work(&mut self.context, &mut Polled { io: &mut self.io, context }) {
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// Writes the batch from where it is. Between two frames only what reading left (a pong) may come, and all of it.
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<tungstenite::Result<()>> {
        if self.offset == 0 {
            ready!(self.poll_flush(context))?;
        }
        while self.at < self.batch.len() {
            let mut headers = [[0; HEADER_MAX]; FRAMES_AT_ONCE];
            let mut parts = [IoSlice::new(&[]); 2 * FRAMES_AT_ONCE];
            let mut count = 0;
            for (frame, header) in self.batch[self.at..].iter().zip(&mut headers) {
                let size = encode(frame.len(), header);
                parts[count] = IoSlice::new(&header[..size]);
                parts[count + 1] = IoSlice::new(frame.as_bytes());
                count += 2;
            }
            let mut parts = &mut parts[..count];
            IoSlice::advance_slices(&mut parts, self.offset);
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, parts))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()));
            }
            self.advance(written);
        }
        // Nothing for TCP; what stands between may keep something back.
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.batch = Vec::new();
        self.at = 0;
        Poll::Ready(Ok(()))
    }

    /// So many bytes more are with the kernel.
    fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(frame) = self.batch.get_mut(self.at) {
            let size = header_size(frame.len()) + frame.len();
            if self.offset < size {
                return;
            }
            self.offset -= size;
            // Given back now: the rest of a batch may wait long for its reader.
            *frame = Utf8Bytes::default();
            self.at += 1;
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<tungstenite::Result<()>> {
        self.poll_context(context, |ws, io| ws.flush(io))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Inbound, End>> {
        let message = match ready!(self.poll_context(context, |ws, io| ws.read(io))) {
            Ok(message) => message,
            Err(error) => {
                self.is_deaf = matches!(error, tungstenite::Error::Capacity(_));
                return Poll::Ready(Err(end_of(&error)));
            }
        };
        Poll::Ready(match message {
            Message::Text(text) => Ok(Inbound::Text(text)),
            Message::Ping(_) | Message::Pong(_) => Ok(Inbound::Alive),
            Message::Close(_) => {
                // The answer to it is due; a client that went without waiting for it misses nothing.
                let _ = self.poll_flush(context);
                Err(End::Gone)
            }
            Message::Binary(_) | Message::Frame(_) => Err(End::Close(CloseCode::BadFrame)),
        })
    }

    async fn write(&mut self) -> tungstenite::Result<()> {
        poll_fn(|context| self.poll_batch(context)).await
    }

    async fn say(&mut self, message: Message) -> tungstenite::Result<()> {
        let mut message = Some(message);
        poll_fn(|context| {
            self.poll_context(context, |ws, io| {
                if let Some(message) = message.take() {
                    ws.write(io, message)?;
                }
                ws.flush(io)
            })
        })
        .await
    }
}

impl Transport for WsTransport {
    async fn receive(&mut self) -> Result<Inbound, End> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    async fn send(&mut self, batch: Batch) -> Result<(), End> {
        self.batch = batch.frames;
        let writing = async {
            self.write().await?;
            if batch.ping { self.say(Message::Ping(Bytes::new())).await } else { Ok(()) }
        };
        writing.await.map_err(|error| {
            tracing::trace!(%error, "the socket broke");
            End::Gone
        })
    }

    async fn close(&mut self, code: CloseCode) {
        // A frame that was begun must end before another one; those after it were given up.
        let begun = self.at + usize::from(self.offset > 0);
        self.batch.truncate(begun);
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        let goodbye = async {
            self.write().await?;
            match self.say(Message::Close(Some(frame))).await {
                Ok(()) => {}
                // The other side was faster.
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error),
            }
            // Reading on until the other side's close: a socket that is dropped with unread data resets, and the
            // client would not see the code.
            while !self.is_deaf {
                match poll_fn(|context| self.poll_context(context, |ws, io| ws.read(io))).await {
                    Ok(_) => {}
                    Err(error) if leaves_unread(&error) => self.is_deaf = true,
                    Err(_) => return Ok(()),
                }
            }
            tokio::io::copy(&mut self.io, &mut tokio::io::sink()).await?;
            Ok::<_, tungstenite::Error>(())
        };
        let _ = timeout(FAREWELL, goodbye).await;
    }
}

/// Writes the header of an unmasked text frame (RFC 6455, 5.2); its size.
fn encode(length: usize, header: &mut [u8; HEADER_MAX]) -> usize {
    const TEXT_AND_LAST: u8 = 0x81;
    header[0] = TEXT_AND_LAST;
    let size = header_size(length);
    match size {
        2 => header[1] = length as u8,
        4 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        }
    }
    size
}

fn header_size(length: usize) -> usize {
    match length {
        0..126 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Whether there may be more to read, which is no frame any more.
fn leaves_unread(error: &tungstenite::Error) -> bool {
    use tungstenite::Error;
    match error {
        Error::Protocol(error) => *error != ProtocolError::ResetWithoutClosingHandshake,
        Error::Capacity(_) | Error::Utf8(_) => true,
        _ => false,
    }
}

/// The end that an error of the socket means.
fn end_of(error: &tungstenite::Error) -> End {
    match error {
        tungstenite::Error::Capacity(_) => End::Close(CloseCode::TooBig),
        // That it broke without a word is no frame of anybody.
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        tungstenite::Error::Utf8(_) | tungstenite::Error::Protocol(_) => End::Close(CloseCode::BadFrame),
        _ => End::Gone,
    }
}

#[cfg(test)]
mod tests;
