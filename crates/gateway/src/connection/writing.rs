//! What a client is told: the outbox's frames, written with one flush.

use std::{pin::pin, task::Poll};

use protocol::CloseCode;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Connection, commands::is_busy};
use crate::{
    close::FAREWELL,
    outbox::{Class, Taken},
    transport::{Batch, End, Transport},
};

/// Bytes written with one flush.
const WRITE_BATCH: usize = 64 * 1024;

impl<T: Transport> Connection<T> {
    pub(super) fn push(&self, frame: Utf8Bytes) {
        self.link.outbox.push(frame, Class::Durable);
    }

    pub(super) fn push_event(&self, event: &impl serde::Serialize, class: Class) {
        if let Ok(frame) = serde_json::to_string(event) {
            self.link.outbox.push(frame.into(), class);
        }
    }

    /// Writes what waits with one flush. A reader that is too slow, or silent, ends it.
    pub(super) async fn write(&mut self) -> std::result::Result<(), End> {
        // Read first: what it stands for is in the outbox by now.
        let stamp = self.link.mark.as_ref().and_then(|mark| mark.stamp(&self.link));
        let Taken { frames, close, is_all, writes } = self.link.outbox.take(WRITE_BATCH);
        let id = stamp.filter(|_| is_all).map(|stamp| stamp.to_string());
        self.read_last = false;
        let ping = std::mem::take(&mut self.ping_due);
        let (count, bytes) = (frames.len() as u64, frames.iter().map(|frame| frame.len() as u64).sum());
        let silent_after = self.silent_after();
        let mut writing = pin!(self.transport.send(Batch { frames, ping, id }));
        // Nearly always the kernel has room for it.
        let written = match futures_util::poll!(writing.as_mut()) {
            Poll::Ready(written) => written,
            Poll::Pending => {
                let silent_after = silent_after.max(Instant::now() + self.node.config.heartbeat);
                tokio::select! {
                    biased;
                    written = &mut writing => written,
                    code = self.link.outbox.closed() => {
                        // What was put in before the end is still owed, but not to who does not read.
                        if code == CloseCode::SlowConsumer {
                            return Err(End::Close(code));
                        }
                        match timeout(FAREWELL, writing).await {
                            Ok(written) => written,
                            Err(_) => return Err(End::Close(code)),
                        }
                    }
                    () = sleep_until(silent_after) => return Err(End::Close(CloseCode::HeartbeatTimeout)),
                }
            }
        };
        let is_roomy = self.link.outbox.written(written.is_ok());
        if written.is_ok() {
            writes.written();
        }
        self.node.metrics.frames_sent.inc_by(count);
        self.node.metrics.bytes_sent.inc_by(bytes);
        if !is_roomy || is_busy(&self.link) {
            // It takes what we say, and cannot be heard just now.
            (self.last_inbound, self.unanswered) = (Instant::now(), 0);
        }
        match (written, close) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(code)) => Err(End::Close(code)),
            (Err(end), _) => Err(end),
        }
    }
}
