//! What goes wrong in a conversation where a protection is off: for tests of the tests alone.

use chat::Protections;
use protocol::Seq;

use super::{Channel, Ready, Stage};
use crate::outbox::Class;

impl Channel {
    /// What goes wrong where a protection is off.
    pub(super) fn unprotected(&mut self, seq: Seq, ready: &Ready) {
        let Protections { gap_fill, dedupe, subscribe_first, .. } = self.rules.protections;
        if !subscribe_first {
            self.order.establish(seq.saturating_sub(1));
        }
        let Some(delivered) = self.order.delivered() else { return };
        if !gap_fill {
            self.order.advance(seq.saturating_sub(1));
        }
        if !dedupe && seq <= delivered {
            let live = self.subscribers.iter().filter(|s| matches!(s.stage, Stage::Live(_)));
            live.for_each(|s| s.link.outbox.push(ready.frame.clone(), Class::Durable));
        }
    }
}
