//! One lane: takes what waits and has it committed, one transaction at a time. It outlives whatever goes wrong in
//! a transaction.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use protocol::{ErrorCode, Limits};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tracing::Instrument;

use super::{
    commit::{Commit, Committer},
    congestion::{INTERVAL, Turn},
    journal::Journal,
    places::{Place, Places},
    publisher::Publisher,
    traced::{self, Traced},
};
use crate::{
    ChatError, Env, Outage, Result,
    change::{Done, Request},
    metrics::Metrics,
};

/// A change that waited longer than this is given back untried: its caller is about to give up.
const WAIT_AT_MOST: Duration = Duration::from_secs(5);
const OVERLOADED_RETRY_MS: u64 = 1_000;

/// A change that waits, and who waits for it.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Result<Done>>,
    pub(super) queued_at: Instant,
    /// Where its trace is recorded.
    pub(super) trace: Option<Box<Traced>>,
    /// In its lane; of a change that is in one.
    pub(super) _place: Option<Place>,
}

/// See the module.
pub(super) struct Lane<S: ?Sized = dyn store::Store> {
    pub(super) number: usize,
    pub(super) store: Arc<S>,
    pub(super) env: Env,
    pub(super) limits: Arc<Limits>,
    pub(super) places: Arc<Places>,
    pub(super) publisher: Publisher,
    pub(super) max_batch: usize,
    pub(super) metrics: Metrics,
    pub(super) journal: Arc<Journal>,
    pub(super) outage: Arc<Outage>,
}

impl<S: Commit + ?Sized> Lane<S> {
    /// Until the queue is closed and empty. When `closing` says so (or is gone), the queue is closed.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>, mut closing: watch::Receiver<bool>) {
        let committer = Committer {
            store: self.store,
            env: self.env,
            limits: self.limits,
            publisher: self.publisher,
            metrics: self.metrics.clone(),
            lane: self.number,
            journal: self.journal,
            outage: Arc::clone(&self.outage),
        };
        let mut is_congested = false;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                // First, so that the end is noticed however much is coming in.
                biased;
                () = closed(&mut closing), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
                count = queue.recv_many(&mut batch, self.max_batch) => if count == 0 { break },
                () = sleep(INTERVAL), if is_congested => {
                    is_congested = tell(self.number, self.places.rests(self.number), &self.metrics).unwrap_or(is_congested);
                    continue;
                }
            }
            // An outage makes everything wait, and is told as what it is.
            let leaves = queue.len() >= self.max_batch && !self.outage.is_under_way();
            let waited = batch.first().map(|job| job.queued_at.elapsed()).unwrap_or_default();
            self.metrics.queue.sub(batch.len() as i64);
            let batch = in_time(batch, &self.metrics);
            if batch.is_empty() {
                continue;
            }
            self.metrics.batch_size.observe(batch.len() as f64);
            let turn = self.places.begins(self.number, waited, leaves);
            is_congested = tell(self.number, turn, &self.metrics).unwrap_or(is_congested);
            let span = traced::commit(self.number, &batch);
            // Should it panic, its callers are told (their answers are dropped) and the lane goes on.
            if AssertUnwindSafe(committer.commit(batch).instrument(span)).catch_unwind().await.is_err() {
                tracing::error!(lane = self.number, "a batch of changes ended in a panic");
            }
            self.places.ends(self.number);
        }
    }
}

/// Tells the operator; whether the lane is congested now, when that has changed.
fn tell(lane: usize, turn: Option<Turn>, metrics: &Metrics) -> Option<bool> {
    match turn? {
        Turn::Begins => {
            metrics.congested.inc();
            tracing::warn!(lane, "more comes than can be written: changes are refused");
            Some(true)
        }
        Turn::Ends => {
            metrics.congested.dec();
            tracing::info!(lane, "what comes can be written again");
            Some(false)
        }
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the writer was dropped: nobody can send any more.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Those that did not wait too long; the others are answered.
fn in_time(batch: Vec<Job>, metrics: &Metrics) -> Vec<Job> {
    let now = Instant::now();
    let (late, fresh): (Vec<_>, Vec<_>) =
        batch.into_iter().partition(|job| now.duration_since(job.queued_at) > WAIT_AT_MOST);
    for job in late {
        let error = ChatError::new(ErrorCode::Overloaded, "it waited too long to be written; try again");
        // Who no longer waits needs no answer.
        let _ = job.reply.send(Err(error.retry_after(OVERLOADED_RETRY_MS)));
    }
    for job in &fresh {
        metrics.wait_seconds.observe(now.duration_since(job.queued_at).as_secs_f64());
    }
    fresh
}
