//! What waits to be written to one socket: bounded in bytes and events, never blocking who puts something in.
//!
//! Promise (invariant 9): a durable event is written or the connection is closed with a resumable code; ephemeral
//! events are dropped first. One connection that does not read costs at most the bounds (a page of changes that is larger than
//! them counts for half) and delays nobody.

use std::{collections::VecDeque, mem::size_of};

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use protocol::CloseCode;
use tokio::sync::Notify;

/// Bounds of an outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    /// Most bytes that wait; a frame counts for at most half of them.
    pub(crate) bytes: usize,
    /// Most frames that wait.
    pub(crate) events: usize,
}

impl OutboxLimits {
    /// What a waiting frame counts for: a page of changes may be larger than all the bounds, and must leave room for what
    /// comes after it, or whoever catches up would be cut off by it again and again.
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
}

/// The frames that wait for one socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    // Held for a push or a swap only, never across an await.
    state: Mutex<State>,
    wake: Notify,
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
    dropped: u64,
    close: Option<CloseCode>,
}

/// Bytes that a waiting frame costs besides its text.
const OVERHEAD: usize = size_of::<(Utf8Bytes, Class)>();

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), drained: Notify::new(), limits }
    }

    /// Most bytes that wait.
    pub(crate) fn bytes_max(&self) -> usize {
        self.limits.bytes
    }

    /// Most frames that wait.
    pub(crate) fn events_max(&self) -> usize {
        self.limits.events
    }

    /// Whether less than half of the bounds is used.
    pub(crate) fn is_roomy(&self) -> bool {
        self.state.lock().has_room(self.limits)
    }

    /// Puts a frame in. After [`Outbox::close`] it is forgotten.
    pub(crate) fn push(&self, frame: Utf8Bytes, class: Class) {
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
                drop(state);
                self.wake.notify_one();
                self.drained.notify_waiters();
                return;
            }
        }
        state.bytes += cost;
        state.queue.push_back((frame, class));
        let first = state.queue.len() == 1;
        drop(state);
        // A writer that has not yet fetched what waits will find this too.
        if first {
            self.wake.notify_one();
        }
    }

    /// Asks the connection to end. What waits is still written, but for a slow consumer. The first code stays.
    pub(crate) fn close(&self, code: CloseCode) {
        let mut state = self.state.lock();
        if state.close.is_none() {
            state.close = Some(code);
        }
        drop(state);
        self.wake.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits until there is something to write or the connection is to end.
    pub(crate) async fn ready(&self) {
        loop {
            {
                let state = self.state.lock();
                if !state.queue.is_empty() || state.close.is_some() {
                    return;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Whether the connection is to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().close.is_some()
    }

    /// Waits until the connection is to end.
    pub(crate) async fn closed(&self) -> CloseCode {
        loop {
            if let Some(code) = self.state.lock().close {
                return code;
            }
            self.wake.notified().await;
        }
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
                let state = self.state.lock();
                if state.close.is_some() {
                    return false;
                }
                if state.has_room(self.limits) {
                    return true;
                }
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
        Taken { frames, close, is_all: nothing_waits && state.close.is_none() }
    }

    /// What was taken is with the kernel.
    pub(crate) fn written(&self) {
        self.state.lock().writing = 0;
        self.drained.notify_waiters();
    }

    /// How many ephemeral frames were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }
}

impl State {
    fn over(&self, limits: OutboxLimits, cost: usize) -> bool {
        self.bytes + self.writing + cost > limits.bytes || self.queue.len() >= limits.events
    }

    /// At most half of the bounds is used.
    fn has_room(&self, limits: OutboxLimits) -> bool {
        self.bytes + self.writing <= limits.bytes / 2 && self.queue.len() <= limits.events / 2
    }

    fn drop_ephemeral(&mut self, limits: OutboxLimits) {
        let before = self.queue.len();
        self.queue.retain(|(_, class)| *class == Class::Durable);
        self.dropped += (before - self.queue.len()) as u64;
        self.bytes = self.queue.iter().map(|(frame, _)| limits.cost(frame)).sum();
    }
}

#[cfg(test)]
mod tests;
