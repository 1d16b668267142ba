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

    /// How many ephemeral frames were dropped since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.state.lock().dropped)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outbox(events: usize) -> Outbox {
        Outbox::new(OutboxLimits { bytes: 1_000, events })
    }

    #[test]
    fn ephemeral_frames_go_first_and_durable_ones_never_silently() {
        let outbox = outbox(3);
        outbox.push("typing".into(), Class::Ephemeral);
        outbox.push("a".into(), Class::Durable);
        outbox.push("b".into(), Class::Durable);
        outbox.push("receipt".into(), Class::Ephemeral);
        outbox.push("c".into(), Class::Durable);
        let taken = outbox.take(usize::MAX);
        assert_eq!((taken.frames, taken.close), (vec!["a".into(), "b".into(), "c".into()], None));
        assert!(taken.is_all);
        assert_eq!(outbox.take_dropped(), 2);
    }

    #[test]
    fn too_many_durable_frames_close_the_connection_with_a_resumable_code() {
        let outbox = outbox(2);
        for text in ["a", "b", "c", "d"] {
            outbox.push(text.into(), Class::Durable);
        }
        let taken = outbox.take(usize::MAX);
        assert_eq!((taken.frames, taken.close), (vec![], Some(CloseCode::SlowConsumer)));
        assert!(!taken.is_all, "what was dropped was not taken");
    }

    #[test]
    fn bytes_are_bounded_too_but_one_large_frame_passes() {
        let outbox = outbox(100);
        outbox.push("x".repeat(5_000).into(), Class::Durable);
        assert_eq!(outbox.take(1).frames.len(), 1);
        for _ in 0..3 {
            outbox.push("x".repeat(500).into(), Class::Durable);
        }
        assert_eq!(outbox.take(usize::MAX).close, Some(CloseCode::SlowConsumer));
    }

    #[test]
    fn a_large_page_for_who_has_room_does_not_end_them() {
        let outbox = outbox(10);
        outbox.push("connected".into(), Class::Durable);
        outbox.push("x".repeat(5_000).into(), Class::Durable);
        // Nor does what comes after it, written or not.
        outbox.push("reply".into(), Class::Durable);
        let taken = outbox.take(usize::MAX);
        assert_eq!((taken.frames.len(), taken.close), (3, None));
        outbox.push("event".into(), Class::Durable);
        outbox.push("event".into(), Class::Durable);
        assert_eq!(outbox.take(usize::MAX).close, None);
    }

    #[tokio::test]
    async fn what_waited_before_a_close_is_written_first() {
        let outbox = outbox(10);
        outbox.push("bye".into(), Class::Durable);
        outbox.close(CloseCode::GoingAway);
        outbox.close(CloseCode::Internal);
        outbox.push("late".into(), Class::Durable);
        outbox.ready().await;
        let taken = outbox.take(usize::MAX);
        assert_eq!((taken.frames, taken.close), (vec!["bye".into()], Some(CloseCode::GoingAway)));
        assert!(!taken.is_all, "a frame came too late");
        assert_eq!(outbox.closed().await, CloseCode::GoingAway);
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_when_something_was_written_and_is_sent_home_at_the_end() {
        let outbox = std::sync::Arc::new(outbox(10));
        outbox.push("x".repeat(600).into(), Class::Durable);
        let wait = || {
            let outbox = std::sync::Arc::clone(&outbox);
            tokio::spawn(async move { outbox.room().await })
        };
        // Two of them: a wake-up must not be used up by the first.
        let (one, two) = (wait(), wait());
        tokio::task::yield_now().await;
        assert_eq!(outbox.take(usize::MAX).frames.len(), 1);
        tokio::task::yield_now().await;
        assert!(!one.is_finished() && !two.is_finished(), "what is being written still counts");
        outbox.written();
        assert!(one.await.unwrap() && two.await.unwrap());
        outbox.push("x".repeat(600).into(), Class::Durable);
        let overflowed = wait();
        tokio::task::yield_now().await;
        outbox.push("x".repeat(600).into(), Class::Durable);
        assert!(!overflowed.await.unwrap());
    }

    /// What somebody does with an outbox.
    #[derive(Debug, Clone)]
    enum Step {
        Push(usize, Class),
        Take(usize),
        Written,
    }

    fn step() -> impl Strategy<Value = Step> {
        let push = |class| (0..600_usize).prop_map(move |bytes| Step::Push(bytes, class));
        prop_oneof![
            6 => push(Class::Durable),
            3 => push(Class::Ephemeral),
            2 => (1..2_000_usize).prop_map(Step::Take),
            2 => Just(Step::Written),
        ]
    }

    proptest! {
        /// Durable frames come out in order and whole, or the connection ends with a code that resumes and what came
        /// out is a beginning of what was put in; the bounds hold at every moment; nothing durable is lost while
        /// something ephemeral waits.
        #[test]
        fn durable_frames_come_out_in_order_or_the_connection_is_closed(
            steps in proptest::collection::vec(step(), 0..300),
            bytes in 200..4_000_usize,
            events in 1..40_usize,
        ) {
            let limits = OutboxLimits { bytes, events };
            let outbox = Outbox::new(limits);
            let (mut put, mut taken, mut ephemeral) = (Vec::new(), Vec::new(), (0_u64, 0_u64));
            let mut number = 0;
            for step in steps {
                let was_open = outbox.state.lock().close.is_none();
                match step {
                    Step::Push(size, class) => {
                        number += 1;
                        let kind = if class == Class::Durable { 'd' } else { 'e' };
                        let frame = format!("{kind}{number}:{}", "x".repeat(size));
                        if was_open {
                            if class == Class::Durable { put.push(frame.clone()) } else { ephemeral.0 += 1 }
                        }
                        outbox.push(frame.into(), class);
                    }
                    Step::Take(most) => {
                        for frame in outbox.take(most).frames {
                            if frame.starts_with('d') { taken.push(frame.to_string()) } else { ephemeral.1 += 1 }
                        }
                    }
                    Step::Written => outbox.written(),
                }
                let state = outbox.state.lock();
                let waits: usize = state.queue.iter().map(|(frame, _)| limits.cost(frame)).sum();
                prop_assert_eq!(state.bytes, waits);
                prop_assert!(state.queue.len() <= events);
                // One frame may pass the bound, when half of it was free.
                let last = state.queue.back().map_or(0, |(frame, _)| limits.cost(frame));
                let before = waits - last;
                prop_assert!(waits <= bytes || before <= bytes / 2, "{} and {} of {}", before, last, bytes);
                if let Some(code) = state.close {
                    prop_assert_eq!(code, CloseCode::SlowConsumer);
                    prop_assert!(state.queue.is_empty(), "a closed outbox holds memory");
                    if was_open {
                        // What did not fit was durable, and no ephemeral frame stood in its way.
                        prop_assert!(put.len() > taken.len());
                    }
                }
            }
            let rest = outbox.take(usize::MAX);
            let is_closed = rest.close.is_some();
            for frame in rest.frames {
                if frame.starts_with('d') { taken.push(frame.to_string()) } else { ephemeral.1 += 1 }
            }
            if is_closed {
                prop_assert!(put.starts_with(&taken));
            } else {
                prop_assert_eq!(&taken, &put);
                prop_assert_eq!(outbox.take_dropped(), ephemeral.0 - ephemeral.1);
            }
        }
    }
}
