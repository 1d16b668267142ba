//! Puts a conversation's events back in order. Pure: no time, no I/O, no locks.
//!
//! Promise: what comes out is in `seq` order with none missing and none twice. Events that come early wait, at most
//! as many as there is [`Room`] for; what to do about a hole that stays is the caller's business ([`Sequencer::hole`]).

use std::collections::BTreeMap;

use protocol::Seq;

/// How much may wait for one event before it. Beyond it the last ones are dropped: the fill brings them back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Most events.
    pub(crate) events: usize,
    /// Most bytes of them; one event may pass it alone.
    pub(crate) bytes: usize,
}

/// What became of an offered event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered<T> {
    /// These go out now, in this order.
    Deliver(Vec<(Seq, T)>),
    /// Known already.
    Duplicate,
    /// It waits for the one before it.
    Held,
    /// It waits, or was dropped, and no more can wait: fill the hole now.
    Full,
}

/// Order of one conversation on one node.
#[derive(Debug)]
pub(crate) struct Sequencer<T> {
    /// The last seq that went out; none until the first subscriber's head was read from the store.
    delivered: Option<Seq>,
    /// The highest seq known to exist.
    head: Seq,
    /// Each with its bytes.
    early: BTreeMap<Seq, (T, usize)>,
    early_bytes: usize,
}

impl<T> Default for Sequencer<T> {
    fn default() -> Self {
        Self { delivered: None, head: 0, early: BTreeMap::new(), early_bytes: 0 }
    }
}

impl<T> Sequencer<T> {
    /// The last seq that went out.
    pub(crate) fn delivered(&self) -> Option<Seq> {
        self.delivered
    }

    /// An event of this many bytes arrived.
    pub(crate) fn offer(&mut self, seq: Seq, item: T, bytes: usize, room: Room) -> Offered<T> {
        self.head = self.head.max(seq);
        match self.delivered {
            Some(delivered) if seq <= delivered => Offered::Duplicate,
            Some(delivered) if seq == delivered + 1 => {
                self.delivered = Some(seq);
                let mut out = vec![(seq, item)];
                out.append(&mut self.contiguous());
                Offered::Deliver(out)
            }
            _ if self.early.contains_key(&seq) => Offered::Duplicate,
            _ => {
                let fits = self.early.len() < room.events && self.early_bytes + bytes <= room.bytes;
                if self.early.is_empty() || fits {
                    self.early.insert(seq, (item, bytes));
                    self.early_bytes += bytes;
                }
                let more = self.early.len() < room.events && self.early_bytes < room.bytes;
                if more && self.early.contains_key(&seq) { Offered::Held } else { Offered::Full }
            }
        }
    }

    /// The head was read from the store, after the subscription was confirmed: events above it are news. Does
    /// nothing when the sequencer is under way. Returns what goes out now.
    pub(crate) fn establish(&mut self, head: Seq) -> Vec<(Seq, T)> {
        if self.delivered.is_some() {
            return Vec::new();
        }
        self.advance(head)
    }

    /// Everything up to `to` went out by another way. Returns what goes out now.
    pub(crate) fn advance(&mut self, to: Seq) -> Vec<(Seq, T)> {
        let delivered = self.delivered.map_or(to, |delivered| delivered.max(to));
        self.delivered = Some(delivered);
        self.head = self.head.max(delivered);
        self.early = self.early.split_off(&delivered.saturating_add(1));
        self.early_bytes = self.early.values().map(|(_, bytes)| bytes).sum();
        self.contiguous()
    }

    /// The store says that `head` exists.
    pub(crate) fn saw_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Forgets everything about what comes after `head`, which went out (or was given up).
    pub(crate) fn restart(&mut self, head: Seq) {
        let delivered = self.delivered.map_or(head, |delivered| delivered.max(head));
        *self = Self { delivered: Some(delivered), head: delivered, ..Self::default() };
    }

    /// The seq after which something is missing and the highest that is known, when something is.
    pub(crate) fn hole(&self) -> Option<(Seq, Seq)> {
        let delivered = self.delivered.filter(|delivered| *delivered < self.head)?;
        Some((delivered, self.head))
    }

    fn contiguous(&mut self) -> Vec<(Seq, T)> {
        let mut out = Vec::new();
        while let Some(delivered) = self.delivered
            && let Some(entry) = self.early.first_entry()
            && *entry.key() == delivered + 1
        {
            let (seq, (item, bytes)) = entry.remove_entry();
            self.early_bytes -= bytes;
            out.push((seq, item));
            self.delivered = Some(delivered + 1);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { events: 64, bytes: 256 * 1024 };

    fn seqs<T>(out: Vec<(Seq, T)>) -> Vec<Seq> {
        out.into_iter().map(|(seq, _)| seq).collect()
    }

    #[test]
    fn an_early_event_waits_for_the_one_before_it() {
        let mut order = Sequencer::default();
        assert!(order.establish(4).is_empty());
        assert_eq!(order.offer(6, 'b', 1, ROOM), Offered::Held);
        assert_eq!(order.hole(), Some((4, 6)));
        assert_eq!(order.offer(5, 'a', 1, ROOM), Offered::Deliver(vec![(5, 'a'), (6, 'b')]));
        assert_eq!(order.offer(5, 'a', 1, ROOM), Offered::Duplicate);
        assert_eq!(order.hole(), None);
    }

    #[test]
    fn events_before_the_head_is_known_wait_for_it() {
        let mut order = Sequencer::default();
        assert_eq!(order.offer(5, (), 1, ROOM), Offered::Held);
        assert_eq!(order.offer(6, (), 1, ROOM), Offered::Held);
        assert_eq!(seqs(order.establish(5)), [6]);
    }

    #[test]
    fn a_lost_last_event_is_a_hole_once_the_store_tells_of_it() {
        let mut order = Sequencer::<()>::default();
        order.establish(3);
        assert_eq!(order.hole(), None);
        order.saw_head(4);
        assert_eq!(order.hole(), Some((3, 4)));
        assert!(order.advance(4).is_empty());
        assert_eq!(order.hole(), None);
    }

    #[test]
    fn an_announcement_of_what_does_not_exist_is_forgotten() {
        let mut order = Sequencer::default();
        order.establish(3);
        assert_eq!(order.offer(u64::MAX, (), 1, ROOM), Offered::Held);
        order.restart(3);
        assert_eq!(order.hole(), None);
        assert_eq!(order.offer(4, (), 1, ROOM), Offered::Deliver(vec![(4, ())]));
    }

    proptest! {
        #[test]
        fn whatever_arrives_in_whatever_order_goes_out_once_in_order(
            arrivals in proptest::collection::vec(1u64..200, 0..600),
            fills in proptest::collection::vec(any::<bool>(), 600),
            bytes in proptest::collection::vec(1..ROOM.bytes / 2, 600),
        ) {
            let mut order = Sequencer::default();
            order.establish(0);
            let mut out = Vec::new();
            for ((seq, fill), bytes) in arrivals.iter().zip(fills).zip(bytes) {
                match order.offer(*seq, (), bytes, ROOM) {
                    Offered::Deliver(events) => out.extend(seqs(events)),
                    Offered::Held | Offered::Full if fill => {
                        // The store fills up to the hole's other end at most; here: everything seen.
                        let (from, head) = order.hole().expect("something was held");
                        let to = (from + 3).min(head);
                        out.extend(from + 1..=to);
                        out.extend(seqs(order.advance(to)));
                    }
                    _ => {}
                }
                prop_assert!(order.early.len() <= ROOM.events);
                prop_assert!(order.early_bytes <= ROOM.bytes || order.early.len() == 1);
                prop_assert_eq!(order.early_bytes, order.early.values().map(|((), bytes)| bytes).sum::<usize>());
            }
            let last = order.delivered().expect("it was established");
            prop_assert_eq!(out, (1..=last).collect::<Vec<_>>());
        }
    }
}
