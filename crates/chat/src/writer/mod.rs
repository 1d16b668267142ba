//! Commits changes: natural group commit in lanes.
//!
//! Changes of a conversation that are under way are in one lane, so that they keep their order of arrival; see
//! [`places`] for which. A lane commits whatever waits as one transaction, then takes what came meanwhile; nothing
//! waits for a timer. Callers are answered only after the commit. Queues are bounded, in number and in the time that
//! one waits in them (see [`congestion`]): beyond that a change is refused at once with a time to try again.

mod commit;
mod congestion;
mod journal;
mod lane;
mod places;
mod publisher;
mod traced;

use std::{ops::Range, sync::Arc, time::Duration};

use bus::Topic;
use bytes::Bytes;
use protocol::ErrorCode;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

pub(crate) use self::journal::Journal;
pub use self::journal::{CommitView, CommitsView, EventView};
#[cfg(feature = "micro")]
pub(crate) use self::publisher::encode_change;
use self::{
    lane::{Job, Lane},
    places::Places,
    publisher::{Outgoing, Publisher},
    traced::Traced,
};
use crate::{
    ChatConfig, ChatError, Env, Outage, Result,
    change::{Done, Request},
    metrics::Metrics,
};

/// A caller is answered within this, whatever happens below: shorter than a transport's own limit, so that the
/// answer says what is known.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);
/// With so much waiting in a lane the next one is used: what many changes share in a transaction (round trips, the
/// lock, the flush) is little for each by then, and several transactions get more done than one.
const FULL: usize = 64;
/// When to try again after a full queue: a few batches later.
const OVERLOADED_RETRY_MS: u64 = 500;
/// When to try again while more comes than can be written.
const CONGESTED_RETRY: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(3);
/// An outage is over when nothing has failed for so long.
const QUIET: Duration = Duration::from_secs(1);
/// When to try again while this node ends: another one takes over.
const CLOSING_RETRY_MS: u64 = 1_000;

/// The lanes of this node.
pub(crate) struct Writer {
    lanes: Vec<mpsc::Sender<Job>>,
    places: Arc<Places>,
    /// With so much waiting a lane is full.
    full: usize,
    /// For what is published outside of a change: feeds after a creation or a revoked session, receipts.
    aside: Publisher,
    closing: watch::Sender<bool>,
    tasks: TaskTracker,
    journal: Arc<Journal>,
    env: Env,
    metrics: Metrics,
}

impl Writer {
    /// Starts the tasks, inside a tokio runtime.
    pub(crate) fn start(
        store: &Arc<dyn store::Store>,
        bus: &Arc<dyn bus::Bus>,
        env: &Env,
        config: &ChatConfig,
        metrics: Metrics,
    ) -> Self {
        let (closing, closed) = watch::channel(false);
        let tasks = TaskTracker::new();
        let (outage, silence) = (Arc::new(Outage::new(QUIET)), Arc::new(Outage::new(QUIET)));
        let limits = Arc::new(config.limits.clone());
        let (count, max_batch) = (config.writer.lanes.max(1), config.writer.max_batch.max(1));
        let places = Places::new(count, max_batch);
        // One for all, so that what they commit at about the same time goes out together. It ends when the last lane
        // does, having published what they gave it.
        let journal = Arc::new(Journal::remembering(config.writer.remembered));
        let start =
            |closing| Publisher::start(Arc::clone(bus), &journal, metrics.clone(), env, &silence, &tasks, closing);
        let publisher = start(None);
        let lanes = (0..count).map(|number| {
            let (sender, receiver) = mpsc::channel(config.writer.queue.max(1));
            let lane = Lane {
                number,
                store: Arc::clone(store),
                env: env.clone(),
                limits: Arc::clone(&limits),
                places: Arc::clone(&places),
                publisher: publisher.clone(),
                max_batch,
                metrics: metrics.clone(),
                journal: Arc::clone(&journal),
                outage: Arc::clone(&outage),
            };
            env.spawn(tasks.track_future(lane.run(receiver, closed.clone())));
            sender
        });
        let lanes = lanes.collect();
        drop(publisher);
        let aside = start(Some(closed));
        // A queue may have less room than that.
        let full = FULL.min(max_batch).min(config.writer.queue.max(1));
        Self { lanes, places, full, aside, closing, tasks, journal, env: env.clone(), metrics }
    }

    /// Commits one change with whatever else is waiting. An error with code `timeout` or `unavailable` does not say
    /// whether it was done; trying again with the same `client_id` finds out.
    pub(crate) async fn submit(&self, request: Request) -> Result<Done> {
        let (reply, answer) = oneshot::channel();
        let waiting =
            |lane: usize| self.lanes.get(lane).map_or(usize::MAX, |lane| lane.max_capacity() - lane.capacity());
        let Some(place) = self.places.take(request.conversation, self.full, waiting) else {
            // Not all at the same time: they come on top of what is too much already.
            let after = self.env.spread(CONGESTED_RETRY).as_millis() as u64;
            let error = ChatError::new(ErrorCode::Overloaded, "more comes than can be written; try again");
            return Err(self.refuse(error.retry_after(after)));
        };
        let lane = &self.lanes[place.lane];
        self.metrics.queue.inc();
        let trace = Traced::begin(&request);
        let job = Job { request, reply, queued_at: Instant::now(), trace, _place: Some(place) };
        if let Err(refused) = lane.try_send(job) {
            self.metrics.queue.dec();
            let error = match refused {
                mpsc::error::TrySendError::Full(_) => {
                    ChatError::new(ErrorCode::Overloaded, "too much is waiting to be written; try again")
                        .retry_after(OVERLOADED_RETRY_MS)
                }
                mpsc::error::TrySendError::Closed(_) => {
                    ChatError::new(ErrorCode::Unavailable, "this node is shutting down; try again")
                        .retry_after(CLOSING_RETRY_MS)
                }
            };
            return Err(self.refuse(error));
        }
        match timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(answer)) => answer.map_err(|error| self.refuse(error)),
            // The task that committed it is gone: it panicked, which the lane has logged.
            Ok(Err(_)) => Err(self.refuse(ChatError::new(ErrorCode::Internal, "something failed here"))),
            Err(_) => Err(self.refuse(
                ChatError::new(ErrorCode::Timeout, "it took too long, and may still be done; try again")
                    .retry_after(CLOSING_RETRY_MS),
            )),
        }
    }

    /// What is known of who committed a change.
    pub(crate) fn commits(&self, conversation: protocol::ConversationId, seq: protocol::Seq) -> CommitsView {
        self.journal.of(conversation, seq, &self.env)
    }

    /// Messages that were committed here.
    pub(crate) fn messages_committed(&self) -> u64 {
        self.metrics.messages.get()
    }

    /// Changes that wait, by lane.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        self.lanes.iter().map(|lane| lane.max_capacity() - lane.capacity()).collect()
    }

    /// Publishes soon, outside of any change's order. A hint: dropped when the bus is down or behind.
    pub(crate) fn publish(&self, topic: Topic, payload: Bytes) {
        self.aside.hand(Outgoing::Ready(topic, payload));
    }

    /// The same for a marker, which nobody would miss: it is kept while the bus is down, and said when it is back.
    pub(crate) fn publish_marker(&self, topic: Topic, payload: Bytes) {
        self.aside.hand(Outgoing::Marker(topic, payload));
    }

    /// Refuses new changes, commits and publishes what was taken, then returns. Bounded by its caller.
    pub(crate) async fn shutdown(&self) {
        self.closing.send_replace(true);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn refuse(&self, error: ChatError) -> ChatError {
        self.metrics.refused.with_label_values(&[error.code.as_str()]).inc();
        error
    }
}

#[cfg(test)]
mod tests;
