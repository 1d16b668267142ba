//! Nodes answer an operator together: whichever is asked asks the others over the bus and waits a moment for them.
//!
//! A node says every few seconds that it is there, so that who asks knows whom to wait for, and can name those that
//! said nothing, and those that are gone. With the bus away a node answers for itself alone. Letters are sealed with the
//! operators' token; without one there is no API and nobody listens, but a node still says that it is there.

mod answer;
mod others;
mod seal;
mod trace;
mod wire;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use bus::{Bus, BusStatus, Incoming, Topic};
use bytes::Bytes;
use chat::Chat;
use futures_util::{FutureExt as _, join};
use gateway::Gateway;
use parking_lot::Mutex;
use protocol::{NodeId, Timestamp};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    answer::Counted,
    others::Others,
    seal::{Refused, Seal},
    wire::Letter,
};
pub(crate) use self::{
    trace::Which,
    wire::{Ask, NodeView, Rates, Said},
};
use crate::{config::Role, serve::readiness::Readiness};

/// A node says so often that it is there.
const HERE: Duration = Duration::from_secs(5);
/// Others have so long to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of letters with another seal the log speaks so often.
const REMIND: Duration = Duration::from_mins(10);
/// Letters that may wait here.
pub(crate) const LETTERS: usize = 1_024;
/// Questions that are answered at once.
const ANSWERING: usize = 8;
/// Answers to one question that may wait: nodes of a cluster.
const ANSWERS: usize = 1_024;

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
    /// None: operators have no token, and nobody is asked or answered.
    seal: Option<Seal>,
    is_alone: bool,
    others: Mutex<Others>,
    /// Questions of this node that are open.
    asked: Mutex<HashMap<Uuid, mpsc::Sender<(NodeId, Said)>>>,
    rates: Mutex<Rates>,
    answering: Semaphore,
    stop: CancellationToken,
}

/// What the nodes said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By node, each once.
    pub(crate) said: Vec<(NodeId, Said)>,
    /// Nodes that are there and said nothing in time, strangers too.
    pub(crate) silent: Vec<NodeId>,
    /// Those of them that cannot answer: they have another token, or none.
    pub(crate) strangers: Vec<NodeId>,
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
    /// The operators' token.
    pub(crate) token: Option<String>,
    /// There are no others: an embedded node.
    pub(crate) is_alone: bool,
}

impl Cluster {
    /// Begins to listen and to answer, inside a tokio runtime. A gateway hands its letters over; without one this is
    /// the bus's only reader.
    pub(crate) fn start(parts: Parts, (sender, letters): (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>)) -> Self {
        let Parts { id, role, listen, bus, chat, gateway, readiness, token, is_alone } = parts;
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
                seal: token.as_deref().map(Seal::new),
                is_alone,
                others: Mutex::default(),
                asked: Mutex::default(),
                rates: Mutex::default(),
                answering: Semaphore::new(ANSWERING),
                stop: CancellationToken::new(),
            }),
        };
        if is_alone {
            return cluster;
        }
        if cluster.inner.seal.is_none() {
            tokio::spawn(cluster.inner.stop.clone().run_until_cancelled_owned(cluster.clone().say_here_to_who_asks()));
            return cluster;
        }
        if cluster.inner.gateway.is_none() {
            read(&cluster.inner.bus, sender, cluster.inner.stop.clone());
        }
        for task in [cluster.clone().listen(letters).boxed(), cluster.clone().say_here().boxed()] {
            tokio::spawn(cluster.inner.stop.clone().run_until_cancelled_owned(task));
        }
        cluster
    }

    /// Answers no more, and says so.
    pub(crate) async fn leave(&self) {
        self.inner.stop.cancel();
        self.say(Topic::Nodes, Letter::Gone { node: self.inner.id }).await;
    }

    /// Asks every node, this one too, and waits for those that are there, at most [`PATIENCE`].
    pub(crate) async fn ask(&self, ask: Ask) -> Answers {
        let (own, mut answers) = join!(self.answer(ask), self.ask_others(ask));
        answers.said.push((self.inner.id, own));
        answers.said.sort_by_key(|(node, _)| *node);
        answers
    }

    async fn ask_others(&self, ask: Ask) -> Answers {
        let inner = &self.inner;
        if inner.is_alone {
            return Answers { asked: true, ..Answers::default() };
        }
        let (question, mut said) = Open::begin(inner);
        let began = Instant::now();
        let Ok(ask) = serde_json::to_value(ask) else { return Answers::default() };
        let letter = Letter::Question { id: question.id, from: inner.id, ask };
        if *inner.bus.status().borrow() != BusStatus::Up || !self.say(Topic::Nodes, letter).await {
            return Answers::default();
        }
        let mut answers = Answers { asked: true, ..Answers::default() };
        let (mut awaited, knows_all) = {
            let mut others = inner.others.lock();
            (others.present(), others.knows_all())
        };
        // Who may not have heard of all waits the whole time.
        while !awaited.is_empty() || !knows_all {
            let Ok(Some((node, what))) = timeout_at(began + PATIENCE, said.recv()).await else { break };
            awaited.retain(|other| *other != node);
            if answers.said.iter().all(|(other, _)| *other != node) {
                answers.said.push((node, what));
            }
        }
        answers.strangers = inner.others.lock().strangers();
        answers.silent = awaited.into_iter().chain(answers.strangers.iter().copied()).collect();
        answers
    }

    /// Whether the bus took it.
    async fn say(&self, to: Topic, letter: Letter) -> bool {
        let inner = &self.inner;
        let now = inner.chat.env().now();
        let payload = match &inner.seal {
            Some(seal) => seal.close(letter, now),
            None => seal::unsealed(letter, now),
        };
        inner.bus.publish(&[(to, payload)]).await.is_ok()
    }

    async fn listen(self, mut letters: mpsc::Receiver<Bytes>) {
        let mut warned: Option<Instant> = None;
        while let Some(payload) = letters.recv().await {
            let Some(seal) = &self.inner.seal else { return };
            match seal.open(&payload, self.inner.chat.env().now()) {
                Ok(letter) => self.read(letter),
                // Operators do not see that node, and it does not see this one: somebody must know.
                Err(why @ Refused::Foreign) => {
                    self.read_stranger(&payload);
                    if warned.is_none_or(|at| at.elapsed() >= REMIND) {
                        warned = Some(Instant::now());
                        tracing::warn!(%why, "operators do not see a node that is here");
                    }
                }
                Err(why) => tracing::debug!(%why, "a letter to this node is not read"),
            }
        }
    }

    fn read_stranger(&self, payload: &[u8]) {
        let letter = seal::unproven(payload, self.inner.chat.env().now());
        let mut others = self.inner.others.lock();
        match letter {
            Some(Letter::Here { node }) if node != self.inner.id => others.heard_stranger(node),
            Some(Letter::Gone { node }) => others.stranger_left(node),
            _ => {}
        }
    }

    fn read(&self, letter: Letter) {
        let (id, others) = (self.inner.id, &self.inner.others);
        match letter {
            Letter::Here { node } if node != id => others.lock().heard(node),
            Letter::Gone { node } => others.lock().left(node),
            Letter::Question { id: question, from, ask } if from != id => {
                others.lock().heard(from);
                let cluster = self.clone();
                // What takes long must not keep the answers to this node's own questions waiting.
                tokio::spawn(async move {
                    let Ok(_place) = cluster.inner.answering.acquire().await else { return };
                    let said = match serde_json::from_value(ask) {
                        Ok(ask) => cluster.answer(ask).await,
                        Err(_) => Said::Unknown,
                    };
                    let Ok(said) = serde_json::to_value(said) else { return };
                    // Who asked waits a moment only; there is nothing to make up for.
                    cluster.say(Topic::Node(from), Letter::Answer { id: question, node: id, said }).await;
                });
            }
            Letter::Answer { id: question, node, said } => {
                others.lock().heard(node);
                let said = serde_json::from_value(said).unwrap_or(Said::Unknown);
                if let Some(asker) = self.inner.asked.lock().get(&question) {
                    let _ = asker.try_send((node, said));
                }
            }
            Letter::Here { .. } | Letter::Question { .. } => {}
        }
    }

    /// Without a token: whoever has one tells operators that this node is there and cannot answer.
    async fn say_here_to_who_asks(self) {
        let mut every = interval(HERE);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.say(Topic::Nodes, Letter::Here { node: self.inner.id }).await;
        }
    }

    async fn say_here(self) {
        let inner = &self.inner;
        let own = inner.gateway.is_none().then_some(Topic::Node(inner.id));
        let topics: Vec<_> = [Topic::Nodes].into_iter().chain(own).collect();
        // With the bus away the wish is kept there.
        let _ = inner.bus.subscribe(&topics).await;
        let mut every = interval(HERE);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut status = inner.bus.status();
        let mut before = (Instant::now(), Counted::default());
        loop {
            tokio::select! {
                _ = every.tick() => {}
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    inner.others.lock().deaf();
                    continue;
                }
            }
            self.say(Topic::Nodes, Letter::Here { node: inner.id }).await;
            inner.others.lock().prune();
            let now = (Instant::now(), self.count());
            *inner.rates.lock() = now.1.since(before.1, now.0 - before.0);
            before = now;
        }
    }
}

/// A question that is open until this is dropped, which it is too when its caller goes away.
struct Open<'a> {
    id: Uuid,
    inner: &'a Inner,
}

impl<'a> Open<'a> {
    fn begin(inner: &'a Inner) -> (Self, mpsc::Receiver<(NodeId, Said)>) {
        let (sender, said) = mpsc::channel(ANSWERS);
        let id = Uuid::now_v7();
        inner.asked.lock().insert(id, sender);
        (Self { id, inner }, said)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.inner.asked.lock().remove(&self.id);
    }
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
