//! The report as data: what `--json` writes, and what all other forms are made of.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ledger::Verdict;

/// Version of the JSON: grows when a field changes its meaning or goes.
pub(crate) const VERSION: u32 = 1;
/// Quantiles of the curve: as many nines as the counts can tell.
const CURVE: [f64; 16] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.999_5, 0.999_9, 0.999_99, 0.999_999];

/// All about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Of this format.
    pub version: u32,
    /// The run's name.
    pub run: String,
    /// Word of the scenario.
    pub scenario: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took, setting up and settling included.
    pub seconds: f64,
    /// When messages (or calls) were sent, seconds from its beginning.
    pub loaded: [f64; 2],
    /// Somebody stopped it before its time.
    pub stopped_early: bool,
    /// Cores and version of where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub plan: serde_json::Value,
    /// The proof.
    pub verdict: Verdict,
    /// Sockets or streams that were open at once, at most.
    pub most_open: u64,
    /// Answers of REST, messages included, where the scenario calls it.
    pub calls: u64,
    /// What came of the load until it ended.
    #[serde(default)]
    pub during_load: Loaded,
    /// What is derived from all this: the same in each form of the report.
    #[serde(default)]
    pub figures: Figures,
    /// What went wrong with the run itself, so that the rest of the report is about a part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// Latencies of the whole run by what was timed.
    pub latency: BTreeMap<String, Latency>,
    /// What did not go well, by code.
    pub errors: BTreeMap<String, u64>,
    /// Ends of connections by code.
    pub closes: BTreeMap<u16, u64>,
    /// What was done, and when.
    pub marks: Vec<Mark>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// Names of the processes in [`Second::cpu`] and [`Second::rss`], and what they used.
    pub processes: Vec<ProcessUse>,
    /// `starling_*` metrics by name, one value per second of the timeline, all labels and nodes together.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
}

/// What came of the load until it ended: what came later is delivered, and no rate.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Answers of REST.
    pub calls: u64,
}

/// Figures that are derived from the rest; those that nothing can be said of are absent.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Messages acknowledged per second of the load.
    pub messages_per_second: Option<f64>,
    /// Deliveries per second of the load.
    pub deliveries_per_second: Option<f64>,
    /// Answers of REST per second of the load.
    pub calls_per_second: Option<f64>,
    /// CPU microseconds of all server processes per delivery.
    pub cpu_micros_per_delivery: Option<f64>,
    /// CPU microseconds of all server processes per open socket and second, where sockets did nothing.
    pub cpu_micros_per_socket_second: Option<f64>,
    /// Bytes (PSS) of all server processes per socket, as they connected.
    pub bytes_per_socket: Option<f64>,
}

/// Where it ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that the load tester may use.
    pub cores: usize,
    /// Version of the load tester.
    pub load_version: String,
}

/// Something that was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    /// Seconds from the beginning.
    pub at: f64,
    /// What.
    pub what: String,
}

/// A distribution of latencies, milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Shortest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Half were shorter.
    pub p50: f64,
    /// 90 % were shorter.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// Longest.
    pub max: f64,
    /// Quantile and latency, for the whole run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<(f64, f64)>,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            count: histogram.len(),
            min: histogram.min() as f64 / 1_000.0,
            mean: histogram.mean() / 1_000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1_000.0,
            curve: Vec::new(),
        }
    }

    /// With the curve, up to the quantile that one sample stands for.
    pub(crate) fn with_curve(histogram: &Histogram<u64>) -> Self {
        let last = 1.0 - 1.0 / histogram.len().max(2) as f64;
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        let curve = CURVE.into_iter().filter(|quantile| *quantile <= last).map(|quantile| (quantile, at(quantile)));
        Self { curve: curve.collect(), ..Self::of(histogram) }
    }
}

/// One second; rates are per second.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Second {
    /// Seconds from the beginning.
    pub at: f64,
    /// Open and live sockets.
    pub open: u64,
    /// Messages sent.
    pub sent: f64,
    /// Messages acknowledged.
    pub acknowledged: f64,
    /// Messages delivered.
    pub delivered: f64,
    /// What did not go well.
    pub errors: f64,
    /// Bytes of frames received.
    pub bytes: f64,
    /// Answers of REST.
    pub calls: f64,
    /// Faults so far (without lost ones, which only the end can tell).
    pub faults: u64,
    /// By what was timed.
    pub latency: BTreeMap<String, Latency>,
    /// Of each process, percent of one core.
    pub cpu: Vec<f64>,
    /// Of each process, bytes.
    pub rss: Vec<f64>,
}

/// What a server process used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessUse {
    /// What it is.
    pub name: String,
    /// Its last id.
    pub pid: u32,
    /// CPU seconds, user and system, while it was watched.
    pub cpu_seconds: f64,
    /// Of them, those from when the load began to the end.
    pub load_cpu_seconds: f64,
    /// Most resident bytes.
    pub most_rss_bytes: u64,
    /// Memory of its own (PSS) at moments of the run.
    pub pss_bytes: BTreeMap<String, u64>,
}

impl Report {
    /// Seconds in which was sent.
    pub fn load_seconds(&self) -> f64 {
        (self.loaded[1] - self.loaded[0]).max(0.001)
    }

    /// CPU seconds of all server processes from when the load began to the end.
    pub fn cpu_seconds(&self) -> f64 {
        self.processes.iter().map(|process| process.load_cpu_seconds).sum()
    }

    /// With the figures that follow from the rest.
    pub(crate) fn with_figures(mut self) -> Self {
        let seconds = self.load_seconds();
        let rate = |count: u64| (count > 0).then(|| count as f64 / seconds);
        self.figures = Figures {
            messages_per_second: rate(self.during_load.acknowledged),
            deliveries_per_second: rate(self.during_load.delivered),
            calls_per_second: rate(self.during_load.calls),
            cpu_micros_per_delivery: self.micros_per_delivery(),
            cpu_micros_per_socket_second: self.micros_per_socket(),
            bytes_per_socket: self.bytes_per_socket(),
        };
        self
    }

    fn micros_per_delivery(&self) -> Option<f64> {
        let deliveries = self.latency.get("delivery").map(|latency| latency.count).filter(|count| *count > 0)?;
        (!self.processes.is_empty()).then(|| self.cpu_seconds() * 1e6 / deliveries as f64)
    }

    /// Where nothing was sent: else it is the messages that cost.
    fn micros_per_socket(&self) -> Option<f64> {
        let idle = self.verdict.sent == 0 && self.calls == 0 && self.most_open > 0 && !self.processes.is_empty();
        idle.then(|| self.cpu_seconds() * 1e6 / self.most_open as f64 / self.load_seconds())
    }

    /// Where there were many sockets, and all processes were weighed before and after connecting.
    fn bytes_per_socket(&self) -> Option<f64> {
        let sum = |when: &str| {
            self.processes.iter().map(|process| Some(*process.pss_bytes.get(when)? as f64)).sum::<Option<f64>>()
        };
        let grown = sum(CONNECTED)? - sum(BEFORE)?;
        (self.most_open >= ENOUGH && !self.processes.is_empty()).then(|| grown.max(0.0) / self.most_open as f64)
    }
}

/// With fewer sockets, what a process allocates once weighs more than they do.
const ENOUGH: u64 = 500;
/// Name of a weighing: before the first socket.
pub(crate) const BEFORE: &str = "before_connecting";
/// Name of a weighing: when all sockets are live.
pub(crate) const CONNECTED: &str = "connected";
/// Name of a weighing: at the end.
pub(crate) const END: &str = "end";
