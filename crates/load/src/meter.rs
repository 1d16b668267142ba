//! Everything that is counted and timed while a run goes on: latencies per kind, errors by code, sockets, bytes.
//!
//! Writing is cheap enough for hundreds of thousands of deliveries per second: histograms are sharded, and collected
//! into whole ones once a second.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Longest latency that is told apart, an hour; longer ones count as this one. Microseconds.
const LONGEST: u64 = 3_600_000_000;
/// More than threads.
const SHARDS: usize = 8;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// From when a message was to be sent to its acknowledgement.
    Ack,
    /// From when a message was to be sent to each receiver.
    Delivery,
    /// From when a message was to be sent to the last of its receivers; not of one that was not acknowledged.
    Last,
    /// From opening a socket to when its events flow.
    Connect,
    /// From the loss of a connection to when events flow again, everything that was missed included.
    Back,
    /// Receipts, typing and presence, to their answer.
    Command,
    /// `GET /v1/conversations`.
    List,
    /// `GET /v1/conversations/{id}/messages`.
    History,
    /// `GET /v1/unread`.
    Unread,
    /// `POST /v1/conversations/{id}/join`, until the newcomer's socket has the conversation.
    Join,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ack,
        Self::Delivery,
        Self::Last,
        Self::Connect,
        Self::Back,
        Self::Command,
        Self::List,
        Self::History,
        Self::Unread,
        Self::Join,
    ];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ack => "acknowledgement",
            Self::Delivery => "delivery",
            Self::Last => "to the last",
            Self::Connect => "connect",
            Self::Back => "reconnect",
            Self::Command => "command",
            Self::List => "list",
            Self::History => "history",
            Self::Unread => "unread",
            Self::Join => "join",
        }
    }
}

/// A histogram of microseconds, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    // Bounds and precision are constants that the crate accepts.
    Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|_| unreachable!())
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Meter {
    shards: Vec<Mutex<Vec<Option<Histogram<u64>>>>>,
    /// Sockets that are open and live.
    pub(crate) open: AtomicI64,
    /// The most of them at once.
    pub(crate) most_open: AtomicI64,
    /// Bytes of frames that came.
    pub(crate) received: AtomicU64,
    /// Answers of REST.
    pub(crate) answers: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    closes: Mutex<BTreeMap<u16, u64>>,
}

impl Default for Meter {
    fn default() -> Self {
        let shard = || Mutex::new(vec![None; Kind::ALL.len()]);
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            open: AtomicI64::new(0),
            most_open: AtomicI64::new(0),
            received: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            errors: Mutex::default(),
            closes: Mutex::default(),
        }
    }
}

impl Meter {
    /// It took so many microseconds; `who` spreads the work.
    pub(crate) fn record(&self, who: u32, kind: Kind, micros: u64) {
        let mut shard = self.shards[who as usize % SHARDS].lock();
        let place = Kind::ALL.iter().position(|other| *other == kind).unwrap_or_default();
        shard[place].get_or_insert_with(histogram).saturating_record(micros.max(1));
    }

    /// A socket is live.
    pub(crate) fn opened(&self) {
        let now = self.open.fetch_add(1, Relaxed) + 1;
        self.most_open.fetch_max(now, Relaxed);
    }

    /// Something did not go well.
    pub(crate) fn error(&self, code: impl Into<String>) {
        *self.errors.lock().entry(code.into()).or_default() += 1;
    }

    /// A connection ended so.
    pub(crate) fn closed(&self, code: u16) {
        *self.closes.lock().entry(code).or_default() += 1;
    }

    /// Errors by code so far.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// Ends of connections by code so far.
    pub(crate) fn closes(&self) -> BTreeMap<u16, u64> {
        self.closes.lock().clone()
    }

    /// What was recorded since the last time, of each kind that was.
    pub(crate) fn collect(&self) -> BTreeMap<Kind, Histogram<u64>> {
        let mut all = BTreeMap::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            for (kind, part) in Kind::ALL.into_iter().zip(shard.iter_mut()) {
                let Some(part) = part.as_mut().filter(|part| !part.is_empty()) else { continue };
                // Same bounds: adding cannot fail.
                let _ = all.entry(kind).or_insert_with(histogram).add(&*part);
                part.reset();
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_by_anybody_is_collected_once() {
        let meter = Meter::default();
        for who in 0..100 {
            meter.record(who, Kind::Ack, u64::from(who) * 1_000);
        }
        meter.record(3, Kind::Delivery, u64::MAX);
        let all = meter.collect();
        assert_eq!(all[&Kind::Ack].len(), 100);
        assert_eq!(all[&Kind::Ack].value_at_quantile(0.5) / 1_000, 49);
        assert!(all[&Kind::Delivery].max() >= LONGEST);
        assert!(meter.collect().is_empty());
    }
}
