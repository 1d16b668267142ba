//! What became of a change on one connection, from what is remembered of both.
//!
//! A connection's outbox is in order: once everything that was in it is with the kernel, later than a change was put
//! in, so is the change. That is all that is kept of a connection, one moment, however many changes it gets.

use std::sync::Arc;

use protocol::{ConversationId, Seq};
use tokio::time::Instant;

use super::Fate;
use crate::{
    hub::{Following, Hub},
    inspect::Way,
    journal::{Delivery, Ended},
    link::Link,
};

/// The change, and what this node did with it.
pub(super) struct Asked {
    pub(super) id: ConversationId,
    pub(super) seq: Seq,
    /// The message's own place.
    pub(super) place: Seq,
    pub(super) delivered: Option<Seq>,
    pub(super) handed_on: Option<Delivery>,
    /// What was handed on before this is forgotten.
    pub(super) since: Option<Instant>,
}

impl Asked {
    /// On a connection that lives.
    pub(super) fn live(&self, hub: &Hub, link: &Arc<Link>) -> Fate {
        match hub.following(self.id, link) {
            None => Fate::NotFollowing,
            Some(Following::Starting) => Fate::Starting,
            Some(Following::Live { from, .. }) if self.seq <= from => self.before(from),
            Some(Following::Live { .. }) if self.delivered.is_none_or(|delivered| delivered < self.seq) => {
                Fate::NotReceived
            }
            Some(Following::Live { visible_from, .. }) if self.place <= visible_from => Fate::Hidden,
            Some(Following::Live { .. }) => {
                let (bytes, _) = link.outbox.waiting();
                if bytes == 0 {
                    // All that was ever put in.
                    return Fate::Written;
                }
                match self.is_settled(link.outbox.settled()) {
                    Some(true) => Fate::Written,
                    Some(false) => Fate::Waiting { bytes: bytes as u64 },
                    None => Fate::Unknown,
                }
            }
        }
    }

    /// On one that ended.
    pub(super) fn ended(&self, ended: &Ended) -> Fate {
        let Some(places) = &ended.places else { return Fate::Unknown };
        let Some((_, from)) = places.iter().find(|(id, _)| *id == self.id) else { return Fate::NotFollowing };
        if self.seq <= *from {
            return self.before(*from);
        }
        match self.handed_on {
            Some(handed_on) if handed_on.at > ended.at => Fate::NotReceived,
            Some(handed_on) if handed_on.way == Way::Skipped => Fate::Skipped,
            Some(_) => match self.is_settled(ended.settled) {
                Some(true) => Fate::Written,
                _ => Fate::Lost,
            },
            // It never came here, or that is forgotten.
            None if self.since.is_some_and(|since| since <= ended.opened) => Fate::NotReceived,
            None => Fate::Unknown,
        }
    }

    /// It is from before the connection's live events: of its own doing, or because a hole was skipped.
    fn before(&self, from: Seq) -> Fate {
        match self.handed_on {
            Some(Delivery { way: Way::Skipped, .. }) => Fate::Skipped,
            _ => Fate::ByResume { from },
        }
    }

    /// Whether everything was with the kernel at a moment after it was handed on; none: that moment is forgotten.
    fn is_settled(&self, settled: Option<Instant>) -> Option<bool> {
        let settled = settled?;
        match self.handed_on {
            Some(handed_on) => Some(settled >= handed_on.at),
            // It was handed on before everything that is remembered.
            None => Some(true).filter(|_| self.since.is_some_and(|since| settled >= since)),
        }
    }
}
