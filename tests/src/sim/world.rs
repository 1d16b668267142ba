//! The world of one simulated run: nodes of the real code over a simulated bus and store, and what can be done to them.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use chat::{AuthConfig, Caller, Chat, ChatConfig, Env, Protections, WriterConfig};
use gateway::{Gateway, GatewayConfig, PresenceConfig};
use parking_lot::Mutex;
use protocol::{Limits, NodeId, SessionId, Timestamp, User};
use serde::{Deserialize, Serialize};
use store::NewSession;
use tokio::time::Instant;

use super::{
    bus::{Broker, SimBus},
    chance::Chance,
    gate::Gate,
    store::{Backup, Database, SimStore},
    wire::{Wire, wire},
};
use crate::audit::{Restored, SignedIn};

/// What a run draws before it begins, besides its steps and faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Everything else is drawn from it.
    pub seed: u64,
    /// Gateways, each with its part of the domain.
    pub nodes: usize,
    /// How often a task that could go on is put behind the others first, per mille.
    pub detours: u32,
    /// Lanes of each node's writer.
    pub lanes: usize,
    /// Most durable events that wait for one connection.
    pub outbox_events: usize,
    /// Most messages of the bus that wait for a node's reader.
    pub bus_queue: usize,
    /// Every conversation is compared with the store within this.
    pub sweep: Duration,
    /// How long a node that died is believed.
    pub lease: Duration,
    /// The longest time that each way of a client's connection takes.
    pub latency: Duration,
    /// What is protected.
    pub protections: Protections,
    /// Devices are signed in with sessions, which can be revoked.
    #[serde(default)]
    pub sessions: bool,
    /// Each device watches the presence of all others.
    #[serde(default)]
    pub watching: bool,
    /// How much is read at once and may wait.
    #[serde(default)]
    pub bounds: Bounds,
}

/// How much a node reads at once, and how much may wait there. By default, what it has outside of simulations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Changes in a page.
    pub page: u32,
    /// Live events that wait for who reads the store.
    pub held: usize,
    /// Events that wait for one before them.
    pub early: usize,
    /// Changes of a conversation that who comes back gets.
    pub resume_distance: u64,
    /// Steps of a feed that who comes back gets.
    pub feed_distance: u64,
    /// Conversations whose markers are a part of the answer to `hello`.
    pub receipts: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let gateway = GatewayConfig::default();
        let bounds = gateway.bounds;
        Self {
            page: bounds.page,
            held: bounds.held_events,
            early: bounds.early_events,
            resume_distance: gateway.resume_distance,
            feed_distance: bounds.feed_distance,
            receipts: bounds.receipts_at_once,
        }
    }
}

impl Bounds {
    fn of_gateway(self) -> gateway::Bounds {
        gateway::Bounds {
            page: self.page,
            held_events: self.held,
            early_events: self.early,
            feed_distance: self.feed_distance,
            receipts_at_once: self.receipts,
            ..gateway::Bounds::default()
        }
    }
}

/// One life of a node.
pub struct Node {
    /// Its tasks.
    pub gate: Gate,
    /// Its chance and its clock.
    pub chance: Chance,
    /// Its way to the bus.
    pub bus: Arc<SimBus>,
    /// Its way to the store.
    pub store: Arc<SimStore>,
    /// Its domain, as REST would call it.
    pub chat: Chat,
    /// Its sockets.
    pub gateway: Gateway,
}

/// See the module.
pub struct World {
    /// How it is.
    pub setting: Setting,
    /// The bus's server.
    pub broker: Arc<Broker>,
    /// What is true.
    pub database: Database,
    nodes: Mutex<Vec<Place>>,
    /// What nodes counted, over all of their lives.
    metrics: Mutex<Vec<prometheus::Registry>>,
    /// For what happens outside of the nodes.
    pub chance: Chance,
    /// When it began.
    pub began: Instant,
    /// The database was put back to what it was.
    pub restored: Mutex<Option<Restored>>,
}

/// Where a node is, or was.
struct Place {
    node: Option<Arc<Node>>,
    lives: u64,
}

impl World {
    /// All nodes up. Inside a runtime with paused time.
    pub fn start(setting: Setting) -> Result<Arc<Self>> {
        let broker = Broker::start(Chance::new(setting.seed, "broker"));
        let database = Database::open()?;
        let chance = Chance::new(setting.seed, "world");
        let places = (0..setting.nodes).map(|_| Place { node: None, lives: 0 }).collect();
        let (nodes, began, restored) = (Mutex::new(places), Instant::now(), Mutex::default());
        let world =
            Arc::new(Self { setting, broker, database, nodes, metrics: Mutex::default(), chance, began, restored });
        (0..world.setting.nodes).try_for_each(|place| world.start_node(place))?;
        Ok(world)
    }

    /// Starts the node of this place, unless it is up.
    pub fn start_node(&self, place: usize) -> Result<()> {
        let mut nodes = self.nodes.lock();
        let slot = &mut nodes[place];
        if slot.node.is_none() {
            slot.lives += 1;
            slot.node = Some(Arc::new(self.new_node(place, slot.lives)?));
        }
        Ok(())
    }

    fn new_node(&self, place: usize, life: u64) -> Result<Node> {
        let Setting { seed, detours, .. } = self.setting;
        let chance = |part| Chance::new(seed, (place, life, part));
        let gate = Gate::new(chance("gate"), detours);
        let bus = SimBus::join(&self.broker, &gate, chance("bus"), self.setting.bus_queue);
        let store = self.database.node(chance("store"), gate.clone());
        let chance = chance("node");
        let env = Env::system()
            .with_clock(Arc::new(chance.clone()))
            .with_chance(Arc::new(chance.clone()))
            .with_tasks(Arc::new(gate.clone()))
            .with_protections(self.setting.protections);
        let config = ChatConfig {
            auth: AuthConfig {
                secret: Some(b"a secret of the simulation, long enough".to_vec()),
                ..AuthConfig::default()
            },
            limits: Limits { command_rate: 0, ..Limits::default() },
            writer: WriterConfig { lanes: self.setting.lanes, ..WriterConfig::default() },
            ..ChatConfig::default()
        };
        let registry = prometheus::Registry::new();
        let chat = Chat::new(store.clone(), bus.clone(), env, config, &registry).map_err(|error| anyhow!(error))?;
        let config = GatewayConfig {
            node: NodeId(chat::Chance::id(&chance)),
            outbox_events: self.setting.outbox_events,
            sweep_interval: self.setting.sweep,
            drain_window: Duration::from_secs(3),
            presence: PresenceConfig { lease: self.setting.lease, ..PresenceConfig::default() },
            resume_distance: self.setting.bounds.resume_distance,
            bounds: self.setting.bounds.of_gateway(),
            ..GatewayConfig::default()
        };
        let gateway = Gateway::start(chat.clone(), bus.clone(), config, &registry).map_err(|error| anyhow!(error))?;
        self.metrics.lock().push(registry);
        Ok(Node { gate, chance, bus, store, chat, gateway })
    }

    /// Ephemeral frames that connections which have ended did not get.
    pub fn ephemeral_dropped(&self) -> u64 {
        let families: Vec<_> = self.metrics.lock().iter().flat_map(prometheus::Registry::gather).collect();
        let counted = families.iter().filter(|family| family.name() == "starling_outbox_ephemeral_dropped_total");
        counted
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }

    /// The node of this place, when it is up.
    pub fn node(&self, place: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[place].node.clone()
    }

    /// Any node that is up.
    pub fn any_node(&self, chance: &Chance) -> Option<Arc<Node>> {
        let up: Vec<_> = self.nodes.lock().iter().filter_map(|place| place.node.clone()).collect();
        chance.pick(&up).cloned()
    }

    /// Every node that is up.
    pub fn up(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().iter().filter_map(|place| place.node.clone()).collect()
    }

    /// kill -9.
    pub fn kill(&self, place: usize) {
        if let Some(node) = self.nodes.lock()[place].node.take() {
            node.gate.kill();
            node.bus.cut();
        }
    }

    /// SIGTERM: drains, commits what was taken, ends. Returns when it has ended.
    pub async fn drain(&self, place: usize) {
        let Some(node) = self.node(place) else { return };
        let (done, ended) = tokio::sync::oneshot::channel();
        let draining = Arc::clone(&node);
        chat::Spawn::spawn(
            &node.gate,
            Box::pin(async move {
                draining.gateway.drain().await;
                draining.chat.shutdown().await;
                let _ = done.send(());
            }),
        );
        // Killed meanwhile, or paused for longer than anybody waits: then it is killed, as an orchestrator does.
        let _ = tokio::time::timeout(Duration::from_secs(30), ended).await;
        let mut nodes = self.nodes.lock();
        if nodes[place].node.as_ref().is_some_and(|now| Arc::ptr_eq(now, &node)) {
            nodes[place].node = None;
            drop(nodes);
            node.gate.kill();
            node.bus.cut();
        }
    }

    /// A connection of this person to any node, as a load balancer would choose; none when it was refused.
    pub(super) fn connect(&self, user: &User, session: Option<SessionId>, chance: &Chance) -> Option<Wire> {
        let node = self.any_node(chance)?;
        let (wire, transport) = wire(chance.clone(), self.setting.latency, false);
        node.gateway.connect(transport, Caller { session, ..caller(user) }).then_some(wire)
    }

    /// An event stream of this person from any node, after this id.
    pub(super) fn stream(
        &self,
        user: &User,
        session: Option<SessionId>,
        chance: &Chance,
        last: Option<&str>,
    ) -> Option<Wire> {
        let node = self.any_node(chance)?;
        let (wire, transport) = wire(chance.clone(), self.setting.latency, true);
        node.gateway.stream(transport, Caller { session, ..caller(user) }, last).then_some(wire)
    }

    /// A new session of this person, where there are sessions; none when the database has lost them.
    pub(super) async fn sign_in(&self, user: &User, chance: &Chance) -> Option<SignedIn> {
        if !self.setting.sessions {
            return None;
        }
        let (id, now) = (SessionId(chat::Chance::id(chance)), chat::Clock::now(chance));
        let new = NewSession {
            id,
            user_id: user.id,
            device: None,
            refresh_hash: id.0.as_bytes().to_vec(),
            expires_at: end_of_tokens(),
            now,
        };
        self.database.truth().create_session(new).await.ok()?;
        Some(SignedIn { session: id, at: self.began.elapsed() })
    }

    /// The database is put back to what it was when the backup was made, at that time, and has another epoch. Nodes
    /// that sleep through it are killed and started again, as `docs/deploy.md` asks: what they committed to the lost
    /// future and did not tell yet, they would tell when they wake.
    pub fn restore(&self, backup: &Backup, saved: Duration) -> Result<()> {
        let asleep = |place: &usize| self.node(*place).is_some_and(|node| node.gate.is_paused());
        for place in (0..self.setting.nodes).filter(asleep).collect::<Vec<_>>() {
            self.kill(place);
            self.start_node(place)?;
        }
        let epoch = self.database.restore(backup)?;
        *self.restored.lock() = Some(Restored { saved, at: self.began.elapsed(), epoch });
        Ok(())
    }
}

/// Somebody whose token does not end within a run.
pub(super) fn caller(user: &User) -> Caller {
    Caller { user: user.clone(), session: None, expires_at: end_of_tokens() }
}

fn end_of_tokens() -> Timestamp {
    let end = Timestamp::from_unix_millis(super::chance::BEGIN_MS + 86_400_000);
    end.unwrap_or_else(|| time::OffsetDateTime::UNIX_EPOCH.into())
}
