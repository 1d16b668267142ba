//! One subscribing connection to one server: a task that makes it, again and again, and puts what arrives in the inbox.
//!
//! Promises that what it reports comes in the order of the wire, and that after [`Report::Down`] nothing of the old
//! connection reaches the inbox any more. Does not know who needs a topic: it carries out the link's commands, one at a
//! time. Confirmations are counted by the names in them, not by their number: when a slot moves, the server ends
//! subscriptions unasked, which looks the same as an answer.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rand::RngExt;
use redis::{Pipeline, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    RedisConfig,
    directory::Directory,
    failure::{Failure, Moved},
    link::LinkState,
    registry::{Batch, Lane},
    server::Server,
    slot,
};
use crate::{Incoming, Topic, inbox::Inbox};

/// The first wait between two attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Most pushes that are looked at together.
const TAKE: usize = 1_024;

/// What the link wants of a lane.
pub(super) enum Order {
    /// The link sends none before [`Report::Idle`].
    Command(Batch),
    Reconnect,
}

/// What a lane tells the link.
pub(super) enum Report {
    /// Connected, without a subscription.
    Up,
    Subscribed(Vec<Topic>),
    /// Because it was asked to, or because the server no longer has the slot.
    Unsubscribed(Vec<Topic>),
    /// Another server has this slot; these topics wait for it.
    Moved(Moved, Vec<Topic>),
    /// The command has been carried out.
    Idle,
    /// The connection is gone. The lane tries again by itself.
    Down(Failure),
}

pub(super) struct LaneTask {
    pub(super) lane: Lane,
    pub(super) server: Arc<Server>,
    pub(super) directory: Arc<Directory>,
    pub(super) config: RedisConfig,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) reports: mpsc::UnboundedSender<(Lane, Report)>,
    pub(super) inbox: Inbox,
    pub(super) state: Arc<LinkState>,
}

/// What the connection tells beside events.
enum Notice {
    Subscribed(Topic),
    Unsubscribed(Topic),
    Gone,
}

/// A command under way.
struct UnderWay {
    answer: Option<BoxFuture<'static, Result<(), RedisError>>>,
    subscribes: bool,
    pending: HashSet<Topic>,
    /// When something of it was confirmed last.
    progress: Instant,
}

/// The link is gone, and with it the reason to go on.
struct Ended;

impl LaneTask {
    /// Runs until the link drops it.
    pub(super) async fn run(mut self) {
        let mut attempts = 0u32;
        loop {
            let gate = Gate::default();
            let (notices, mut heard) = mpsc::unbounded_channel();
            let failure = match self.connect(&gate, notices).await {
                Ok(connection) => {
                    let connected = Instant::now();
                    match self.serve(connection, &mut heard).await {
                        Ok(failure) if connected.elapsed() > self.config.backoff_max => {
                            attempts = 0;
                            failure
                        }
                        Ok(failure) => failure,
                        Err(Ended) => return,
                    }
                }
                Err(failure) => failure,
            };
            drop(gate);
            attempts = attempts.saturating_add(1);
            if self.report(Report::Down(failure.of(&self.server.name))).is_err() {
                return;
            }
            sleep(self.backoff(attempts)).await;
            // Behind Sentinel and in a cluster another server may have taken over; then the link drops this lane.
            self.directory.look().await;
            // What was asked of the connection that is gone.
            while let Ok(order) = self.orders.try_recv() {
                drop(order);
            }
        }
    }

    async fn connect(
        &self,
        gate: &Gate,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<MultiplexedConnection, Failure> {
        let limit = self.config.ping_interval;
        let pushes = Pushes {
            closed: gate.closed.clone(),
            inbox: self.inbox.clone(),
            prefix: self.config.prefix.clone(),
            state: self.state.clone(),
            notices,
        };
        // Called by the task that reads the socket: events wait in the inbox, which is bounded, and nowhere else.
        let pushes = move |push: PushInfo| pushes.take(push);
        match timeout(limit, self.server.listen(pushes)).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::silent(limit)),
        }
    }

    /// Serves one connection to its end, which it returns.
    async fn serve(
        &mut self,
        connection: MultiplexedConnection,
        heard: &mut mpsc::UnboundedReceiver<Notice>,
    ) -> Result<Failure, Ended> {
        self.report(Report::Up)?;
        let alive = watchdog(connection.clone(), self.config.ping_interval);
        tokio::pin!(alive);
        let mut under_way: Option<UnderWay> = None;
        let mut notices = Vec::new();
        loop {
            let stuck = under_way.as_ref().filter(|command| command.answer.is_none());
            let stuck = stuck.map(|command| command.progress + self.config.ping_interval);
            let answer = under_way.as_mut().and_then(|command| command.answer.as_mut());
            tokio::select! {
                order = self.orders.recv() => match order.ok_or(Ended)? {
                    Order::Command(batch) => under_way = Some(self.send(&connection, batch)),
                    Order::Reconnect => return Ok(Failure::unavailable("asked to reconnect")),
                },
                taken = heard.recv_many(&mut notices, TAKE) => {
                    if taken == 0 || self.note(notices.drain(..), under_way.as_mut())? {
                        return Ok(Failure::unavailable("the server closed the connection"));
                    }
                }
                Some(answered) = async { Some(answer?.await) } => {
                    if let Some(command) = under_way.as_mut() {
                        command.answer = None;
                        command.progress = Instant::now();
                        if let Err(error) = answered
                            && let Some(failure) = self.refused(&error, command)?
                        {
                            return Ok(failure);
                        }
                    }
                }
                () = sleep_until(stuck.unwrap_or_else(Instant::now)), if stuck.is_some() => {
                    return Ok(Failure::unavailable("the server does not confirm a subscription"));
                }
                failure = &mut alive => return Ok(failure),
            }
            if under_way.as_ref().is_some_and(|command| command.answer.is_none() && command.pending.is_empty()) {
                under_way = None;
                self.report(Report::Idle)?;
            }
        }
    }

    fn send(&self, connection: &MultiplexedConnection, batch: Batch) -> UnderWay {
        let (subscribes, topics) = match batch {
            Batch::Subscribe(topics) => (true, topics),
            Batch::Unsubscribe(topics) => (false, topics),
        };
        let names: Vec<_> = topics.iter().map(|topic| self.channel(topic)).collect();
        let sharded = self.directory.is_cluster();
        let mut connection = connection.clone();
        let answer = async move {
            match (sharded, subscribes) {
                (false, true) => connection.subscribe(names).await,
                (false, false) => connection.unsubscribe(names).await,
                // One command may hold only channels of one slot, so that each is one of its own.
                (true, _) => {
                    let command = if subscribes { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" };
                    let mut pipeline = Pipeline::with_capacity(names.len());
                    for name in names {
                        pipeline.cmd(command).arg(name);
                    }
                    pipeline.query_async::<Vec<Value>>(&mut connection).await.map(drop)
                }
            }
        };
        let pending = topics.into_iter().collect();
        UnderWay { answer: Some(Box::pin(answer)), subscribes, pending, progress: Instant::now() }
    }

    /// Tells the link what the server confirmed or ended. True: the connection is gone.
    fn note(&self, notices: impl Iterator<Item = Notice>, mut under_way: Option<&mut UnderWay>) -> Result<bool, Ended> {
        let mut said: Option<Report> = None;
        let mut gone = false;
        for notice in notices {
            let (topic, on) = match notice {
                Notice::Subscribed(topic) => (topic, true),
                Notice::Unsubscribed(topic) => (topic, false),
                Notice::Gone => {
                    gone = true;
                    break;
                }
            };
            if let Some(command) = under_way.as_deref_mut()
                && command.subscribes == on
                && command.pending.remove(&topic)
            {
                command.progress = Instant::now();
            }
            // As many as follow each other in one report.
            said = Some(match (said, on) {
                (Some(Report::Subscribed(mut topics)), true) => {
                    topics.push(topic);
                    Report::Subscribed(topics)
                }
                (Some(Report::Unsubscribed(mut topics)), false) => {
                    topics.push(topic);
                    Report::Unsubscribed(topics)
                }
                (before, _) => {
                    before.map_or(Ok(()), |report| self.report(report))?;
                    if on { Report::Subscribed(vec![topic]) } else { Report::Unsubscribed(vec![topic]) }
                }
            });
        }
        said.map_or(Ok(()), |report| self.report(report))?;
        Ok(gone)
    }

    /// The server refused something of a command: a failure of the connection, unless all that happened is that slots
    /// are elsewhere.
    fn refused(&self, error: &RedisError, command: &mut UnderWay) -> Result<Option<Failure>, Ended> {
        let moved: Option<Vec<Moved>> = error
            .clone()
            .into_server_errors()
            .and_then(|answers| answers.iter().map(|(_, answer)| Moved::read(answer)).collect());
        let Some(moved) = moved.filter(|moved| !moved.is_empty()) else { return Ok(Some(error.into())) };
        let mut slots = HashSet::new();
        for moved in moved {
            if !slots.insert(moved.slot) {
                continue;
            }
            let there = |topic: &Topic| slot::of(self.channel(topic).as_bytes()) == moved.slot;
            let topics: Vec<Topic> = command.pending.extract_if(there).collect();
            self.report(if command.subscribes { Report::Moved(moved, topics) } else { Report::Unsubscribed(topics) })?;
        }
        Ok(None)
    }

    fn channel(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.config.prefix)
    }

    fn report(&self, report: Report) -> Result<(), Ended> {
        self.reports.send((self.lane, report)).map_err(|_| Ended)
    }

    /// Full jitter, so that the nodes of a cluster do not come back at the same moment.
    fn backoff(&self, attempts: u32) -> Duration {
        let most = BACKOFF_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        rand::rng().random_range(Duration::ZERO..=most.min(self.config.backoff_max))
    }
}

/// Ends the pushes of a connection when it is dropped: the library's task may outlive the lane's use of it.
#[derive(Default)]
struct Gate {
    closed: Arc<AtomicBool>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

/// Where the pushes of a connection go.
struct Pushes {
    closed: Arc<AtomicBool>,
    inbox: Inbox,
    prefix: String,
    state: Arc<LinkState>,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Pushes {
    fn take(&self, push: PushInfo) -> Result<(), Ended> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Ended);
        }
        let PushInfo { kind, data } = push;
        let mut data = data.into_iter();
        let notice = match kind {
            PushKind::Disconnection => Some(Notice::Gone),
            PushKind::Subscribe | PushKind::SSubscribe => self.topic(data.next()).map(Notice::Subscribed),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => self.topic(data.next()).map(Notice::Unsubscribed),
            PushKind::Message | PushKind::SMessage => {
                self.event(self.topic(data.next()), data.next());
                None
            }
            _ => None,
        };
        notice.map_or(Ok(()), |notice| self.notices.send(notice).map_err(|_| Ended))
    }

    fn event(&self, topic: Option<Topic>, payload: Option<Value>) {
        if let (Some(topic), Some(Value::BulkString(payload))) = (topic, payload) {
            self.inbox.push(Incoming::Event { topic, payload: Bytes::from(payload) });
        } else {
            self.state.foreign.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The topic of a channel of ours.
    fn topic(&self, channel: Option<Value>) -> Option<Topic> {
        let Some(Value::BulkString(name)) = channel else { return None };
        std::str::from_utf8(&name).ok()?.strip_prefix(&self.prefix)?.parse().ok()
    }
}

/// Returns when the server no longer answers. A frozen server shows in no other way, and answers come in order,
/// so that this also bounds the wait for a command.
async fn watchdog(mut connection: MultiplexedConnection, every: Duration) -> Failure {
    loop {
        sleep(every).await;
        match timeout(every, redis::cmd("PING").query_async::<Value>(&mut connection)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return Failure::silent(every),
        }
    }
}
