//! Live events that wait for a subscriber who is still reading the store: bounded in number and in bytes, also all that
//! wait for one connection together.

use std::sync::Arc;

use protocol::Seq;

use super::Ready;
use crate::{bounds::Bounds, link::Link};

/// What waits for one subscriber.
pub(super) struct Held {
    link: Arc<Link>,
    pub(super) events: Vec<(Seq, Ready)>,
    bytes: usize,
    /// Something did not fit (or came as a fill): the store must be read again.
    pub(super) overflowed: bool,
    /// It was shown the conversation as of this seq meanwhile: what came before it may be its removal of another time.
    pub(super) shown: Seq,
}

impl Held {
    /// Nothing yet, for somebody who was shown the conversation as of this seq.
    pub(super) fn after(link: &Arc<Link>, shown: Seq) -> Self {
        Self { link: Arc::clone(link), events: Vec::new(), bytes: 0, overflowed: false, shown }
    }

    pub(super) fn push(&mut self, seq: Seq, event: &Ready, bounds: &Bounds) {
        let bytes = event.frame.len();
        let fits = self.events.len() < bounds.held_events && self.bytes + bytes <= bounds.waiting_bytes;
        if fits && !self.overflowed && self.link.hold(bytes) {
            self.bytes += bytes;
            self.events.push((seq, event.for_later()));
        } else {
            self.overflow();
        }
    }

    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
        self.events = Vec::new();
        self.link.let_go(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.let_go(self.bytes);
    }
}
