//! A response's body as transport: what goes out is text, and nothing comes in.
//!
//! The body takes one batch at a time and is asked for the next when the connection has room, so whoever does not read
//! is as slow here as on a socket. A client shows no sign of life of its own: one that is gone without a word shows
//! when the kernel gives its connection up, or when nothing more can be written for two heartbeats.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::Stream;
use protocol::CloseCode;
use tokio::{sync::mpsc, time::timeout};

use super::encode;
use crate::{
    close::FAREWELL,
    transport::{Batch, End, Inbound, Transport},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SseTransport {
    lines: mpsc::Sender<Bytes>,
    /// The id that the client has.
    id: String,
}

/// A stream and the body of its response; `retry` is when `EventSource` is to come back after the end.
pub(super) fn open(retry: Duration, id: Option<String>) -> (SseTransport, Body) {
    let (lines, body) = mpsc::channel(1);
    // There is room for one.
    let _ = lines.try_send(encode::retry(retry).into());
    (SseTransport { lines, id: id.unwrap_or_default() }, Body::from_stream(Lines(body)))
}

impl Transport for SseTransport {
    async fn receive(&mut self) -> Result<Inbound, End> {
        self.lines.closed().await;
        Err(End::Gone)
    }

    async fn send(&mut self, batch: Batch) -> Result<(), End> {
        let id = batch.id.filter(|id| *id != self.id);
        let lines = encode::batch(&batch.frames, batch.ping, id.as_deref());
        if !lines.is_empty() {
            self.lines.send(lines.into()).await.map_err(|_| End::Gone)?;
        }
        if let Some(id) = id {
            self.id = id;
        }
        Ok(())
    }

    async fn close(&mut self, code: CloseCode) {
        // Who does not read is not waited for; the stream ends when this is dropped.
        let _ = timeout(FAREWELL, self.lines.send(encode::close(code).into())).await;
    }

    fn resumes_by_id(&self) -> bool {
        true
    }
}

/// The body's side.
struct Lines(mpsc::Receiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|lines| lines.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn frame(text: &str) -> Batch {
        Batch { frames: vec![text.into()], ..Batch::default() }
    }

    #[tokio::test]
    async fn it_waits_for_its_reader_and_notices_when_they_are_gone() {
        let (mut transport, body) = open(Duration::from_secs(1), None);
        let mut body = body.into_data_stream();
        let mut sending = Box::pin(transport.send(frame("{}")));
        assert!(futures_util::poll!(&mut sending).is_pending(), "the first lines were not taken yet");
        assert_eq!(body.next().await.unwrap().unwrap(), "retry: 1000\n\n");
        sending.await.unwrap();
        assert!(futures_util::poll!(Box::pin(transport.receive())).is_pending(), "nothing ever comes in");
        drop(body);
        assert_eq!(transport.receive().await, Err(End::Gone));
        assert_eq!(transport.send(frame("{}")).await, Err(End::Gone));
    }

    #[tokio::test]
    async fn an_id_goes_out_once_and_the_end_says_why() {
        let (mut transport, body) = open(Duration::from_secs(1), Some("came with".into()));
        let mut body = body.into_data_stream();
        let mut next = async || String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
        next().await;
        for (id, shown) in [("came with", false), ("new", true), ("new", false), ("newer", true)] {
            transport.send(Batch { id: Some(id.into()), ..frame("{}") }).await.unwrap();
            assert_eq!(next().await.contains(&format!("id: {id}\n")), shown, "{id}");
        }
        transport.close(CloseCode::GoingAway).await;
        assert!(next().await.starts_with("event: close\ndata: {\"code\":4000"));
        drop(transport);
        assert!(body.next().await.is_none());
    }
}
