//! A simulated bus: what Redis is to a cluster, with everything that can happen on the way.
//!
//! Without faults it keeps the contract of [`Bus`] (it passes the conformance suite). With faults, messages are late,
//! lost, doubled or overtake each other, connections break without a word, and the whole server goes away and comes
//! back without its memory. Keys and presence are the in-process bus's own.

mod broker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::bus::{Bus, BusError, BusStatus, Inbox, Incoming, NodePresence, Result, Topic, UserPresence};
use async_trait::async_trait;
use bytes::Bytes;
use chat::Spawn;
use parking_lot::Mutex;
use protocol::{NodeId, UserId};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

pub use self::broker::Broker;
use super::{chance::Chance, gate::Gate};

/// A command that does not get there fails after this.
const TIME_LIMIT: Duration = Duration::from_millis(500);
/// Between two looks whether the connection answers.
const PING: Duration = Duration::from_secs(2);
/// So long a topic that nobody here needs any more stays subscribed.
const LINGER: Duration = Duration::from_millis(300);

/// What happens on the way between one node and the server. Rates are per mille of what is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusFaults {
    /// Nothing gets there, and nothing says so.
    pub blackhole: bool,
    /// Messages to it that are lost.
    pub drops: u32,
    /// Messages to it that come twice.
    pub doubles: u32,
    /// Messages to it that others may overtake.
    pub overtaken: u32,
    /// The longest time that each way takes.
    pub delay: Duration,
}

/// One node's end.
pub struct SimBus {
    broker: Arc<Broker>,
    /// Its place among the broker's ends.
    end: usize,
    gate: Gate,
    chance: Chance,
    inbox: Inbox,
    references: Mutex<HashMap<Topic, usize>>,
    status: watch::Sender<BusStatus>,
}

impl SimBus {
    /// Joins a broker; its tasks run behind the gate. At most `queue` messages wait for the node's reader.
    pub fn join(broker: &Arc<Broker>, gate: &Gate, chance: Chance, queue: usize) -> Arc<Self> {
        let inbox = Inbox::start(queue);
        gate.spawn(Box::pin(inbox.clone().pay()));
        let end = broker.join(inbox.clone(), gate.clone());
        let bus = Arc::new(Self {
            broker: Arc::clone(broker),
            end,
            gate: gate.clone(),
            chance,
            inbox,
            references: Mutex::default(),
            status: watch::Sender::new(BusStatus::Up),
        });
        gate.spawn(Box::pin(keep_connected(Arc::downgrade(&bus))));
        bus
    }

    /// From now on this happens on the way.
    pub fn set(&self, faults: BusFaults) {
        self.broker.set_faults(self.end, faults);
    }

    /// Its connection breaks; it comes back by itself.
    pub fn cut(&self) {
        self.broker.cut(self.end);
    }

    /// One way of a command.
    async fn on_the_way(&self) -> Result<()> {
        let faults = self.broker.faults(self.end);
        if !faults.delay.is_zero() {
            sleep(self.chance.time(Duration::ZERO..faults.delay)).await;
        }
        let faults = self.broker.faults(self.end);
        if faults.blackhole {
            sleep(TIME_LIMIT).await;
            return Err(BusError::Unavailable("no answer (simulated)".into()));
        }
        if !self.broker.is_up() || self.gate.is_dead() {
            return Err(BusError::Unavailable("connection refused (simulated)".into()));
        }
        Ok(())
    }

    /// On the way to the server's memory, for a question about keys or presence.
    async fn memory(&self) -> Result<Arc<dyn Bus>> {
        self.on_the_way().await?;
        Ok(self.broker.memory())
    }

    /// And back.
    async fn back<T>(&self, answer: Result<T>) -> Result<T> {
        self.on_the_way().await?;
        answer
    }
}

/// Brings a broken connection back: every subscription, then the news that something may be lost, then the status.
async fn keep_connected(bus: std::sync::Weak<SimBus>) {
    loop {
        let Some(bus) = bus.upgrade() else { return };
        if bus.broker.is_linked(bus.end) {
            let broken = bus.broker.broken(bus.end);
            let weak = Arc::downgrade(&bus);
            drop(bus);
            // As a lane of the real bus does: a connection on which no ping is answered is given up.
            if timeout(PING, broken).await.is_err()
                && let Some(bus) = weak.upgrade()
                && bus.on_the_way().await.is_err()
            {
                bus.broker.cut(bus.end);
            }
            continue;
        }
        bus.status.send_if_modified(|status| std::mem::replace(status, BusStatus::Down) != BusStatus::Down);
        sleep(bus.chance.time(Duration::from_millis(20)..Duration::from_secs(1))).await;
        if bus.on_the_way().await.is_err() {
            continue;
        }
        bus.broker.link(bus.end);
        let topics: Vec<_> = bus.references.lock().keys().copied().collect();
        if bus.on_the_way().await.is_err() || !bus.broker.subscribe(bus.end, &topics) {
            bus.broker.cut(bus.end);
            continue;
        }
        // What was referred to while the others were on their way.
        let topics: Vec<_> = bus.references.lock().keys().copied().collect();
        bus.broker.subscribe(bus.end, &topics);
        bus.inbox.lost();
        bus.status.send_if_modified(|status| std::mem::replace(status, BusStatus::Up) != BusStatus::Up);
    }
}

#[async_trait]
impl Bus for SimBus {
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<()> {
        self.on_the_way().await?;
        for (topic, payload) in batch {
            self.broker.publish(*topic, payload);
        }
        // The answer may be lost though it was done.
        self.on_the_way().await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<()> {
        {
            let mut references = self.references.lock();
            for topic in topics {
                *references.entry(*topic).or_default() += 1;
            }
        }
        // An answer that does not come is as good as none: what is referred to is subscribed with the next connection.
        let asked = self.on_the_way().await;
        let done = asked.is_ok() && self.broker.subscribe(self.end, topics);
        if !done {
            sleep(TIME_LIMIT).await;
            return Err(BusError::Unavailable("not subscribed yet (simulated)".into()));
        }
        self.on_the_way().await
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        if self.gate.is_dead() {
            return;
        }
        let mut ended = Vec::new();
        let mut references = self.references.lock();
        for topic in topics {
            if let Some(count) = references.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    ended.push(*topic);
                }
            }
        }
        drop(references);
        if ended.is_empty() {
            return;
        }
        let (broker, end) = (Arc::clone(&self.broker), self.end);
        let unneeded = {
            let mut references = self.references.lock();
            ended.retain(|topic| references.get(topic) == Some(&0));
            for topic in &ended {
                references.remove(topic);
            }
            ended
        };
        let mut generation = Vec::new();
        for topic in &unneeded {
            generation.push((*topic, broker.leave(end, *topic)));
        }
        self.gate.spawn(Box::pin(async move {
            sleep(LINGER).await;
            for (topic, left) in generation {
                broker.forget(end, topic, left);
            }
        }));
    }

    fn incoming(&self) -> Option<mpsc::Receiver<Incoming>> {
        self.inbox.take_reader()
    }

    fn status(&self) -> watch::Receiver<BusStatus> {
        self.status.subscribe()
    }

    fn reconnect(&self) {
        self.broker.cut(self.end);
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let answer = self.memory().await?.put(key, value, ttl).await;
        self.back(answer).await
    }

    async fn take(&self, key: &str) -> Result<Option<Bytes>> {
        let answer = self.memory().await?.take(key).await;
        self.back(answer).await
    }

    async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>> {
        let answer = self.memory().await?.hold_lease(node, ttl).await;
        self.back(answer).await
    }

    async fn release_lease(&self, node: NodeId) -> Result<()> {
        let answer = self.memory().await?.release_lease(node).await;
        self.back(answer).await
    }

    async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()> {
        let answer = self.memory().await?.set_presence(node, users).await;
        self.back(answer).await
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>> {
        let answer = self.memory().await?.presence(users).await;
        self.back(answer).await
    }

    async fn ping(&self) -> Result<Duration> {
        let answer = self.memory().await?.ping().await;
        self.back(answer).await
    }

    async fn describe(&self) -> Result<String> {
        Ok("simulated".into())
    }
}
