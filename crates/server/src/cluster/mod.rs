//! Nodes answer an operator together: whichever is asked asks the others over the bus and waits a moment for them.
//!
//! A node says every few seconds that it is there, so that who asks knows whom to wait for, and can name those that
//! said nothing. With the bus away a node answers for itself alone.

mod answer;
mod trace;
mod wire;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use bus::{Bus, BusStatus, Incoming, Topic};
use bytes::Bytes;
use chat::Chat;
use futures_util::FutureExt as _;
use gateway::Gateway;
use parking_lot::Mutex;
use protocol::{NodeId, Timestamp};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{answer::Counted, wire::Letter};
pub(crate) use self::{
    trace::Which,
    wire::{Ask, NodeView, Rates, Said},
};
use crate::{config::Role, serve::readiness::Readiness};

/// A node says so often that it is there.
const HERE: Duration = Duration::from_secs(5);
/// Who has not said so for this long is gone.
const FORGOTTEN: Duration = Duration::from_secs(16);
/// Others have so long to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Letters that may wait here.
pub(crate) const LETTERS: usize = 1_024;

/// This node among the others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    id: NodeId,
    role: Role,
    listen: SocketAddr,
    started_at: Timestamp,
    bus: Arc<dyn Bus>,
    chat: Chat,
    gateway: Option<Gateway>,
    readiness: Arc<Readiness>,
    /// Who was heard when.
    others: Mutex<HashMap<NodeId, Instant>>,
    /// Questions of this node that are open.
    asked: Mutex<HashMap<Uuid, mpsc::UnboundedSender<(NodeId, Said)>>>,
    rates: Mutex<Rates>,
    stop: CancellationToken,
}

/// What the nodes said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By node.
    pub(crate) said: Vec<(NodeId, Said)>,
    /// Nodes that are there and said nothing in time.
    pub(crate) silent: Vec<NodeId>,
    /// The bus took the question: others were asked at all.
    pub(crate) asked: bool,
}

/// What a node is made of, for others.
pub(crate) struct Parts {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    pub(crate) listen: SocketAddr,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) chat: Chat,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) readiness: Arc<Readiness>,
}

impl Cluster {
    /// Begins to listen and to answer, inside a tokio runtime. A gateway hands its letters over; without one this is
    /// the bus's only reader.
    pub(crate) fn start(parts: Parts, (sender, letters): (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>)) -> Self {
        let Parts { id, role, listen, bus, chat, gateway, readiness } = parts;
        let cluster = Self {
            inner: Arc::new(Inner {
                id,
                role,
                listen,
                started_at: chat.env().now(),
                bus,
                chat,
                gateway,
                readiness,
                others: Mutex::default(),
                asked: Mutex::default(),
                rates: Mutex::default(),
                stop: CancellationToken::new(),
            }),
        };
        if cluster.inner.gateway.is_none() {
            Self::read(&cluster.inner.bus, sender, cluster.inner.stop.clone());
        }
        let tasks = [cluster.clone().listen(letters).boxed(), cluster.clone().say_here().boxed()];
        for task in tasks {
            tokio::spawn(cluster.inner.stop.clone().run_until_cancelled_owned(task));
        }
        cluster
    }

    /// Reads the bus where no gateway does.
    fn read(bus: &Arc<dyn Bus>, letters: mpsc::Sender<Bytes>, stop: CancellationToken) {
        let Some(mut incoming) = bus.incoming() else { return };
        tokio::spawn(async move {
            while let Some(Some(item)) = stop.run_until_cancelled(incoming.recv()).await {
                if let Incoming::Event { topic: Topic::Nodes | Topic::Node(_), payload } = item {
                    // A letter that finds no room is lost, as any on the bus may be.
                    let _ = letters.try_send(payload);
                }
            }
        });
    }

    /// Answers no more, and says so.
    pub(crate) async fn leave(&self) {
        self.inner.stop.cancel();
        let letter = Letter::Gone { node: self.inner.id };
        let _ = self.inner.bus.publish(&[(Topic::Nodes, letter.encode())]).await;
    }

    /// Asks every node, this one too, and waits for those that are there, at most [`PATIENCE`].
    pub(crate) async fn ask(&self, ask: Ask) -> Answers {
        let inner = &self.inner;
        let mut answers = Answers { said: vec![(inner.id, self.answer(ask).await)], ..Answers::default() };
        let (id, began) = (Uuid::now_v7(), Instant::now());
        let (sender, mut said) = mpsc::unbounded_channel();
        inner.asked.lock().insert(id, sender);
        let letter = serde_json::to_value(ask).map(|ask| Letter::Question { id, from: inner.id, ask });
        if let Ok(letter) = letter
            && *inner.bus.status().borrow() == BusStatus::Up
            && inner.bus.publish(&[(Topic::Nodes, letter.encode())]).await.is_ok()
        {
            answers.asked = true;
            let mut awaited = self.others();
            // Just started, it may not have heard of all: those get the whole time.
            while !awaited.is_empty() || inner.is_new() {
                let Ok(Some((node, what))) = timeout_at(began + PATIENCE, said.recv()).await else { break };
                awaited.retain(|other| *other != node);
                answers.said.push((node, what));
            }
            answers.silent = awaited;
        }
        inner.asked.lock().remove(&id);
        answers.said.sort_by_key(|(node, _)| *node);
        answers
    }

    /// The other nodes that are there.
    fn others(&self) -> Vec<NodeId> {
        let mut others = self.inner.others.lock();
        others.retain(|_, heard| heard.elapsed() < FORGOTTEN);
        others.keys().copied().collect()
    }

    async fn listen(self, mut letters: mpsc::Receiver<Bytes>) {
        while let Some(payload) = letters.recv().await {
            match serde_json::from_slice(&payload) {
                Ok(Letter::Here { node }) => self.heard(node),
                Ok(Letter::Gone { node }) => {
                    self.inner.others.lock().remove(&node);
                }
                Ok(Letter::Question { from, .. }) if from == self.inner.id => {}
                Ok(Letter::Question { id, from, ask }) => {
                    self.heard(from);
                    let said = match serde_json::from_value(ask) {
                        Ok(ask) => self.answer(ask).await,
                        Err(_) => Said::Unknown,
                    };
                    let Ok(said) = serde_json::to_value(said) else { continue };
                    let answer = Letter::Answer { id, node: self.inner.id, said }.encode();
                    // Who asked waits a moment only; there is nothing to make up for.
                    let _ = self.inner.bus.publish(&[(Topic::Node(from), answer)]).await;
                }
                Ok(Letter::Answer { id, node, said }) => {
                    self.heard(node);
                    let said = serde_json::from_value(said).unwrap_or(Said::Unknown);
                    if let Some(asker) = self.inner.asked.lock().get(&id) {
                        let _ = asker.send((node, said));
                    }
                }
                // Of a later version, or of somebody else.
                Err(error) => tracing::debug!(%error, "a letter to this node cannot be read"),
            }
        }
    }

    fn heard(&self, node: NodeId) {
        if node != self.inner.id {
            self.inner.others.lock().insert(node, Instant::now());
        }
    }

    async fn say_here(self) {
        let topics = if self.inner.gateway.is_some() { vec![Topic::Nodes] } else { self.both_topics() };
        // With the bus away the wish is kept there.
        let _ = self.inner.bus.subscribe(&topics).await;
        let letter = Letter::Here { node: self.inner.id }.encode();
        let mut every = interval(HERE);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = (Instant::now(), Counted::default());
        loop {
            every.tick().await;
            let _ = self.inner.bus.publish(&[(Topic::Nodes, letter.clone())]).await;
            let now = (Instant::now(), self.count());
            *self.inner.rates.lock() = now.1.since(before.1, now.0 - before.0);
            before = now;
        }
    }

    fn both_topics(&self) -> Vec<Topic> {
        vec![Topic::Nodes, Topic::Node(self.inner.id)]
    }
}

impl Inner {
    /// It may not have heard of every other node yet.
    fn is_new(&self) -> bool {
        let age = self.chat.env().now().get() - self.started_at.get();
        age < HERE * 2
    }
}
