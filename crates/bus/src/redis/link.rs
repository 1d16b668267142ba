//! The node's one pub/sub connection: a task that owns it, keeps it alive, and brings every subscription back.
//!
//! Promises the order that the rest of the node relies on: after a loss come all subscriptions, then
//! [`Incoming::Lost`], then [`BusStatus::Up`]. Does not interpret events.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use rand::RngExt;
use redis::{
    Client, RedisError, Value,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    RedisConfig,
    failure::Failure,
    publisher::Publisher,
    registry::{Batch, Registry},
};
use crate::{BusStatus, Incoming, Topic, inbox::Inbox};

/// The first wait between two attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Most calls that are taken up before the next command is made of them.
const TAKE: usize = 1_024;

/// What calls ask of the link.
pub(super) enum Request {
    Subscribe(Vec<Topic>, oneshot::Sender<()>),
    Unsubscribe(Vec<Topic>),
    Reconnect,
}

/// What others may see of the link.
pub(super) struct LinkState {
    pub(super) status: watch::Sender<BusStatus>,
    /// Commands that Redis confirmed: when it moves, waiting makes sense.
    pub(super) confirmed: AtomicU64,
    pub(super) connects: AtomicU64,
    pub(super) subscriptions: AtomicU64,
    pub(super) foreign: AtomicU64,
    /// Why the link is down, or was last.
    pub(super) failure: Mutex<Option<Failure>>,
}

impl LinkState {
    pub(super) fn new() -> Self {
        Self {
            status: watch::Sender::new(BusStatus::Down),
            confirmed: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            subscriptions: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }
}

pub(super) struct Link {
    pub(super) client: Client,
    pub(super) config: RedisConfig,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) registry: Registry,
    pub(super) inbox: Inbox,
    pub(super) state: Arc<LinkState>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) outage: Outage,
}

/// Since when the link is down, and what the log knows of it.
pub(super) struct Outage {
    since: Instant,
    attempts: u32,
    logged: Option<Failure>,
}

impl Outage {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), attempts: 0, logged: None }
    }
}

/// How serving a connection ended.
enum End {
    /// Nobody has a handle to the bus any more.
    Dropped,
    Lost(Failure),
}

impl Link {
    /// Runs until the last handle to the bus is gone.
    pub(super) async fn run(mut self) {
        loop {
            let (client, limit) = (self.client.clone(), self.config.ping_interval);
            let connect = async move {
                match timeout(limit, client.get_async_pubsub()).await {
                    Ok(connected) => connected.map_err(Failure::from),
                    Err(_) => Err(Failure::silent(limit)),
                }
            };
            let failure = match self.meanwhile(connect).await {
                None => return,
                Some(Err(failure)) => failure,
                Some(Ok(connection)) => match self.serve(connection).await {
                    End::Dropped => return,
                    End::Lost(failure) => failure,
                },
            };
            self.lost(failure);
            let pause = self.backoff();
            if self.meanwhile(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something while calls are taken up. `None`: nobody can call any more.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                request = self.requests.recv() => {
                    self.take(request?);
                }
            }
        }
    }

    /// Notes what a call asks; true when it asks for a new connection.
    fn take(&mut self, request: Request) -> bool {
        match request {
            Request::Subscribe(topics, done) => self.registry.acquire(&topics, done),
            Request::Unsubscribe(topics) => self.registry.release(&topics, Instant::now()),
            Request::Reconnect => return true,
        }
        false
    }

    /// Serves one connection to its end.
    async fn serve(&mut self, connection: PubSub) -> End {
        let (sink, stream) = connection.split();
        let inbox = self.inbox.clone();
        let mut reader = tokio::spawn(read(stream, inbox, self.config.prefix.clone(), self.state.clone()));
        let _stop = StopOnDrop(reader.abort_handle());
        let alive = watchdog(sink.clone(), self.config.ping_interval);
        tokio::pin!(alive);
        let mut under_way: Option<BoxFuture<'static, (Batch, Result<(), RedisError>)>> = None;
        let mut requests = Vec::new();
        let mut recovering = true;
        loop {
            if under_way.is_none() {
                let now = Instant::now();
                if let Some(batch) = self.registry.next(now) {
                    under_way = Some(Box::pin(exchange(sink.clone(), batch, self.config.prefix.clone())));
                } else if recovering {
                    recovering = false;
                    self.up();
                } else if self.registry.take_gave_up() {
                    self.inbox.lost();
                }
                self.state.subscriptions.store(self.registry.len() as u64, Ordering::Relaxed);
            }
            let (linger, idle) = (self.registry.next_linger(), under_way.is_none());
            tokio::select! {
                taken = self.requests.recv_many(&mut requests, TAKE) => {
                    if taken == 0 {
                        return End::Dropped;
                    }
                    let mut reconnect = false;
                    for request in requests.drain(..) {
                        reconnect |= self.take(request);
                    }
                    if reconnect {
                        return End::Lost(Failure::unavailable("asked to reconnect"));
                    }
                }
                Some((batch, result)) = async { Some(under_way.as_mut()?.await) } => {
                    under_way = None;
                    match result {
                        Ok(()) => self.registry.confirmed(&batch),
                        Err(error) => return End::Lost(error.into()),
                    }
                    self.state.confirmed.fetch_add(1, Ordering::Relaxed);
                }
                () = sleep_until(linger.unwrap_or_else(Instant::now)), if idle && linger.is_some() => {}
                failure = &mut alive => return End::Lost(failure),
                _ = &mut reader => return End::Lost(Failure::unavailable("the server closed the connection")),
            }
        }
    }

    /// Every subscription is back: first the reader hears of the gap, then everybody that the bus works.
    fn up(&mut self) {
        self.inbox.lost();
        // A stale connection would cost the first publish.
        self.publisher.forget();
        let outage = std::mem::replace(&mut self.outage, Outage::begin());
        tracing::info!(
            topics = self.registry.len(),
            attempts = outage.attempts,
            after_ms = outage.since.elapsed().as_millis() as u64,
            "connected to Redis"
        );
        // The first connect was a gap too, for whoever subscribed or published before it.
        self.registry.take_gave_up();
        self.state.connects.fetch_add(1, Ordering::Relaxed);
        self.state.status.send_replace(BusStatus::Up);
    }

    fn lost(&mut self, failure: Failure) {
        self.registry.disconnected();
        let was = self.state.status.send_replace(BusStatus::Down);
        if was == BusStatus::Up {
            self.outage = Outage::begin();
        }
        if self.outage.logged.as_ref().is_none_or(|logged| logged.differs(&failure)) {
            tracing::warn!(reason = %failure, "Redis is out of reach; trying again until it is back");
            self.outage.logged = Some(failure.clone());
        } else {
            tracing::debug!(reason = %failure, "Redis is still out of reach");
        }
        self.outage.attempts = self.outage.attempts.saturating_add(1);
        *self.state.failure.lock() = Some(failure);
    }

    /// Full jitter, so that the nodes of a cluster do not come back at the same moment.
    fn backoff(&self) -> Duration {
        let most = BACKOFF_MIN.saturating_mul(1 << self.outage.attempts.saturating_sub(1).min(16));
        rand::rng().random_range(Duration::ZERO..=most.min(self.config.backoff_max))
    }
}

/// Sends one command and waits for all of its confirmations.
async fn exchange(mut sink: PubSubSink, batch: Batch, prefix: String) -> (Batch, Result<(), RedisError>) {
    let names = |topics: &[Topic]| topics.iter().map(|topic| format!("{prefix}{topic}")).collect::<Vec<_>>();
    let result = match &batch {
        Batch::Subscribe(topics) => sink.subscribe(names(topics)).await,
        Batch::Unsubscribe(topics) => sink.unsubscribe(names(topics)).await,
    };
    (batch, result)
}

/// Returns when the server no longer answers. A frozen server shows in no other way, and answers come in order,
/// so that this also bounds the wait for a command.
async fn watchdog(mut sink: PubSubSink, every: Duration) -> Failure {
    loop {
        sleep(every).await;
        match timeout(every, sink.ping::<Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return Failure::silent(every),
        }
    }
}

/// Moves events into the inbox, to the end of the connection. The library buffers without bound what is not
/// read, so that this never waits.
async fn read(mut stream: PubSubStream, inbox: Inbox, prefix: String, state: Arc<LinkState>) {
    while let Some(message) = stream.next().await {
        match message.get_channel_name().strip_prefix(&prefix).and_then(|name| name.parse().ok()) {
            Some(topic) => {
                inbox.push(Incoming::Event { topic, payload: Bytes::copy_from_slice(message.get_payload_bytes()) });
            }
            None => {
                state.foreign.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
