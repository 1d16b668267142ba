//! The changes that were handed to local connections.

use std::collections::VecDeque;

use parking_lot::Mutex;
use protocol::{ConversationId, Seq};
use tokio::time::Instant;

use crate::inspect::Way;

/// Changes of one conversation that were put into the outboxes of its connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) conversation: ConversationId,
    /// Those above this place,
    pub(crate) from: Seq,
    /// up to this one.
    pub(crate) to: Seq,
    /// When the last connection had them in its outbox.
    pub(crate) at: Instant,
    pub(crate) way: Way,
    /// Connections that follow the conversation live.
    pub(crate) connections: usize,
}

/// The last of them.
#[derive(Debug)]
pub(crate) struct Deliveries {
    // Held for one entry.
    ring: Mutex<VecDeque<Delivery>>,
    most: usize,
    began: Instant,
}

impl Deliveries {
    /// Remembers so many. It takes memory as it fills.
    pub(crate) fn remembering(most: usize) -> Self {
        Self { ring: Mutex::default(), most, began: Instant::now() }
    }

    pub(crate) fn note(&self, delivery: Delivery) {
        if self.most == 0 {
            return;
        }
        let mut ring = self.ring.lock();
        if ring.len() >= self.most {
            ring.pop_front();
        }
        ring.push_back(delivery);
    }

    /// How this change was handed on, the last time that it was.
    pub(crate) fn find(&self, conversation: ConversationId, seq: Seq) -> Option<Delivery> {
        let ring = self.ring.lock();
        let is_it = |d: &&Delivery| d.conversation == conversation && d.from < seq && seq <= d.to;
        ring.iter().rev().find(is_it).copied()
    }

    /// From when on nothing is forgotten; none when nothing is remembered.
    pub(crate) fn since(&self) -> Option<Instant> {
        let ring = self.ring.lock();
        let oldest = ring.front().filter(|_| ring.len() >= self.most).map(|delivery| delivery.at);
        Some(oldest.unwrap_or(self.began)).filter(|_| self.most > 0)
    }
}

impl Default for Deliveries {
    fn default() -> Self {
        Self::remembering(1_024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(conversation: ConversationId, from: Seq, to: Seq) -> Delivery {
        Delivery { conversation, from, to, at: Instant::now(), way: Way::Bus, connections: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_are_forgotten_and_it_says_since_when() {
        let (deliveries, id) = (Deliveries::remembering(3), ConversationId::generate());
        let began = Instant::now();
        for seq in 1..=5 {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            // Nothing is forgotten until there is no room.
            assert_eq!(deliveries.since() == Some(began), seq <= 3, "{seq}");
            deliveries.note(delivery(id, seq - 1, seq));
        }
        assert!(deliveries.find(id, 2).is_none() && deliveries.find(id, 3).is_some());
        assert_eq!(deliveries.since(), deliveries.find(id, 3).map(|delivery| delivery.at));
        assert!(deliveries.find(ConversationId::generate(), 3).is_none());
    }

    #[test]
    fn a_page_holds_every_change_above_its_beginning() {
        let (deliveries, id) = (Deliveries::default(), ConversationId::generate());
        deliveries.note(delivery(id, 3, 7));
        let has = |seq| deliveries.find(id, seq).is_some();
        assert_eq!([3, 4, 7, 8].map(has), [false, true, true, false]);
    }

    #[test]
    fn who_is_to_remember_nothing_claims_nothing() {
        let (deliveries, id) = (Deliveries::remembering(0), ConversationId::generate());
        deliveries.note(delivery(id, 0, 1));
        assert!(deliveries.find(id, 1).is_none() && deliveries.since().is_none());
    }
}
