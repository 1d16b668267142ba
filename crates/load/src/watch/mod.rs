//! Once a second, beside the run: what was counted and timed, what the servers used, and what they say of themselves.

mod metrics;
mod process;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use self::metrics::Metrics;
pub(crate) use self::process::Process;
use crate::{
    meter::Kind,
    report::model::{Latency, ProcessUse, Second},
    run::Run,
};

/// What is watched beside the run; it changes when nodes are started anew.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Server processes by name.
    pub(crate) processes: Vec<Process>,
    /// Base URLs of admin ports.
    pub(crate) metrics: Vec<String>,
}

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) seconds: Vec<Second>,
    pub(crate) totals: BTreeMap<Kind, Histogram<u64>>,
    /// By name of the metric: its value (all labels and nodes together) in each second.
    pub(crate) metrics: BTreeMap<String, Vec<Option<f64>>>,
}

/// Records until it is dropped.
pub(crate) struct Recorder {
    pub(crate) record: Arc<Mutex<Record>>,
    run: Arc<Run>,
    watched: Arc<Mutex<Watched>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Begins.
    pub(crate) fn start(run: &Arc<Run>, watched: Arc<Mutex<Watched>>) -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let task = tokio::spawn(each_second(Arc::clone(run), Arc::clone(&watched), Arc::clone(&record)));
        Self { record, run: Arc::clone(run), watched, task }
    }

    /// Ends, with what there is since the last second; and what the processes used.
    pub(crate) async fn finish(mut self) -> (Record, Vec<ProcessUse>) {
        self.task.abort();
        // It may be writing down a second just now: what it collected would be gone.
        let _ = (&mut self.task).await;
        let mut record = std::mem::take(&mut *self.record.lock());
        // No second of its own: rates of a part of one would mislead.
        for (kind, part) in self.run.meter.collect() {
            let _ = record.totals.entry(kind).or_insert_with(crate::meter::histogram).add(&part);
        }
        let uses = self.watched.lock().processes.iter_mut().map(Process::used).collect();
        (record, uses)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn each_second(run: Arc<Run>, watched: Arc<Mutex<Watched>>, record: Arc<Mutex<Record>>) {
    let scrape = Metrics::new();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = [0; 6];
    let mut last = run.clock.seconds();
    loop {
        ticks.tick().await;
        let urls = watched.lock().metrics.clone();
        let metrics = scrape.all(&urls).await;
        let now = run.clock.seconds();
        let span = (now - last).max(0.001);
        // The first tick rings at once.
        if span < 0.5 {
            continue;
        }
        let [sent, acknowledged, delivered, faults] = run.ledger.so_far();
        let errors = run.meter.errors().values().sum::<u64>();
        let bytes = run.meter.received.load(Relaxed);
        let calls = run.meter.answers.load(Relaxed);
        let counts = [sent, acknowledged, delivered, errors, bytes, calls];
        let rate = |n: usize| (counts[n].saturating_sub(before[n])) as f64 / span;
        let parts = run.meter.collect();
        let (mut cpu, mut rss) = (Vec::new(), Vec::new());
        for process in &mut watched.lock().processes {
            let [used, resident] = process.sample(span);
            cpu.push(used);
            rss.push(resident);
        }
        let second = Second {
            at: now,
            open: run.meter.open.load(Relaxed).max(0) as u64,
            sent: rate(0),
            acknowledged: rate(1),
            delivered: rate(2),
            errors: rate(3),
            bytes: rate(4),
            calls: rate(5),
            faults,
            latency: parts.iter().map(|(kind, part)| (kind.name().to_owned(), Latency::of(part))).collect(),
            cpu,
            rss,
        };
        (before, last) = (counts, now);
        let mut record = record.lock();
        for (kind, part) in parts {
            // Same bounds: adding cannot fail.
            let _ = record.totals.entry(kind).or_insert_with(crate::meter::histogram).add(&part);
        }
        let place = record.seconds.len();
        for (name, value) in metrics {
            let series = record.metrics.entry(name).or_default();
            series.resize(place, None);
            series.push(Some(value));
        }
        record.seconds.push(second);
    }
}
