//! What this node hears of Redis: a task with one lane (a subscribing connection) for each server, that keeps every
//! subscription where it belongs and brings it back.
//!
//! Promises the order that the rest of the node relies on: after a loss come all subscriptions, then
//! [`Incoming::Lost`](crate::Incoming::Lost), then [`BusStatus::Up`]. Of several servers, one that is lost is a loss,
//! and so is a slot that moved. Does not interpret events.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{
    RedisConfig,
    directory::{Directory, Sight},
    failure::{Failure, Moved},
    lane::{LaneTask, Order, Report},
    publisher::Publisher,
    registry::{Lane, Registry},
    server::Server,
};
use crate::{BusStatus, Topic, inbox::Inbox};

/// Most calls or reports that are taken up before the next commands are made of them.
const TAKE: usize = 1_024;
/// While slots move, the reader hears `Lost` at most this often: each time it compares all heads with the store.
const MOVES: Duration = Duration::from_millis(500);
/// So long slots may move before the bus is said to be down.
const GRACE: Duration = Duration::from_secs(1);
/// A lane that was told that a slot is elsewhere waits so long: the servers may not agree on it yet.
const REDIRECTED: Duration = Duration::from_millis(20);

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
    directory: Arc<Directory>,
    sight: watch::Receiver<Sight>,
    config: RedisConfig,
    requests: mpsc::UnboundedReceiver<Request>,
    registry: Registry,
    inbox: Inbox,
    state: Arc<LinkState>,
    publisher: Arc<Publisher>,
    lanes: HashMap<Lane, LaneHandle>,
    next_lane: Lane,
    reporter: mpsc::UnboundedSender<(Lane, Report)>,
    reports: mpsc::UnboundedReceiver<(Lane, Report)>,
    gap: Option<Gap>,
    /// When the reader last heard of a gap.
    told: Option<Instant>,
}

struct LaneHandle {
    server: Arc<Server>,
    orders: mpsc::UnboundedSender<Order>,
    up: bool,
    /// A command is under way.
    busy: bool,
    /// No command before this.
    rest: Option<Instant>,
    task: AbortHandle,
}

impl Drop for LaneHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Something may be missed, since then, and what the log knows of it.
struct Gap {
    since: Instant,
    /// A connection is or was lost: not only slots have moved.
    lost: bool,
    attempts: u32,
    logged: Option<Failure>,
}

impl Gap {
    fn begin(lost: bool) -> Self {
        Self { since: Instant::now(), lost, attempts: 0, logged: None }
    }
}

impl Link {
    pub(super) fn new(
        directory: Arc<Directory>,
        config: RedisConfig,
        requests: mpsc::UnboundedReceiver<Request>,
        inbox: Inbox,
        state: Arc<LinkState>,
        publisher: Arc<Publisher>,
    ) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        let mut sight = directory.sight();
        sight.mark_changed();
        Self {
            sight,
            registry: Registry::new(config.linger, config.batch, config.prefix.clone()),
            lanes: HashMap::new(),
            next_lane: 0,
            gap: Some(Gap::begin(true)),
            told: None,
            directory,
            config,
            requests,
            inbox,
            state,
            publisher,
            reporter,
            reports,
        }
    }

    /// Runs until the last handle to the bus is gone.
    pub(super) async fn run(mut self) {
        let (mut requests, mut reports) = (Vec::new(), Vec::new());
        loop {
            let now = Instant::now();
            self.command(now);
            self.settle(now);
            let wake = self.wake();
            tokio::select! {
                taken = self.requests.recv_many(&mut requests, TAKE) => {
                    if taken == 0 {
                        return;
                    }
                    for request in requests.drain(..) {
                        self.take(request);
                    }
                }
                _ = self.reports.recv_many(&mut reports, TAKE) => {
                    for (lane, report) in reports.drain(..) {
                        self.hear(lane, report);
                    }
                }
                seen = self.sight.changed() => {
                    if seen.is_err() {
                        return;
                    }
                    self.follow();
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Notes what a call asks.
    fn take(&mut self, request: Request) {
        match request {
            Request::Subscribe(topics, done) => self.registry.acquire(&topics, done),
            Request::Unsubscribe(topics) => self.registry.release(&topics, Instant::now()),
            Request::Reconnect => {
                self.directory.suspect();
                for lane in self.lanes.values().filter(|lane| lane.up) {
                    // Without its task the lane is on its way out.
                    let _ = lane.orders.send(Order::Reconnect);
                }
            }
        }
    }

    /// What a lane tells. Those that are no longer in use are not heard.
    fn hear(&mut self, id: Lane, report: Report) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        match report {
            Report::Up => {
                (lane.up, lane.busy, lane.rest) = (true, false, None);
                self.registry.connected(id);
            }
            Report::Subscribed(topics) => self.registry.subscribed(id, &topics),
            Report::Unsubscribed(topics) => {
                if self.registry.unsubscribed(id, &topics) > 0 {
                    self.directory.suspect();
                }
            }
            Report::Moved(moved, topics) => {
                lane.rest = Some(Instant::now() + REDIRECTED);
                let server = lane.server.clone();
                self.moved(id, &server, &moved, &topics);
            }
            Report::Idle => {
                lane.busy = false;
                self.state.confirmed.fetch_add(1, Ordering::Relaxed);
            }
            Report::Down(failure) => {
                (lane.up, lane.busy) = (false, false);
                self.registry.disconnected(id);
                self.lost(failure);
            }
        }
    }

    fn moved(&mut self, lane: Lane, by: &Server, moved: &Moved, topics: &[Topic]) {
        self.registry.unsubscribed(lane, topics);
        self.directory.redirect(moved, by);
        if self.sight.has_changed().unwrap_or(false) {
            self.follow();
        }
    }

    /// Makes lanes to the servers that are in the map now, drops the others, and places topics on them.
    fn follow(&mut self) {
        let sight = self.sight.borrow_and_update().clone();
        if let Some(failure) = sight.failure.filter(|_| sight.map.servers.is_empty()) {
            self.lost(failure);
        }
        let map = sight.map;
        let in_use = |lane: &LaneHandle| map.servers.iter().any(|server| Arc::ptr_eq(server, &lane.server));
        self.lanes.retain(|_, lane| in_use(lane));
        let mut ids = Vec::with_capacity(map.servers.len());
        for server in &map.servers {
            let known = self.lanes.iter().find(|(_, lane)| Arc::ptr_eq(server, &lane.server)).map(|(id, _)| *id);
            ids.push(known.unwrap_or_else(|| self.start(server)));
        }
        let owners = map.places().into_iter().map(|place| ids.get(place?).copied()).collect();
        let ended = self.registry.place(owners);
        if ended > 0 {
            tracing::debug!(topics = ended, "slots have moved; their topics follow");
        }
    }

    fn start(&mut self, server: &Arc<Server>) -> Lane {
        let id = self.next_lane;
        self.next_lane = self.next_lane.wrapping_add(1);
        let (orders, receiver) = mpsc::unbounded_channel();
        let task = LaneTask {
            lane: id,
            server: server.clone(),
            directory: self.directory.clone(),
            config: self.config.clone(),
            orders: receiver,
            reports: self.reporter.clone(),
            inbox: self.inbox.clone(),
            state: self.state.clone(),
        };
        let task = tokio::spawn(task.run()).abort_handle();
        self.lanes.insert(id, LaneHandle { server: server.clone(), orders, up: false, busy: false, rest: None, task });
        id
    }

    /// Gives each lane that has nothing to do its next command.
    fn command(&mut self, now: Instant) {
        for (id, lane) in &mut self.lanes {
            if lane.up
                && !lane.busy
                && lane.rest.is_none_or(|rest| rest <= now)
                && let Some(batch) = self.registry.next(*id, now)
            {
                // One that is gone is told of soon, and wants everything again.
                lane.busy = lane.orders.send(Order::Command(batch)).is_ok();
                lane.rest = None;
            }
        }
        self.state.subscriptions.store(self.registry.len() as u64, Ordering::Relaxed);
    }

    /// Looks whether everything is where it belongs, and tells when that changed.
    fn settle(&mut self, now: Instant) {
        if self.gap.is_none() && self.registry.owed() > 0 {
            self.gap = Some(Gap::begin(false));
        }
        match &self.gap {
            None => {
                if self.registry.take_gave_up() {
                    self.inbox.lost();
                }
            }
            Some(gap) => {
                if self.is_whole() && self.not_before().is_none_or(|moment| moment <= now) {
                    self.up();
                } else if gap.since + GRACE <= now {
                    set(&self.state.status, BusStatus::Down);
                }
            }
        }
    }

    /// Whether all servers are connected and all that was lost is back.
    fn is_whole(&self) -> bool {
        self.registry.owed() == 0
            && self.lanes.values().all(|lane| lane.up)
            && !self.lanes.is_empty()
            && self.sight.borrow().map.is_whole()
    }

    /// While only slots move: when the reader may hear of it.
    fn not_before(&self) -> Option<Instant> {
        self.told.filter(|_| self.gap.as_ref().is_some_and(|gap| !gap.lost)).map(|told| told + MOVES)
    }

    /// When there is something to do, whatever comes.
    fn wake(&self) -> Option<Instant> {
        let gap = self.gap.as_ref();
        let grace = gap.map(|gap| gap.since + GRACE).filter(|_| *self.state.status.borrow() == BusStatus::Up);
        let told = self.not_before().filter(|_| self.is_whole());
        let idle = |lane: &&LaneHandle| lane.up && !lane.busy;
        let rest = self.lanes.values().filter(idle).filter_map(|lane| lane.rest).min();
        // Only a lane that is idle can take the unsubscribe; the others look when they are.
        let linger = self.registry.next_linger().filter(|_| self.lanes.values().any(|lane| idle(&lane)));
        [grace, told, rest, linger].into_iter().flatten().min()
    }

    /// Every subscription is back: first the reader hears of the gap, then everybody that the bus works.
    fn up(&mut self) {
        let Some(gap) = self.gap.take() else { return };
        self.inbox.lost();
        self.told = Some(Instant::now());
        let topics = self.registry.len();
        let after_ms = gap.since.elapsed().as_millis() as u64;
        if gap.lost {
            // A stale connection would cost the first publish.
            self.publisher.forget();
            let servers = self.lanes.len();
            tracing::info!(topics, servers, attempts = gap.attempts, after_ms, "connected to Redis");
            self.state.connects.fetch_add(1, Ordering::Relaxed);
        } else {
            tracing::info!(topics, after_ms, "subscriptions have followed the slots of the cluster");
        }
        // The first connect was a gap too, for whoever subscribed or published before it.
        self.registry.take_gave_up();
        set(&self.state.status, BusStatus::Up);
    }

    fn lost(&mut self, failure: Failure) {
        let gap = self.gap.get_or_insert_with(|| Gap::begin(true));
        gap.lost = true;
        set(&self.state.status, BusStatus::Down);
        if gap.logged.as_ref().is_none_or(|logged| logged.differs(&failure)) {
            tracing::warn!(reason = %failure, "Redis is out of reach; trying again until it is back");
            gap.logged = Some(failure.clone());
        } else {
            tracing::debug!(reason = %failure, "Redis is still out of reach");
        }
        gap.attempts = gap.attempts.saturating_add(1);
        *self.state.failure.lock() = Some(failure);
    }
}

/// Says it to those who wait for it only when it is another one.
fn set(status: &watch::Sender<BusStatus>, now: BusStatus) {
    status.send_if_modified(|status| std::mem::replace(status, now) != now);
}
