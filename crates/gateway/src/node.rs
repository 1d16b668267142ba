//! What a gateway node is made of, shared by its tasks and connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bus::{Bus, BusError, Topic};
use chat::{Chat, Env};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    GatewayConfig,
    epoch::Epoch,
    hub::{Hub, channel::Rules},
    journal::{Deliveries, EndedConnections},
    metrics::Metrics,
    presence::Presence,
};

/// One gateway node.
pub(crate) struct Node {
    pub(crate) chat: Chat,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) hub: Hub,
    pub(crate) presence: Presence,
    pub(crate) config: GatewayConfig,
    pub(crate) metrics: Metrics,
    /// Connections: the drain waits for them.
    pub(crate) connections: TaskTracker,
    /// Ends the background tasks.
    pub(crate) stop: CancellationToken,
    /// Asks the sweeper for a whole comparison, as soon as it can.
    pub(crate) sweep_now: Notify,
    /// The sweep's rotations so far; see [`crate::marks`].
    rotation: AtomicU64,
    /// Markers may have moved without news.
    pub(crate) receipts_lost: Notify,
    pub(crate) draining: AtomicBool,
    pub(crate) began: Instant,
    /// Connections that ended.
    pub(crate) ended: EndedConnections,
    /// The log has a line about changes that the bus told of and the store does not have.
    pub(crate) told_of_unknown: AtomicBool,
    /// Why events do not flow; none when they do. One log line per change.
    degraded: Mutex<Option<&'static str>>,
    /// The database's, as it was read last.
    pub(crate) epoch: Epoch,
    /// An event of another epoch came.
    pub(crate) other_epoch: Notify,
    /// The log has a line about those.
    pub(crate) told_of_other_epoch: AtomicBool,
}

impl Node {
    pub(crate) fn new(chat: Chat, bus: Arc<dyn Bus>, config: GatewayConfig, metrics: Metrics) -> Self {
        let deliveries = Deliveries::remembering(config.remembered);
        let (protections, bounds) = (chat.env().protections(), config.bounds);
        let hub = Hub::new(Rules { protections, bounds, deliveries, node: Some(config.node) });
        Self {
            chat,
            bus,
            hub,
            presence: Presence::new(config.presence),
            config,
            metrics,
            connections: TaskTracker::new(),
            stop: CancellationToken::new(),
            sweep_now: Notify::new(),
            rotation: AtomicU64::new(0),
            receipts_lost: Notify::new(),
            draining: AtomicBool::new(false),
            began: Instant::now(),
            ended: EndedConnections::default(),
            told_of_unknown: AtomicBool::new(false),
            degraded: Mutex::new(None),
            epoch: Epoch::default(),
            other_epoch: Notify::new(),
            told_of_other_epoch: AtomicBool::new(false),
        }
    }

    /// The world that it lives in.
    pub(crate) fn env(&self) -> &Env {
        self.chat.env()
    }

    /// Runs a task beside its caller, until the node ends or longer.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.env().spawn(task);
    }

    /// Runs a task that the drain waits for.
    pub(crate) fn spawn_for_connection(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.env().spawn(self.connections.track_future(task));
    }

    /// The number of the sweep's present rotation.
    pub(crate) fn rotation(&self) -> u64 {
        self.rotation.load(Ordering::SeqCst)
    }

    /// Begins the next one; its number.
    pub(crate) fn next_rotation(&self) -> u64 {
        self.rotation.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn degraded(&self) -> Option<&'static str> {
        *self.degraded.lock()
    }

    pub(crate) fn set_degraded(&self, why: Option<&'static str>) {
        let before = std::mem::replace(&mut *self.degraded.lock(), why);
        self.metrics.degraded.set(i64::from(why.is_some()));
        match (before, why) {
            (None, Some(why)) => tracing::warn!(reason = why, "degraded: live events may be late, read from the store"),
            (Some(_), None) => tracing::info!("events flow again"),
            _ => {}
        }
    }

    /// Hands over what another node said. One that finds no room is lost, as any on the bus may be.
    pub(crate) fn letter(&self, payload: bytes::Bytes) {
        self.metrics.bus_events.with_label_values(&["node"]).inc();
        if let Some(letters) = &self.config.letters {
            let _ = letters.try_send(payload);
        }
    }

    /// Subscribes on the bus. While the bus is down the wish is kept there, and when it is back every head is
    /// compared with the store, so that going on without a confirmation loses nothing but time.
    pub(crate) async fn subscribe(&self, topics: &[Topic]) {
        match self.bus.subscribe(topics).await {
            Ok(()) | Err(BusError::Unavailable(_)) => {}
            Err(error) => tracing::debug!(error = %error, "subscribe refused"),
        }
    }
}

/// Doubles from `first` up to `most`.
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { next: first, most }
    }

    /// Waits, each time longer, with jitter.
    pub(crate) async fn wait(&mut self, env: &Env) {
        let span = self.next;
        self.next = (self.next * 2).min(self.most);
        tokio::time::sleep(env.spread(span / 4..span + span / 4)).await;
    }
}
