//! What every part of a run shares: the clock, the ledger, the meter, where to connect, and the word to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, ledger::Ledger, meter::Meter, rest::Rest, socket::Dialer};

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
    /// Distinguishes its users, conversations and messages.
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Meter,
    pub(crate) rest: Rest,
    pub(crate) dialer: Dialer,
    /// Characters of a message.
    pub(crate) size: usize,
    /// A command without an answer after this is said again (a message) or forgotten (anything else).
    pub(crate) patience: Duration,
    /// Nothing new is to be begun.
    pub(crate) stop: CancellationToken,
    /// Nor is anything to be waited for.
    pub(crate) give_up: CancellationToken,
    /// Messages that wait for their answer.
    pub(crate) under_way: AtomicI64,
    /// What the last connection failed with.
    pub(crate) last_error: Mutex<String>,
    /// What happened when, for the report.
    pub(crate) marks: Mutex<Vec<(f64, String)>>,
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
}

impl Run {
    pub(crate) fn new(name: &str, parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            clock: Clock::start(),
            ledger: Ledger::new(name),
            meter: Meter::default(),
            rest: parts.rest,
            dialer: parts.dialer,
            size: parts.size,
            patience: parts.patience,
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
            under_way: AtomicI64::new(0),
            last_error: Mutex::default(),
            marks: Mutex::default(),
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

    /// The load begins.
    pub(crate) fn load_begins(&self, what: &str) {
        self.mark("load begins");
        what.clone_into(&mut self.phase.lock());
        *self.progress.lock() = Progress::Since(Instant::now(), self.time);
        self.loading.send_replace(true);
    }

    /// It ends: what is under way may still arrive.
    pub(crate) fn load_ends(&self) {
        self.mark("load ends");
        self.loading.send_replace(false);
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
