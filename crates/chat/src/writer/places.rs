//! Which lane a change waits in.
//!
//! A transaction for many changes costs hardly more than one for few, so one lane is filled before the next is opened:
//! that is used when enough wait in those before it that a further one costs each of them little, or they are held up.
//! Changes of one conversation that are under way at once are all in one lane, so that they keep their order.

use std::{collections::hash_map::Entry, sync::Arc, time::Duration};

use parking_lot::Mutex;
use protocol::ConversationId;
use tokio::time::Instant;

use super::congestion::{Congestion, Turn};
use crate::Map;

/// A transaction that takes longer waits for something: for another node's lock, or for a database that is busy.
const HELD_UP: Duration = Duration::from_millis(25);

/// See the module.
pub(super) struct Places {
    state: Mutex<State>,
    /// As many changes as one transaction takes.
    batch: usize,
}

struct State {
    /// Conversations with changes under way: in which lane, and how many.
    under_way: Map<ConversationId, (usize, usize)>,
    /// When each lane's transaction began, if one is under way.
    since: Vec<Option<Instant>>,
    congestion: Vec<Congestion>,
}

/// A change's place in a lane, until the change is done with.
pub(super) struct Place {
    places: Arc<Places>,
    conversation: ConversationId,
    pub(super) lane: usize,
}

impl Places {
    pub(super) fn new(lanes: usize, batch: usize) -> Arc<Self> {
        let state = State {
            under_way: Map::default(),
            since: vec![None; lanes],
            congestion: std::iter::repeat_with(Congestion::default).take(lanes).collect(),
        };
        Arc::new(Self { state: Mutex::new(state), batch })
    }

    /// A place for a change; `waiting` says how much waits in a lane, and with `full` no more goes there while another
    /// one has room. None: more comes than can be written.
    pub(super) fn take(
        self: &Arc<Self>,
        conversation: ConversationId,
        full: usize,
        waiting: impl Fn(usize) -> usize,
    ) -> Option<Place> {
        let mut state = self.state.lock();
        let State { under_way, since, congestion } = &mut *state;
        let mut refuses = |lane: usize| waiting(lane) >= self.batch && congestion[lane].refuses();
        let lane = match under_way.entry(conversation) {
            Entry::Occupied(entry) if refuses(entry.get().0) => return None,
            Entry::Occupied(mut entry) => {
                entry.get_mut().1 += 1;
                entry.get().0
            }
            Entry::Vacant(entry) => {
                let held_up = |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() > HELD_UP);
                let free = |lane: &usize| !held_up(&since[*lane]) && waiting(*lane) < full;
                let shortest = || (0..since.len()).min_by_key(|lane| waiting(*lane)).unwrap_or_default();
                let lane = (0..since.len()).find(free).unwrap_or_else(shortest);
                if refuses(lane) {
                    return None;
                }
                entry.insert((lane, 1));
                lane
            }
        };
        Some(Place { places: Arc::clone(self), conversation, lane })
    }

    /// A transaction of this lane begins, of changes the first of which has waited so long; it leaves more behind than
    /// the next one takes, or does not. What that tells of the load.
    pub(super) fn begins(&self, lane: usize, waited: Duration, leaves: bool) -> Option<Turn> {
        let mut state = self.state.lock();
        state.since[lane] = Some(Instant::now());
        state.congestion[lane].took(waited, leaves)
    }

    /// Of a lane that does nothing just now: whether what was too much is over.
    pub(super) fn rests(&self, lane: usize) -> Option<Turn> {
        self.state.lock().congestion[lane].rested()
    }

    /// It has ended.
    pub(super) fn ends(&self, lane: usize) {
        self.state.lock().since[lane] = None;
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

    const FULL: usize = 10;

    fn take(places: &Arc<Places>, id: ConversationId, waiting: impl Fn(usize) -> usize) -> Place {
        places.take(id, FULL, waiting).expect("nothing is too much")
    }

    #[tokio::test(start_paused = true)]
    async fn one_lane_is_filled_before_the_next_and_a_conversation_stays_where_it_is_under_way() {
        let places = Places::new(3, FULL);
        let (one, two) = (ConversationId::generate(), ConversationId::generate());
        let nothing = |_| 0;
        let first = take(&places, one, nothing);
        assert_eq!((first.lane, take(&places, two, nothing).lane), (0, 0));
        let full = |lane| if lane == 0 { FULL } else { 0 };
        assert_eq!(take(&places, two, full).lane, 1, "two is not under way any more");
        let again = take(&places, one, full);
        assert_eq!(again.lane, 0, "behind the first, however full");
        drop(first);
        assert_eq!(take(&places, one, full).lane, 0, "another one is still there");
        drop(again);
        assert_eq!(take(&places, one, full).lane, 1);
        assert!(places.state.lock().under_way.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_held_up_gets_nothing_new_and_when_all_are_busy_the_shortest_queue_gets_it() {
        let places = Places::new(2, FULL);
        let id = ConversationId::generate;
        places.begins(0, Duration::ZERO, false);
        assert_eq!(take(&places, id(), |_| 0).lane, 0);
        tokio::time::advance(HELD_UP * 2).await;
        assert_eq!(take(&places, id(), |_| 0).lane, 1);
        places.begins(1, Duration::ZERO, false);
        tokio::time::advance(HELD_UP * 2).await;
        assert_eq!(take(&places, id(), |lane| [5, 3][lane]).lane, 1);
        assert_eq!(take(&places, id(), |lane| [FULL, FULL + 1][lane]).lane, 0);
        places.ends(0);
        assert_eq!(take(&places, id(), |lane| [5, 3][lane]).lane, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_to_a_congested_lane_is_refused_and_takes_no_place() {
        let places = Places::new(1, FULL);
        let (id, wait) = (ConversationId::generate(), Duration::from_millis(600));
        let first = take(&places, id, |_| FULL);
        assert_eq!(places.begins(0, wait, true), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(places.begins(0, wait, true), Some(Turn::Begins));
        assert!(places.take(id, FULL, |_| FULL).is_none());
        drop(first);
        assert!(places.state.lock().under_way.is_empty());
        assert!(places.take(id, FULL, |_| FULL).is_none());
        assert_eq!(take(&places, id, |_| FULL - 1).lane, 0, "the next transaction takes it");
    }
}
