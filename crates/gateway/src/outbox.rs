//! What waits to be written to one socket: bounded in bytes and events, never blocking who puts something in.
//!
//! Promise (invariant 9): a durable event is written or the connection is closed with a resumable code; ephemeral
//! events are dropped first. One connection that does not read costs at most the bounds (a page of changes that is
//! larger than them counts for half) and delays nobody.

mod traced;

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem::{size_of, take},
    task::{Context, Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};
use protocol::CloseCode;
use tokio::{sync::Notify, time::Instant};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::Span;

pub(crate) use self::traced::Writes;

/// Bounds of an outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    /// Most bytes that wait; a frame counts for at most half of them.
    pub(crate) bytes: usize,
    /// Most frames that wait.
    pub(crate) events: usize,
}

impl OutboxLimits {
    /// What a waiting frame counts for: a page of changes may be larger than all the bounds, and must leave room for
    /// what comes after it, or whoever catches up would be cut off by it again and again.
    fn cost(self, frame: &Utf8Bytes) -> usize {
        frame.len().min(self.bytes / 2) + OVERHEAD
    }
}

/// How much may be lost of what is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Replies and durable events: never dropped silently.
    Durable,
    /// Typing, presence, receipts: the first to go.
    Ephemeral,
}

/// What was taken out to be written.
#[derive(Debug)]
pub(crate) struct Taken {
    /// In order.
    pub(crate) frames: Vec<Utf8Bytes>,
    /// The code to end with, once nothing waits.
    pub(crate) close: Option<CloseCode>,
    /// Everything that was ever put in is taken: nothing waits, and nothing was turned away because of a close.
    pub(crate) is_all: bool,
    /// Of those frames whose traces are recorded.
    pub(crate) writes: Writes,
}

/// What there is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Frames wait, or the connection is to end.
    pub(crate) writes: bool,
    /// Less than half of the bounds is used.
    pub(crate) is_roomy: bool,
}

/// The frames that wait for one socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    // Held for a push or a swap only, never across an await.
    state: Mutex<State>,
    /// For who replays or reads a lot; see [`Outbox::room`].
    drained: Notify,
    limits: OutboxLimits,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Utf8Bytes, Class)>,
    bytes: usize,
    /// What was taken and is not written yet: they are still in memory.
    writing: usize,
    /// When everything was last with the kernel.
    settled: Option<Instant>,
    dropped: u64,
    close: Option<CloseCode>,
    /// When it was asked to end.
    closed: Option<Instant>,
    /// The connection's own task, while it waits for something to write or for its end. In here, and not a signal
    /// beside it: who puts something in has the lock already.
    writer: Option<Waker>,
    /// It waits for its end alone: it has enough to write.
    busy: bool,
    /// Somebody waits for room.
    awaited: bool,
    /// Of what waits, where traces are recorded.
    writes: Writes,
}

/// Bytes that a waiting frame costs besides its text.
const OVERHEAD: usize = size_of::<(Utf8Bytes, Class)>();

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self { state: Mutex::default(), drained: Notify::new(), limits }
    }

    /// Most bytes that wait.
    pub(crate) fn bytes_max(&self) -> usize {
        self.limits.bytes
    }

    /// Most frames that wait.
    pub(crate) fn events_max(&self) -> usize {
        self.limits.events
    }

    /// Bytes that wait or are being written, and how full it is by bytes or by events, whichever is more.
    pub(crate) fn waiting(&self) -> (usize, f64) {
        let state = self.state.lock();
        let bytes = state.bytes + state.writing;
        let share = |used: usize, most: usize| used as f64 / most.max(1) as f64;
        (bytes, share(bytes, self.limits.bytes).max(share(state.queue.len(), self.limits.events)))
    }

    /// Whether less than half of the bounds is used.
    pub(crate) fn is_roomy(&self) -> bool {
        self.state.lock().has_room(self.limits)
    }

    /// Puts a frame in. After [`Outbox::close`] it is forgotten.
    pub(crate) fn push(&self, frame: Utf8Bytes, class: Class) {
        self.push_traced(frame, class, None);
    }

    /// The same, with a span that lasts until the frame is written, or turned away.
    pub(crate) fn push_traced(&self, frame: Utf8Bytes, class: Class, write: Option<Span>) {
        let mut state = self.state.lock();
        if state.close.is_some() {
            return;
        }
        let cost = self.limits.cost(&frame);
        if state.over(self.limits, cost) {
            if class == Class::Ephemeral {
                state.dropped += 1;
                return;
            }
            state.drop_ephemeral(self.limits);
            // With half of it free any one frame passes, however large: a page of changes that was read when there was
            // room must not end the very connection that is catching up.
            if state.over(self.limits, cost) && !state.queue.is_empty() && !state.has_room(self.limits) {
                state.close = Some(CloseCode::SlowConsumer);
                state.queue = VecDeque::new();
                state.bytes = 0;
                state.writes = Writes::default();
                return self.tell_of_close(state);
            }
        }
        state.bytes += cost;
        state.queue.push_back((frame, class));
        if let Some(write) = write {
            let place = state.queue.len();
            state.writes.add(place, write);
        }
        // None when it was told before and has not yet come: it will find this too.
        let writer = if state.busy { None } else { state.writer.take() };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Asks the connection to end. What waits is still written, but for a slow consumer. The first code stays.
    pub(crate) fn close(&self, code: CloseCode) {
        let mut state = self.state.lock();
        if state.close.is_none() {
            state.close = Some(code);
            state.closed = Some(Instant::now());
        }
        self.tell_of_close(state);
    }

    fn tell_of_close(&self, mut state: MutexGuard<'_, State>) {
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        self.drained.notify_waiters();
    }

    /// What there is to do; while there is nothing to write, the task of `context` is woken when there is. Only one
    /// task waits, for this or for [`Outbox::closed`].
    pub(crate) fn poll(&self, context: &Context<'_>) -> Waiting {
        let mut state = self.state.lock();
        let writes = !state.queue.is_empty() || state.close.is_some();
        if !writes {
            state.listen(context, false);
        }
        Waiting { writes, is_roomy: state.has_room(self.limits) }
    }

    /// Waits until there is something to write or the connection is to end.
    #[cfg(test)]
    pub(crate) async fn ready(&self) {
        poll_fn(|context| if self.poll(context).writes { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether the connection is to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().close.is_some()
    }

    /// Waits until the connection is to end.
    pub(crate) async fn closed(&self) -> CloseCode {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if let Some(code) = state.close {
                return Poll::Ready(code);
            }
            state.listen(context, true);
            Poll::Pending
        })
        .await
    }

    /// Waits until less than half of the bounds is used: a replay goes at the pace of its reader. False when the
    /// connection is to end: nothing that is put in will be read.
    pub(crate) async fn room(&self) -> bool {
        loop {
            // Listening before looking: what happens in between is not missed.
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.close.is_some() {
                    return false;
                }
                if state.has_room(self.limits) {
                    return true;
                }
                state.awaited = true;
            }
            drained.await;
        }
    }

    /// Takes what waits, at most about `bytes` (at least one frame), and the code to end with once nothing waits. It
    /// counts until [`Outbox::written`].
    pub(crate) fn take(&self, bytes: usize) -> Taken {
        let mut state = self.state.lock();
        let mut frames = Vec::new();
        let (mut sum, mut cost) = (0, 0);
        while sum < bytes
            && let Some((frame, _)) = state.queue.pop_front()
        {
            sum += frame.len();
            cost += self.limits.cost(&frame);
            frames.push(frame);
        }
        state.bytes -= cost;
        state.writing += cost;
        if state.queue.is_empty() && state.queue.capacity() > 64 {
            // A burst is over: an idle connection keeps no room for the next one.
            state.queue = VecDeque::new();
        }
        let nothing_waits = state.queue.is_empty();
        let close = state.close.filter(|_| nothing_waits);
        let writes = state.writes.take(frames.len());
        Taken { frames, close, is_all: nothing_waits && state.close.is_none(), writes }
    }

    /// What was taken is with the kernel, or could not be written. Whether less than half of the bounds is used.
    pub(crate) fn written(&self, is_done: bool) -> bool {
        let mut state = self.state.lock();
        state.writing = 0;
        if is_done && state.queue.is_empty() {
            state.settle();
        }
        let is_roomy = state.has_room(self.limits);
        let awaited = take(&mut state.awaited);
        drop(state);
        if awaited {
            self.drained.notify_waiters();
        }
        is_roomy
    }

    /// When everything that had been put in was last with the kernel; none: never.
    pub(crate) fn settled(&self) -> Option<Instant> {
        self.state.lock().settled
    }

    /// How many ephemeral frames were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }
}

impl State {
    /// Everything is with the kernel that was put in until now, or until the end was asked for: what came after that
    /// was turned away. Of a slow consumer something was thrown away.
    fn settle(&mut self) {
        match self.close {
            None => self.settled = Some(Instant::now()),
            Some(CloseCode::SlowConsumer) => {}
            Some(_) => self.settled = self.settled.max(self.closed),
        }
    }

    fn listen(&mut self, context: &Context<'_>, busy: bool) {
        self.busy = busy;
        if !self.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
            self.writer = Some(context.waker().clone());
        }
    }

    fn over(&self, limits: OutboxLimits, cost: usize) -> bool {
        self.bytes + self.writing + cost > limits.bytes || self.queue.len() >= limits.events
    }

    /// At most half of the bounds is used.
    fn has_room(&self, limits: OutboxLimits) -> bool {
        self.bytes + self.writing <= limits.bytes / 2 && self.queue.len() <= limits.events / 2
    }

    fn drop_ephemeral(&mut self, limits: OutboxLimits) {
        let before = self.queue.len();
        self.writes.keep(|place| self.queue.iter().take(place).filter(|(_, class)| *class == Class::Durable).count());
        self.queue.retain(|(_, class)| *class == Class::Durable);
        self.dropped += (before - self.queue.len()) as u64;
        self.bytes = self.queue.iter().map(|(frame, _)| limits.cost(frame)).sum();
    }
}

#[cfg(test)]
mod tests;
