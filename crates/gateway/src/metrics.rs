//! The gateway's metrics. Base units, bounded label sets, no ids.

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector, exponential_buckets,
};
use protocol::{CloseCode, Command};

/// What one gateway node counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) connections: IntGauge,
    pub(crate) connection_seconds: Histogram,
    pub(crate) opened: IntCounter,
    pub(crate) closed: IntCounterVec,
    pub(crate) refused_upgrades: IntCounterVec,
    pub(crate) commands: IntCounterVec,
    pub(crate) command_seconds: HistogramVec,
    pub(crate) frames_sent: IntCounter,
    pub(crate) bytes_sent: IntCounter,
    pub(crate) ephemeral_dropped: IntCounter,
    pub(crate) bus_events: IntCounterVec,
    pub(crate) gap_fills: IntCounter,
    pub(crate) sweep_finds: IntCounter,
    pub(crate) resumes: IntCounterVec,
    pub(crate) resume_distance: Histogram,
    pub(crate) bus_lag: Histogram,
    pub(crate) received: IntCounter,
    pub(crate) bytes_received: IntCounter,
    pub(crate) outbox_bytes: IntGauge,
    pub(crate) outbox_fullest: Gauge,
    pub(crate) connections_behind: IntGauge,
    pub(crate) following: IntGauge,
    pub(crate) active_conversations: IntGauge,
    pub(crate) degraded: IntGauge,
    pub(crate) nodes: IntGauge,
    pub(crate) presence_watched: IntGauge,
    pub(crate) presence_said: IntCounterVec,
    pub(crate) presence_events: IntCounter,
}

impl Metrics {
    /// Events that came over the bus.
    pub(crate) fn events_heard(&self) -> u64 {
        ["conversation", "user", "org", "presence"]
            .map(|kind| self.bus_events.with_label_values(&[kind]).get())
            .iter()
            .sum()
    }

    pub(crate) fn register(registry: &Registry) -> Result<Self, String> {
        let metrics = Adder(registry).all().map_err(|error| error.to_string())?;
        metrics.begin();
        Ok(metrics)
    }

    /// Shows counters with labels as 0 before they count: a rate begins with the second value, and would not see the
    /// first of what is rare.
    fn begin(&self) {
        let begin = |counters: &IntCounterVec, value: &str| drop(counters.with_label_values(&[value]));
        for code in CloseCode::ALL {
            begin(&self.closed, &code.code().to_string());
        }
        begin(&self.closed, GONE);
        for reason in REFUSALS {
            begin(&self.refused_upgrades, reason);
        }
        for code in CloseCode::ALL.iter().filter(|code| refuses(**code)) {
            begin(&self.refused_upgrades, &code.code().to_string());
        }
        for command in Command::TYPES.iter().filter(|command| !OF_THE_CONNECTION.contains(command)) {
            for outcome in OUTCOMES {
                drop(self.commands.with_label_values(&[command, outcome]));
            }
        }
        for kind in BUS_EVENTS {
            begin(&self.bus_events, kind);
        }
        for outcome in ["replayed", "resync"] {
            begin(&self.resumes, outcome);
        }
        for outcome in ["ok", "failed"] {
            begin(&self.presence_said, outcome);
        }
    }
}

/// The label of a connection that its client ended.
pub(crate) const GONE: &str = "client";

/// Why sockets never become connections, besides the codes that they are closed with.
const REFUSALS: [&str; 4] = ["draining", "unavailable", "hello", "user_connections"];

/// What becomes of a command and is not its client's doing: alerts look for these. Others show when they come.
const OUTCOMES: [&str; 6] = ["ok", "internal", "unavailable", "timeout", "overloaded", "rate_limited"];

/// They are not counted as commands.
const OF_THE_CONNECTION: [&str; 2] = ["hello", "auth.renew"];

const BUS_EVENTS: [&str; 8] = ["conversation", "user", "org", "presence", "probe", "bad", "unknown", "other_epoch"];

/// Whether who knocks may be refused with this code.
fn refuses(code: CloseCode) -> bool {
    use CloseCode as C;
    let refusals =
        [C::NotAuthenticated, C::TokenExpired, C::SessionRevoked, C::UserDisabled, C::OriginRefused, C::Internal];
    refusals.contains(&code)
}

struct Adder<'a>(&'a Registry);

impl Adder<'_> {
    fn all(&self) -> prometheus::Result<Metrics> {
        // 1 s to about 18 h.
        let life = exponential_buckets(1.0, 4.0, 9)?;
        Ok(Metrics {
            connections: self.add(IntGauge::new("starling_connections", "Open, authenticated connections.")?)?,
            connection_seconds: self.add(Histogram::with_opts(
                HistogramOpts::new("starling_connection_seconds", "How long connections lived.").buckets(life),
            )?)?,
            opened: self.counter("starling_connections_opened_total", "Connections that were opened.")?,
            closed: self.counters(
                "starling_connections_closed_total",
                "Connections that ended, by close code.",
                "code",
            )?,
            refused_upgrades: self.counters(
                "starling_upgrades_refused_total",
                "Sockets that never became a connection, by reason.",
                "reason",
            )?,
            commands: self.add(IntCounterVec::new(
                Opts::new("starling_commands_total", "Commands, by type and outcome (ok or error code)."),
                &["command", "outcome"],
            )?)?,
            command_seconds: self.add(HistogramVec::new(
                HistogramOpts::new(
                    "starling_command_seconds",
                    "From a command's turn to its reply, which then waits in the outbox; whatever the outcome. Not of hello \
                     and auth.renew.",
                )
                .buckets(vec![0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0]),
                &["command"],
            )?)?,
            frames_sent: self.counter("starling_frames_sent_total", "Text frames written to sockets.")?,
            bytes_sent: self.counter("starling_frames_sent_bytes_total", "Bytes of text frames written to sockets.")?,
            ephemeral_dropped: self.counter(
                "starling_outbox_ephemeral_dropped_total",
                "Ephemeral events that a slow connection did not get.",
            )?,
            bus_events: self.counters(
                "starling_bus_events_total",
                "Payloads from the bus: conversation, user, org, presence, probe, bad (not of this protocol), unknown (the \
                 store has no such change) or other_epoch (committed to another history of the database).",
                "kind",
            )?,
            gap_fills: self.counter("starling_gap_fills_total", "Pages read from the store to fill holes.")?,
            sweep_finds: self.counter(
                "starling_sweep_finds_total",
                "Conversations and feeds that the head sweep found behind the store.",
            )?,
            resumes: self.counters("starling_resumes_total", "Resumes: replayed or resync.", "outcome")?,
            resume_distance: self.add(Histogram::with_opts(
                HistogramOpts::new(
                    "starling_resume_distance",
                    "Changes that a client which resumes had missed, in the conversations in which it got them.",
                )
                .buckets(exponential_buckets(1.0, 4.0, 9)?),
            )?)?,
            bus_lag: self.add(Histogram::with_opts(
                HistogramOpts::new(
                    "starling_bus_lag_seconds",
                    "From publishing to this node's own topic to hearing it, asked every three seconds.",
                )
                .buckets(exponential_buckets(0.000_25, 2.0, 14)?),
            )?)?,
            received: self.counter("starling_frames_received_total", "Text frames read from sockets.")?,
            bytes_received: self
                .counter("starling_frames_received_bytes_total", "Bytes of text frames read from sockets.")?,
            outbox_bytes: self.add(IntGauge::new(
                "starling_outbox_bytes",
                "Bytes that wait to be written, in the outboxes of all connections.",
            )?)?,
            outbox_fullest: self.add(Gauge::new(
                "starling_outbox_fullest_ratio",
                "How full the fullest outbox is, by bytes or by events; one that would pass 1 is closed (4001).",
            )?)?,
            connections_behind: self.add(IntGauge::new(
                "starling_connections_behind",
                "Connections whose outbox is more than half full, by bytes or by events.",
            )?)?,
            following: self.add(IntGauge::new(
                "starling_connection_conversations",
                "Conversations that connections follow, each counted once for each connection.",
            )?)?,
            active_conversations: self.add(IntGauge::new(
                "starling_active_conversations",
                "Conversations that some connection of this node follows.",
            )?)?,
            degraded: self.add(IntGauge::new("starling_degraded", "1 while live events may be late.")?)?,
            nodes: self.add(IntGauge::new("starling_nodes", "Nodes that hold a lease, this one included.")?)?,
            presence_watched: self.add(IntGauge::new(
                "starling_presence_watched",
                "Users whose presence connections of this node watch.",
            )?)?,
            presence_said: self.counters(
                "starling_presence_changes_total",
                "Changes of this node's users that the bus was told, by outcome: ok or failed (and tried again).",
                "outcome",
            )?,
            presence_events: self
                .counter("starling_presence_events_total", "Presence events put into outboxes of connections.")?,
        })
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a series, none when it does not show.
    fn value(registry: &Registry, metric: &str, labels: &[&str]) -> Option<f64> {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == metric)?;
        let series = family.get_metric().iter().find(|series| {
            let found: Vec<_> = series.get_label().iter().map(prometheus::proto::LabelPair::value).collect();
            found == labels
        });
        series.map(|series| series.get_counter().get_value())
    }

    #[test]
    fn what_is_rare_shows_before_it_counts() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        for (metric, labels) in [
            ("starling_connections_closed_total", &["4001"][..]),
            ("starling_connections_closed_total", &["client"]),
            ("starling_upgrades_refused_total", &["4503"]),
            ("starling_upgrades_refused_total", &["user_connections"]),
            ("starling_commands_total", &["message.send", "internal"]),
            ("starling_bus_events_total", &["other_epoch"]),
            ("starling_resumes_total", &["resync"]),
            ("starling_presence_changes_total", &["failed"]),
        ] {
            assert_eq!(value(&registry, metric, labels), Some(0.0), "{metric} {labels:?}");
        }
        metrics.closed.with_label_values(&["4001"]).inc();
        assert_eq!(value(&registry, "starling_connections_closed_total", &["4001"]), Some(1.0));
        // No code that nobody is refused with, and nothing that is no command.
        assert_eq!(value(&registry, "starling_upgrades_refused_total", &["4001"]), None);
        assert_eq!(value(&registry, "starling_commands_total", &["hello", "ok"]), None);
    }
}
