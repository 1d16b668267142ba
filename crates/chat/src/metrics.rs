//! The domain's metrics: how changes and markers are batched, committed and published. Labels come from fixed sets
//! only.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector};
use protocol::ErrorCode;

use crate::change::Kind;

/// Cheap to clone: the counters are shared.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Changes in one transaction.
    pub(crate) batch_size: Histogram,
    /// One transaction, failed ones included.
    pub(crate) commit_seconds: Histogram,
    /// From the queue to the beginning of the transaction.
    pub(crate) wait_seconds: Histogram,
    /// Changes that wait now, all lanes.
    pub(crate) queue: IntGauge,
    /// Lanes to which more comes than they can write.
    pub(crate) congested: IntGauge,
    /// Messages that people sent, committed.
    pub(crate) messages: IntCounter,
    /// Participants of the conversations that those were sent to.
    pub(crate) message_participants: Histogram,
    /// Committed changes by kind.
    pub(crate) changes: IntCounterVec,
    /// Events that were not published: refused by the bus, or dropped before it.
    pub(crate) publish_failures: IntCounter,
    /// Transactions that were tried again because the store was out of reach.
    pub(crate) commit_retries: IntCounter,
    /// Changes that were refused or failed, by error code.
    pub(crate) refused: IntCounterVec,
    /// Markers that somebody asked to move.
    pub(crate) receipts_asked: IntCounter,
    /// Calls of the store that moved markers.
    pub(crate) receipt_writes: IntCounter,
    /// Markers in those calls.
    pub(crate) receipt_rows: IntCounter,
    /// Requests to move markers that were refused or failed, by error code.
    pub(crate) receipts_refused: IntCounterVec,
    /// Reads for connections that begin, by what they read.
    pub(crate) arrival_reads: IntCounterVec,
    /// Questions that those answered.
    pub(crate) arrival_questions: IntCounterVec,
    /// Messages of deleted conversations that this node erased.
    pub(crate) erased_messages: IntCounter,
    /// Conversations that are to be erased now.
    pub(crate) erasures_waiting: IntGauge,
}

impl Metrics {
    /// Makes and registers them; fails when the registry has them already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, String> {
        let sizes = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];
        let seconds = vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let make = || -> prometheus::Result<Self> {
            Ok(Self {
                batch_size: add(
                    registry,
                    Histogram::with_opts(
                        HistogramOpts::new("starling_writer_batch_size", "Changes in one transaction").buckets(sizes),
                    )?,
                )?,
                commit_seconds: add(
                    registry,
                    Histogram::with_opts(
                        HistogramOpts::new("starling_writer_commit_seconds", "Time of one transaction")
                            .buckets(seconds.clone()),
                    )?,
                )?,
                wait_seconds: add(
                    registry,
                    Histogram::with_opts(
                        HistogramOpts::new("starling_writer_wait_seconds", "Time a change waits for its transaction")
                            .buckets(seconds),
                    )?,
                )?,
                queue: add(registry, IntGauge::new("starling_writer_queue", "Changes that wait for a transaction")?)?,
                congested: add(
                    registry,
                    IntGauge::new("starling_writer_congested", "Lanes to which more comes than they can write")?,
                )?,
                messages: add(registry, IntCounter::new("starling_messages_total", "Messages that people sent")?)?,
                message_participants: add(
                    registry,
                    Histogram::with_opts(
                        HistogramOpts::new(
                            "starling_message_participants",
                            "Participants of the conversation that a message was sent to, once for each message that \
                             people sent",
                        )
                        .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1e3, 1e4, 1e5]),
                    )?,
                )?,
                changes: add(
                    registry,
                    IntCounterVec::new(Opts::new("starling_changes_total", "Committed changes"), &["kind"])?,
                )?,
                publish_failures: add(
                    registry,
                    IntCounter::new("starling_publish_failures_total", "Events that were not published")?,
                )?,
                commit_retries: add(
                    registry,
                    IntCounter::new("starling_writer_retries_total", "Transactions that were tried again")?,
                )?,
                refused: add(
                    registry,
                    IntCounterVec::new(
                        Opts::new("starling_writer_refused_total", "Changes that were refused or failed"),
                        &["code"],
                    )?,
                )?,
                receipts_asked: add(
                    registry,
                    IntCounter::new("starling_receipts_asked_total", "Markers that somebody asked to move")?,
                )?,
                receipt_writes: add(
                    registry,
                    IntCounter::new("starling_receipt_writes_total", "Calls of the store that moved markers")?,
                )?,
                receipt_rows: add(
                    registry,
                    IntCounter::new("starling_receipt_rows_total", "Markers that were written")?,
                )?,
                receipts_refused: add(
                    registry,
                    IntCounterVec::new(
                        Opts::new("starling_receipts_refused_total", "Requests to move markers that were refused"),
                        &["code"],
                    )?,
                )?,
                arrival_reads: add(
                    registry,
                    IntCounterVec::new(
                        Opts::new("starling_arrival_reads_total", "Reads of the store for connections that begin"),
                        &["read"],
                    )?,
                )?,
                arrival_questions: add(
                    registry,
                    IntCounterVec::new(
                        Opts::new("starling_arrival_questions_total", "Questions that those reads answered"),
                        &["read"],
                    )?,
                )?,
                erased_messages: add(
                    registry,
                    IntCounter::new("starling_erased_messages_total", "Messages of deleted conversations, erased")?,
                )?,
                erasures_waiting: add(
                    registry,
                    IntGauge::new(
                        "starling_erasures_waiting",
                        "Deleted conversations that are to be erased now, of the whole cluster; at most 1,000 are counted",
                    )?,
                )?,
            })
        };
        let metrics = make().map_err(|error| format!("metrics of the domain: {error}"))?;
        metrics.begin();
        Ok(metrics)
    }

    /// Shows counters with labels as 0 before they count: a rate begins with the second value, and would not see the
    /// first of what is rare. Those of arrivals begin with what they count.
    fn begin(&self) {
        for kind in Kind::NAMES {
            drop(self.changes.with_label_values(&[kind]));
        }
        for code in ErrorCode::ALL {
            drop(self.refused.with_label_values(&[code.as_str()]));
            drop(self.receipts_refused.with_label_values(&[code.as_str()]));
        }
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
