//! The server's side: who is subscribed where, and messages on their way to nodes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};

use ::bus::{Bus, Inbox, Incoming, Topic, local::LocalBus};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::BusFaults;
use crate::sim::{chance::Chance, gate::Gate};

/// A message that others may overtake is at most so much later than it would have been.
const OVERTAKEN_BY: Duration = Duration::from_millis(300);

/// See the module.
pub struct Broker {
    state: Mutex<State>,
    chance: Chance,
    news: Notify,
}

struct State {
    up: bool,
    /// Keys and presence; a server that comes back has forgotten them.
    memory: Arc<dyn Bus>,
    ends: Vec<End>,
    on_the_way: BinaryHeap<Reverse<Delivery>>,
    next: u64,
}

struct End {
    inbox: Inbox,
    gate: Gate,
    faults: BusFaults,
    linked: watch::Sender<bool>,
    /// Which connection: what was on its way on an older one is lost.
    connection: u64,
    /// Each with how often it was left: a subscription that is needed again outlives the linger of the one before.
    subscribed: BTreeMap<Topic, u64>,
    left: HashMap<Topic, u64>,
    /// Nothing overtakes what went before, but for faults.
    last: Instant,
}

/// Ordered by its time, then by the order of publishing.
#[derive(PartialEq, Eq)]
struct Delivery {
    at: Instant,
    number: u64,
    end: usize,
    connection: u64,
    topic: Topic,
    payload: Bytes,
}

impl Ord for Delivery {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Broker {
    /// A server that works. Inside a runtime.
    pub fn start(chance: Chance) -> Arc<Self> {
        let state = State {
            up: true,
            memory: Arc::new(LocalBus::start()),
            ends: Vec::new(),
            on_the_way: BinaryHeap::new(),
            next: 0,
        };
        let broker = Arc::new(Self { state: Mutex::new(state), chance, news: Notify::new() });
        tokio::spawn(deliver(Arc::clone(&broker)));
        broker
    }

    /// The server ends: every connection breaks, and its memory is gone.
    pub fn crash(&self) {
        let ends = {
            let mut state = self.state.lock();
            state.up = false;
            state.memory = Arc::new(LocalBus::start());
            state.ends.len()
        };
        (0..ends).for_each(|end| self.cut(end));
    }

    /// It is back.
    pub fn restart(&self) {
        self.state.lock().up = true;
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.lock().up
    }

    pub(super) fn memory(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.state.lock().memory)
    }

    pub(super) fn join(&self, inbox: Inbox, gate: Gate) -> usize {
        let mut state = self.state.lock();
        let linked = watch::Sender::new(state.up);
        state.ends.push(End {
            inbox,
            gate,
            faults: BusFaults::default(),
            linked,
            connection: 0,
            subscribed: BTreeMap::new(),
            left: HashMap::new(),
            last: Instant::now(),
        });
        state.ends.len() - 1
    }

    pub(super) fn faults(&self, end: usize) -> BusFaults {
        self.state.lock().ends[end].faults
    }

    pub(super) fn set_faults(&self, end: usize, faults: BusFaults) {
        self.state.lock().ends[end].faults = faults;
    }

    /// Breaks a node's connection: what is on its way there is lost.
    pub(super) fn cut(&self, end: usize) {
        let mut state = self.state.lock();
        let end = &mut state.ends[end];
        end.connection += 1;
        end.subscribed.clear();
        end.linked.send_replace(false);
    }

    pub(super) fn link(&self, end: usize) {
        self.state.lock().ends[end].linked.send_replace(true);
    }

    pub(super) fn is_linked(&self, end: usize) -> bool {
        *self.state.lock().ends[end].linked.borrow()
    }

    /// Waits until the connection breaks.
    pub(super) fn broken(&self, end: usize) -> impl Future<Output = ()> + Send + use<> {
        let mut linked = self.state.lock().ends[end].linked.subscribe();
        async move {
            let _ = linked.wait_for(|linked| !linked).await;
        }
    }

    /// False: there is no connection to subscribe on.
    pub(super) fn subscribe(&self, end: usize, topics: &[Topic]) -> bool {
        let mut state = self.state.lock();
        let end = &mut state.ends[end];
        if !*end.linked.borrow() {
            return false;
        }
        for topic in topics {
            let left = end.left.get(topic).copied().unwrap_or_default();
            end.subscribed.insert(*topic, left);
        }
        true
    }

    /// Nobody there needs it; how often that happened.
    pub(super) fn leave(&self, end: usize, topic: Topic) -> u64 {
        let mut state = self.state.lock();
        let left = state.ends[end].left.entry(topic).or_default();
        *left += 1;
        *left
    }

    /// Unsubscribes, unless it was subscribed again since then.
    pub(super) fn forget(&self, end: usize, topic: Topic, left: u64) {
        let mut state = self.state.lock();
        let end = &mut state.ends[end];
        if end.subscribed.get(&topic).is_some_and(|since| *since < left) {
            end.subscribed.remove(&topic);
        }
        if end.left.get(&topic) == Some(&left) && !end.subscribed.contains_key(&topic) {
            end.left.remove(&topic);
        }
    }

    pub(super) fn publish(&self, topic: Topic, payload: &Bytes) {
        let mut state = self.state.lock();
        let State { ends, on_the_way, next, .. } = &mut *state;
        for (place, end) in ends.iter_mut().enumerate() {
            if !end.subscribed.contains_key(&topic) || end.gate.is_dead() || self.chance.per_mille(end.faults.drops) {
                continue;
            }
            let copies = 1 + u32::from(self.chance.per_mille(end.faults.doubles));
            for _ in 0..copies {
                let mut at = end.last.max(Instant::now() + self.chance.time(Duration::ZERO..end.faults.delay));
                if self.chance.per_mille(end.faults.overtaken) {
                    at += self.chance.time(Duration::ZERO..OVERTAKEN_BY);
                } else {
                    end.last = at;
                }
                *next += 1;
                on_the_way.push(Reverse(Delivery {
                    at,
                    number: *next,
                    end: place,
                    connection: end.connection,
                    topic,
                    payload: payload.clone(),
                }));
            }
        }
        drop(state);
        self.news.notify_one();
    }

    /// Hands over what is due; when the next one is.
    fn hand_over(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let now = Instant::now();
        while let Some(Reverse(delivery)) = state.on_the_way.peek() {
            if delivery.at > now {
                return Some(delivery.at);
            }
            let Some(Reverse(Delivery { end, connection, topic, payload, .. })) = state.on_the_way.pop() else { break };
            let end = &state.ends[end];
            if end.connection == connection && !end.faults.blackhole && !end.gate.is_dead() {
                end.inbox.push(Incoming::Event { topic, payload });
            }
        }
        None
    }
}

/// Ends with its runtime.
async fn deliver(broker: Arc<Broker>) {
    loop {
        match broker.hand_over() {
            Some(at) => tokio::select! {
                biased;
                () = sleep_until(at) => {}
                () = broker.news.notified() => {}
            },
            None => broker.news.notified().await,
        }
    }
}
