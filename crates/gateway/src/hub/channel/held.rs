//! Live events that wait for a subscriber who is still reading the store: bounded in number and in bytes.

use protocol::Seq;

use super::Ready;

/// Most events held for a subscriber that is still reading the store, and most bytes of them; beyond it it reads again.
const HELD_MAX: usize = 64;
const HELD_BYTES: usize = 256 * 1024;

/// What waits for one subscriber.
#[derive(Default)]
pub(super) struct Held {
    pub(super) events: Vec<(Seq, Ready)>,
    bytes: usize,
    /// Something did not fit (or came as a fill): the store must be read again.
    pub(super) overflowed: bool,
    /// It was shown the conversation as of this seq meanwhile: what came before it may be its removal of another time.
    pub(super) shown: Seq,
}

impl Held {
    /// Nothing yet, for somebody who was shown the conversation as of this seq.
    pub(super) fn after(shown: Seq) -> Self {
        Self { shown, ..Self::default() }
    }

    pub(super) fn push(&mut self, seq: Seq, event: &Ready) {
        self.bytes += event.frame.len();
        if self.events.len() < HELD_MAX && self.bytes <= HELD_BYTES && !self.overflowed {
            self.events.push((seq, event.clone()));
        } else {
            self.overflow();
        }
    }

    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
        self.events = Vec::new();
    }
}
