//! What became of a change on one connection, from what is remembered of both. Pure: [`super`] gathers.
//!
//! A connection's outbox is in order: once everything that was in it is with the kernel, later than a change was put
//! in, so is the change. That is all that is kept of a connection, one moment, however many changes it gets.

use protocol::Seq;
use tokio::time::Instant;

use super::Fate;
use crate::{hub::Following, inspect::Way, journal::Delivery};

/// The change, and what this node did with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) seq: Seq,
    /// The message's own place.
    pub(super) place: Seq,
    pub(super) delivered: Option<Seq>,
    pub(super) handed_on: Option<Delivery>,
    /// What was handed on before this is forgotten; none: nothing is remembered.
    pub(super) since: Option<Instant>,
}

/// A connection, as far as it matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) opened: Instant,
    /// When it ended; none: it lives.
    pub(super) ended: Option<Instant>,
    /// How it follows the conversation, or did; none: not at all.
    pub(super) following: Option<Following>,
    /// Its client was asked to fetch the conversation.
    pub(super) asked_to_fetch: bool,
    /// Bytes that wait; of one that was asked to end or has ended none are known to.
    pub(super) waiting: Option<u64>,
    /// When everything that had been put in was last with the kernel.
    pub(super) settled: Option<Instant>,
}

impl Asked {
    pub(super) fn fate(&self, seen: &Seen) -> Fate {
        match seen.following {
            None => Fate::NotFollowing,
            Some(Following::Starting) if seen.ended.is_some() => Fate::Lost,
            Some(Following::Starting) => Fate::Starting,
            Some(Following::Live { from, .. }) if self.seq <= from => self.before(from, seen),
            Some(Following::Live { visible_from, .. }) => self.after(visible_from, seen),
        }
    }

    /// It came, or was to come, as an event.
    fn after(&self, visible_from: Seq, seen: &Seen) -> Fate {
        match (self.handed_on, seen.ended) {
            (Some(handed_on), Some(ended)) if handed_on.at > ended => return Fate::NotReceived,
            (Some(Delivery { way: Way::Skipped, .. }), _) => return Fate::Skipped,
            // It never came here, or that is forgotten.
            (None, Some(_)) if self.since.is_some_and(|since| since <= seen.opened) => return Fate::NotReceived,
            (None, Some(_)) => return Fate::Unknown,
            (None, None) if self.delivered.is_none_or(|delivered| delivered < self.seq) => return Fate::NotReceived,
            (Some(_) | None, _) => {}
        }
        if self.place <= visible_from { Fate::Hidden } else { self.by_outbox(seen) }
    }

    /// It is from before the connection's live events.
    fn before(&self, from: Seq, seen: &Seen) -> Fate {
        match self.handed_on {
            // It was live when this came, and asked to fetch something later that was skipped.
            Some(Delivery { way: Way::Bus | Way::Store, at, .. }) if seen.asked_to_fetch && at >= seen.opened => {
                self.by_outbox(seen)
            }
            _ if seen.asked_to_fetch => Fate::Skipped,
            // Nothing was ever written in full: what it was to get at its beginning neither.
            _ if seen.settled.is_none() && seen.ended.is_some() => Fate::Lost,
            _ if seen.settled.is_none() && seen.waiting != Some(0) => Fate::Starting,
            _ => Fate::ByResume { from },
        }
    }

    /// It was put into the outbox.
    fn by_outbox(&self, seen: &Seen) -> Fate {
        // All that was ever put in.
        if seen.waiting == Some(0) {
            return Fate::Written;
        }
        match (self.is_settled(seen.settled), seen.waiting) {
            (Some(true), _) => Fate::Written,
            (Some(false), Some(bytes)) => Fate::Waiting { bytes },
            (Some(false), None) => Fate::Lost,
            (None, _) => Fate::Unknown,
        }
    }

    /// Whether everything was with the kernel at a moment after it was handed on; none: that moment is forgotten.
    fn is_settled(&self, settled: Option<Instant>) -> Option<bool> {
        match (self.handed_on, settled) {
            (Some(handed_on), settled) => Some(settled.is_some_and(|settled| settled >= handed_on.at)),
            // It was handed on before everything that is remembered.
            (None, Some(settled)) => Some(true).filter(|_| self.since.is_some_and(|since| settled >= since)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::ConversationId;

    use super::*;

    /// A node that began at second 0, and remembers everything since then.
    struct Story {
        begin: Instant,
    }

    impl Story {
        fn at(&self, second: u64) -> Instant {
            self.begin + Duration::from_secs(second)
        }

        /// The change 7, handed on at second 10.
        fn asked(&self, way: Option<Way>) -> Asked {
            let handed_on = way.map(|way| Delivery {
                conversation: ConversationId::generate(),
                from: 6,
                to: 7,
                at: self.at(10),
                way,
                connections: 1,
            });
            Asked { seq: 7, place: 7, delivered: Some(9), handed_on, since: Some(self.at(0)) }
        }

        /// Live after `from` since second 5; everything was written at second `settled`.
        fn live(&self, from: Seq, settled: u64, waiting: u64) -> Seen {
            Seen {
                opened: self.at(5),
                ended: None,
                following: Some(Following::Live { from, visible_from: 0 }),
                asked_to_fetch: false,
                waiting: Some(waiting),
                settled: Some(self.at(settled)),
            }
        }

        /// The same, ended at this second.
        fn ended(&self, from: Seq, settled: u64, ended: u64) -> Seen {
            Seen { ended: Some(self.at(ended)), waiting: None, ..self.live(from, settled, 0) }
        }
    }

    fn story() -> Story {
        Story { begin: Instant::now() }
    }

    #[test]
    fn of_a_live_connection_the_outbox_tells() {
        let story = story();
        let asked = story.asked(Some(Way::Bus));
        assert_eq!(asked.fate(&story.live(3, 6, 0)), Fate::Written, "nothing waits");
        assert_eq!(asked.fate(&story.live(3, 11, 500)), Fate::Written, "something younger waits");
        assert_eq!(asked.fate(&story.live(3, 9, 500)), Fate::Waiting { bytes: 500 });
        assert_eq!(asked.fate(&Seen { settled: None, ..story.live(3, 0, 500) }), Fate::Waiting { bytes: 500 });
        let closing = Seen { waiting: None, ..story.live(3, 9, 0) };
        assert_eq!(asked.fate(&closing), Fate::Lost, "what is put in after the end was asked for is turned away");
    }

    #[test]
    fn of_an_ended_connection_only_what_was_written_counts() {
        let story = story();
        let asked = story.asked(Some(Way::Store));
        assert_eq!(asked.fate(&story.ended(3, 12, 20)), Fate::Written);
        assert_eq!(asked.fate(&story.ended(3, 9, 20)), Fate::Lost);
        assert_eq!(asked.fate(&Seen { settled: None, ..story.ended(3, 0, 20) }), Fate::Lost);
        assert_eq!(asked.fate(&story.ended(3, 7, 8)), Fate::NotReceived, "it was gone before");
        assert_eq!(story.asked(None).fate(&story.ended(3, 7, 8)), Fate::NotReceived);
        let starting = Seen { following: Some(Following::Starting), ..story.ended(3, 7, 12) };
        assert_eq!(asked.fate(&starting), Fate::Lost);
    }

    #[test]
    fn what_is_from_before_a_connection_came_by_its_beginning_or_is_fetched() {
        let story = story();
        for way in [None, Some(Way::Bus), Some(Way::Skipped)] {
            assert_eq!(story.asked(way).fate(&story.live(8, 6, 0)), Fate::ByResume { from: 8 }, "{way:?}");
            let fetches = Seen { asked_to_fetch: true, opened: story.at(12), ..story.live(8, 13, 0) };
            assert_eq!(story.asked(way).fate(&fetches), Fate::Skipped, "{way:?}");
        }
        let busy = Seen { settled: None, ..story.live(8, 0, 500) };
        assert_eq!(story.asked(None).fate(&busy), Fate::Starting);
        assert_eq!(story.asked(None).fate(&Seen { settled: None, ..story.ended(8, 0, 20) }), Fate::Lost);
    }

    #[test]
    fn who_was_live_when_it_came_has_it_whatever_was_skipped_later() {
        let story = story();
        let later = Seen { asked_to_fetch: true, ..story.live(30, 11, 0) };
        assert_eq!(story.asked(Some(Way::Bus)).fate(&later), Fate::Written);
        let skipped = Seen { asked_to_fetch: true, ..story.live(3, 11, 0) };
        assert_eq!(story.asked(Some(Way::Skipped)).fate(&skipped), Fate::Skipped);
    }

    #[test]
    fn a_node_that_has_not_got_it_or_forgot_says_so() {
        let story = story();
        let behind = Asked { delivered: Some(6), ..story.asked(None) };
        assert_eq!(behind.fate(&story.live(3, 6, 0)), Fate::NotReceived);
        assert_eq!(behind.fate(&Seen { following: Some(Following::Starting), ..story.live(3, 6, 0) }), Fate::Starting);
        assert_eq!(behind.fate(&Seen { following: None, ..story.live(3, 6, 0) }), Fate::NotFollowing);
        // Handed on before all that is remembered.
        let forgot = Asked { since: Some(story.at(30)), ..story.asked(None) };
        assert_eq!(forgot.fate(&story.live(3, 40, 500)), Fate::Written);
        assert_eq!(forgot.fate(&story.live(3, 20, 500)), Fate::Unknown);
        assert_eq!(forgot.fate(&story.ended(3, 9, 20)), Fate::Unknown);
        let hidden = Asked { place: 2, ..story.asked(Some(Way::Bus)) };
        let late = Seen { following: Some(Following::Live { from: 3, visible_from: 2 }), ..story.live(3, 11, 0) };
        assert_eq!(hidden.fate(&late), Fate::Hidden);
    }
}
