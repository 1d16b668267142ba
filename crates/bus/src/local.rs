//! The bus inside one process: for the embedded server, and for simulations of several nodes.
//!
//! Keeps the contract of [`Bus`] without a server: it is always up, and what it hands over is the very bytes
//! that were published. Handles made by [`LocalBus::node`] are further nodes on the same bus.

mod keys;
mod presence;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use protocol::{NodeId, UserId};
use tokio::sync::{mpsc, watch};

use self::{keys::Keys, presence::Presence};
use crate::{Bus, BusStatus, Incoming, NodePresence, Result, Topic, UserPresence, inbox::Inbox};

/// Most events that wait for a node's reader.
const QUEUE: usize = 65_536;

/// One node's end of a bus in this process.
pub struct LocalBus {
    hub: Arc<Hub>,
    id: u64,
    inbox: Inbox,
    /// References per topic of this node.
    references: Mutex<HashMap<Topic, usize>>,
    status: watch::Sender<BusStatus>,
    payer: tokio::task::JoinHandle<()>,
}

/// What the nodes share.
#[derive(Default)]
struct Hub {
    next_id: AtomicU64,
    /// Who listens where. Publishers read it, so that they do not wait for each other.
    listeners: RwLock<HashMap<Topic, Vec<(u64, Inbox)>>>,
    keys: Mutex<Keys>,
    presence: Mutex<Presence>,
}

impl LocalBus {
    /// A bus of one node. Call it inside a tokio runtime.
    pub fn start() -> Self {
        Self::join(Arc::default(), QUEUE)
    }

    /// A bus whose node's reader may be at most `queue` events behind.
    pub fn with_queue(queue: usize) -> Self {
        Self::join(Arc::default(), queue)
    }

    /// One more node on the same bus, with its own subscriptions and its own reader.
    #[must_use]
    pub fn node(&self) -> Self {
        Self::join(self.hub.clone(), QUEUE)
    }

    fn join(hub: Arc<Hub>, queue: usize) -> Self {
        let inbox = Inbox::start(queue);
        Self {
            id: hub.next_id.fetch_add(1, Ordering::Relaxed),
            hub,
            payer: tokio::spawn(inbox.clone().pay()),
            inbox,
            references: Mutex::default(),
            status: watch::Sender::new(BusStatus::Up),
        }
    }

    fn forget(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut listeners = self.hub.listeners.write();
        for topic in topics {
            if let Some(nodes) = listeners.get_mut(&topic) {
                nodes.retain(|(id, _)| *id != self.id);
                if nodes.is_empty() {
                    listeners.remove(&topic);
                }
            }
        }
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        self.payer.abort();
        let topics: HashSet<Topic> = self.references.lock().drain().map(|(topic, _)| topic).collect();
        self.forget(topics);
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<()> {
        let listeners = self.hub.listeners.read();
        for (topic, payload) in batch {
            for (_, inbox) in listeners.get(topic).into_iter().flatten() {
                inbox.push(Incoming::Event { topic: *topic, payload: payload.clone() });
            }
        }
        Ok(())
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<()> {
        // Held to the end: of two calls for one topic, neither returns before the node listens there.
        let mut references = self.references.lock();
        let mut listeners = self.hub.listeners.write();
        for topic in topics {
            let count = references.entry(*topic).or_default();
            *count += 1;
            if *count == 1 {
                listeners.entry(*topic).or_default().push((self.id, self.inbox.clone()));
            }
        }
        Ok(())
    }

    /// At once, without a linger: subscribing again costs nothing here.
    fn unsubscribe(&self, topics: &[Topic]) {
        let mut references = self.references.lock();
        let mut ended = Vec::new();
        for topic in topics {
            if let Some(count) = references.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    references.remove(topic);
                    ended.push(*topic);
                }
            }
        }
        self.forget(ended);
    }

    fn incoming(&self) -> Option<mpsc::Receiver<Incoming>> {
        self.inbox.take_reader()
    }

    fn status(&self) -> watch::Receiver<BusStatus> {
        self.status.subscribe()
    }

    /// Nothing to reconnect; the reader is told to compare heads, as after any reconnect.
    fn reconnect(&self) {
        self.inbox.lost();
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.hub.keys.lock().put(key, value, ttl);
        Ok(())
    }

    async fn take(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.hub.keys.lock().take(key))
    }

    async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>> {
        Ok(self.hub.presence.lock().hold(node, ttl))
    }

    async fn release_lease(&self, node: NodeId) -> Result<()> {
        self.hub.presence.lock().release(node);
        Ok(())
    }

    async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()> {
        self.hub.presence.lock().set(node, users);
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>> {
        Ok(self.hub.presence.lock().get(users))
    }

    async fn ping(&self) -> Result<Duration> {
        Ok(Duration::ZERO)
    }

    async fn describe(&self) -> Result<String> {
        Ok("in-process".into())
    }
}
