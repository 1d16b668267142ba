//! Which lane a change waits in.
//!
//! A transaction for many changes costs hardly more than one for few, so one lane is filled before the next is opened: that
//! is used when those before it have as much waiting as one transaction takes, or are held up in one. Changes of one
//! conversation that are under way at once are all in one lane, so that they keep their order.

use std::{collections::hash_map::Entry, sync::Arc, time::Duration};

use parking_lot::Mutex;
use protocol::ConversationId;
use tokio::time::Instant;

use crate::Map;

/// A transaction that takes longer waits for something: for another node's lock, or for a database that is busy.
const HELD_UP: Duration = Duration::from_millis(25);

/// See the module.
pub(super) struct Places {
    state: Mutex<State>,
}

struct State {
    /// Conversations with changes under way: in which lane, and how many.
    under_way: Map<ConversationId, (usize, usize)>,
    /// When each lane's transaction began, if one is under way.
    since: Vec<Option<Instant>>,
}

/// A change's place in a lane, until the change is done with.
pub(super) struct Place {
    places: Arc<Places>,
    conversation: ConversationId,
    pub(super) lane: usize,
}

impl Places {
    pub(super) fn new(lanes: usize) -> Arc<Self> {
        let state = State { under_way: Map::default(), since: vec![None; lanes] };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A place for a change; `is_full` says which lanes have as much waiting as one transaction takes.
    pub(super) fn take(self: &Arc<Self>, conversation: ConversationId, is_full: impl Fn(usize) -> bool) -> Place {
        let mut state = self.state.lock();
        let State { under_way, since } = &mut *state;
        let lane = match under_way.entry(conversation) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().1 += 1;
                entry.get().0
            }
            Entry::Vacant(entry) => {
                let held_up = |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() > HELD_UP);
                let mut free = since.iter().enumerate().filter(|(lane, since)| !held_up(since) && !is_full(*lane));
                // Where all are busy, chance is fair: the low bits of a UUIDv7 are random.
                let any = (conversation.0.as_u128() % since.len() as u128) as usize;
                let lane = free.next().map_or(any, |(lane, _)| lane);
                entry.insert((lane, 1));
                lane
            }
        };
        Place { places: Arc::clone(self), conversation, lane }
    }

    /// A transaction of this lane begins (true) or has ended.
    pub(super) fn works(&self, lane: usize, works: bool) {
        if let Some(since) = self.state.lock().since.get_mut(lane) {
            *since = works.then(Instant::now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        if let Entry::Occupied(mut entry) = state.under_way.entry(self.conversation) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_lane_is_filled_before_the_next_and_a_conversation_stays_where_it_is_under_way() {
        let places = Places::new(3);
        let (one, two) = (ConversationId::generate(), ConversationId::generate());
        let nothing = |_| false;
        let first = places.take(one, nothing);
        assert_eq!((first.lane, places.take(two, nothing).lane), (0, 0));
        let full = |lane| lane == 0;
        assert_eq!(places.take(two, full).lane, 1, "two is not under way any more");
        let again = places.take(one, full);
        assert_eq!(again.lane, 0, "behind the first, however full");
        drop(first);
        assert_eq!(places.take(one, full).lane, 0, "another one is still there");
        drop(again);
        assert_eq!(places.take(one, full).lane, 1);
        assert!(places.state.lock().under_way.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_held_up_gets_nothing_new_and_when_all_are_everybody_finds_a_place() {
        let places = Places::new(2);
        let id = ConversationId::generate;
        places.works(0, true);
        assert_eq!(places.take(id(), |_| false).lane, 0);
        tokio::time::advance(HELD_UP * 2).await;
        assert_eq!(places.take(id(), |_| false).lane, 1);
        places.works(1, true);
        tokio::time::advance(HELD_UP * 2).await;
        let spread: std::collections::BTreeSet<_> = (0..100).map(|_| places.take(id(), |_| false).lane).collect();
        assert_eq!(spread, [0, 1].into());
        places.works(0, false);
        assert_eq!(places.take(id(), |_| false).lane, 0);
    }
}
