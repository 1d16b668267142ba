//! What every part of a run shares: the clock, the ledger, the meter, where to connect, and the word to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::Seq;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    content::Stamp,
    last::Last,
    ledger::{Key, Ledger, Room},
    meter::{Kind, Meter},
    plan::Plan,
    report::model::Loaded,
    rest::Rest,
    socket::Dialer,
};

/// How far what it does just now has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Progress {
    /// Nobody can tell.
    #[default]
    Unknown,
    /// So many of so many are made.
    Made(usize, usize),
    /// So many sockets are to be open.
    Opening(usize),
    /// From when, for how long.
    Since(Instant, Duration),
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Distinguishes its users and conversations.
    pub(crate) name: String,
    /// Distinguishes its messages: the name, and what no other process has. A name that is used again would say again
    /// what is stored already, and prove nothing.
    own: String,
    pub(crate) clock: Clock,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Meter,
    pub(crate) last: Last,
    pub(crate) rest: Rest,
    pub(crate) dialer: Dialer,
    /// Characters of a message.
    pub(crate) size: usize,
    /// A command without an answer after this is said again (a message) or forgotten (anything else).
    pub(crate) patience: Duration,
    /// What is refused for now is said again.
    pub(crate) retries: bool,
    /// Nothing new is to be begun.
    pub(crate) stop: CancellationToken,
    /// Nor is anything to be waited for.
    pub(crate) give_up: CancellationToken,
    /// Messages that are due, taken by a device or not, and calls, all without their answer.
    pub(crate) under_way: AtomicI64,
    /// The longest message that a server said it takes, characters.
    pub(crate) longest: AtomicUsize,
    /// Counters as they were when the load ended: what came later is no rate of it.
    pub(crate) loaded: Mutex<Option<Loaded>>,
    /// What the last connection failed with.
    pub(crate) last_error: Mutex<String>,
    /// What happened when, for the report.
    pub(crate) marks: Mutex<Vec<(f64, String)>>,
    /// What went wrong with the run itself.
    pub(crate) broken: Mutex<Vec<String>>,
    /// What it does just now, for the live view.
    pub(crate) phase: Mutex<String>,
    /// How far it has come with that.
    pub(crate) progress: Mutex<Progress>,
    /// How long the load is to last.
    pub(crate) time: Duration,
    /// The load is on: chaos may begin, and ends with it.
    pub(crate) loading: watch::Sender<bool>,
    /// 1: about to connect; 2: everybody is.
    pub(crate) connected: watch::Sender<u8>,
}

/// Beside the run's name: what [`Run`] is made of.
pub(crate) struct Parts {
    pub(crate) rest: Rest,
    pub(crate) dialer: Dialer,
    pub(crate) size: usize,
    pub(crate) patience: Duration,
    pub(crate) time: Duration,
    pub(crate) retries: bool,
}

impl Parts {
    pub(crate) fn of(plan: &Plan, rest: Rest, dialer: Dialer) -> Self {
        let &Plan { size, patience, time, retries, .. } = plan;
        Self { rest, dialer, size, patience, time, retries }
    }
}

impl Run {
    pub(crate) fn new(name: &str, parts: Parts) -> Arc<Self> {
        let own = format!("{name}-{:x}", rand::random::<u32>());
        Arc::new(Self {
            name: name.to_owned(),
            clock: Clock::start(),
            ledger: Ledger::new(&own),
            own,
            meter: Meter::default(),
            last: Last::default(),
            rest: parts.rest,
            dialer: parts.dialer,
            size: parts.size,
            patience: parts.patience,
            retries: parts.retries,
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
            under_way: AtomicI64::new(0),
            longest: AtomicUsize::new(usize::MAX),
            loaded: Mutex::default(),
            last_error: Mutex::default(),
            marks: Mutex::default(),
            broken: Mutex::default(),
            phase: Mutex::default(),
            progress: Mutex::default(),
            time: parts.time,
            loading: watch::Sender::new(false),
            connected: watch::Sender::new(0),
        })
    }

    /// Something to be seen in the plots.
    pub(crate) fn mark(&self, what: impl Into<String>) {
        self.marks.lock().push((self.clock.seconds(), what.into()));
    }

    /// Something went wrong with the run itself: what is reported is a part of it.
    pub(crate) fn breaks(&self, what: String) {
        self.mark(what.clone());
        self.broken.lock().push(what);
    }

    /// Whether its load has begun, and may have ended.
    pub(crate) fn has_loaded(&self) -> bool {
        *self.loading.borrow() || self.loaded.lock().is_some()
    }

    /// The load begins.
    pub(crate) fn load_begins(&self, what: &str) {
        self.mark("load begins");
        what.clone_into(&mut self.phase.lock());
        *self.progress.lock() = Progress::Since(Instant::now(), self.time);
        self.loading.send_replace(true);
    }

    /// It ends: what is under way may still arrive.
    pub(crate) fn load_ends(&self) {
        *self.loaded.lock() = Some(self.so_far());
        self.mark("load ends");
        self.loading.send_replace(false);
    }

    /// What came of the load until it ended, or until now.
    pub(crate) fn loaded(&self) -> Loaded {
        self.loaded.lock().unwrap_or_else(|| self.so_far())
    }

    fn so_far(&self) -> Loaded {
        let [_, acknowledged, delivered, _] = self.ledger.so_far();
        Loaded { acknowledged, delivered, calls: self.meter.answers.load(Ordering::Relaxed) }
    }

    /// Under which a message is said, however often.
    pub(crate) fn client_id(&self, key: Key) -> String {
        format!("{}-{}-{}", self.own, key.sender, key.number)
    }

    /// A message is due. From here on it counts, whether a device takes it or not: a load tester that counts what its
    /// devices took says nothing of what they could not take.
    pub(crate) fn due(&self) {
        self.ledger.due();
        self.begins();
    }

    /// A message or a call is waited for from now on.
    pub(crate) fn begins(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// A message that was due, or a call, is not waited for any more.
    pub(crate) fn over(&self, count: usize) {
        self.under_way.fetch_sub(count as i64, Ordering::Relaxed);
    }

    /// A message was answered: it is stored at this place.
    pub(crate) fn acknowledged(&self, room: &Room, key: Key, intended: u64, seq: Seq) {
        let now = self.clock.now();
        if self.ledger.acknowledged(room, key, seq) {
            self.meter.record(key.sender, Kind::Ack, now.saturating_sub(intended));
            let took = self.last.acknowledged(key, room.size(), intended);
            self.came_to_all(key, took);
        }
        self.over(1);
    }

    /// A message came to one of those who should have it.
    pub(crate) fn delivered(&self, to: u32, stamp: Stamp) {
        let (now, key) = (self.clock.now(), Key { sender: stamp.sender, number: stamp.number });
        self.meter.record(to, Kind::Delivery, now.saturating_sub(stamp.sent));
        let took = self.last.heard(key, now);
        self.came_to_all(key, took);
    }

    fn came_to_all(&self, key: Key, took: Option<u64>) {
        if let Some(took) = took {
            self.meter.record(key.sender, Kind::Last, took);
        }
    }

    /// Sockets that were open at once, at most.
    pub(crate) fn most_open(&self) -> u64 {
        self.meter.most_open.load(Ordering::Relaxed).max(0) as u64
    }

    /// What it does from now on.
    pub(crate) fn phase(&self, what: impl Into<String>) {
        let what = what.into();
        self.mark(what.clone());
        *self.phase.lock() = what;
        *self.progress.lock() = Progress::Unknown;
    }
}
