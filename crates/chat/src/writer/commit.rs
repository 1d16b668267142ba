//! One batch: decided under the lock, committed, published, answered. What the database refuses is split until
//! what cannot be stored stands alone; what may or may not have been committed is tried again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::{ConversationId, ErrorCode, Limits, MessageId};
use store::{Committed, Decide, IdMap, Scope, Store, StoreError};
use tokio::time::{Instant, sleep, timeout};

use super::{
    journal::{Batch, Journal},
    lane::Job,
    publisher::{Outgoing, Publisher},
};
use crate::{
    ChatError, Env, Map, Outage, Result, Told,
    change::{Done, Kind, Outcome, scope},
    decide::decide,
    metrics::Metrics,
};

/// A transaction that takes longer counts as one whose end is not known.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);
/// Tries after the first one, while the store is out of reach, and the longest pause before each, milliseconds.
const PAUSES_MS: [u64; 2] = [100, 400];
/// No further try when this long has passed since the first began: callers wait.
const TRY_FOR: Duration = Duration::from_secs(2);

/// The one thing of the store that a lane uses, so that tests can lose its answers.
#[async_trait]
pub(super) trait Commit: Send + Sync {
    /// See [`Store::change`].
    async fn commit(&self, scope: &Scope, decide: Decide<'_>) -> store::Result<Committed>;
}

#[async_trait]
impl Commit for dyn Store {
    async fn commit(&self, scope: &Scope, decide: Decide<'_>) -> store::Result<Committed> {
        self.change(scope, decide).await
    }
}

/// What a batch needs.
pub(super) struct Committer<S: ?Sized = dyn Store> {
    pub(super) store: Arc<S>,
    pub(super) env: Env,
    pub(super) limits: Arc<Limits>,
    pub(super) publisher: Publisher,
    pub(super) metrics: Metrics,
    /// Its number.
    pub(super) lane: usize,
    pub(super) journal: Arc<Journal>,
    /// Of all lanes of the node together: one line when the store goes, one when it is back.
    pub(super) outage: Arc<Outage>,
}

/// What was decided of a batch.
#[derive(Default)]
struct Decided {
    outcomes: Vec<Outcome>,
    /// Of the database that it was decided in.
    epoch: Arc<str>,
    /// Of the conversations, when the batch began: how many take part. For metrics.
    participants: IdMap<ConversationId, u64>,
}

impl<S: Commit + ?Sized> Committer<S> {
    /// Commits the batch, in as many transactions as it takes, and answers everybody.
    pub(super) async fn commit(&self, batch: Vec<Job>) {
        let mut rest = vec![batch];
        while let Some(mut jobs) = rest.pop() {
            match self.attempt(&mut jobs).await {
                Ok((committed, decided)) => self.conclude(jobs, committed, decided),
                Err(error) if jobs.len() > 1 && is_about_the_data(&error) => {
                    // The first half is done first: arrival order is kept.
                    let second = jobs.split_off(jobs.len() / 2);
                    rest.push(second);
                    rest.push(jobs);
                }
                Err(error) => fail(jobs, error),
            }
        }
    }

    /// One transaction, tried again while the store is out of reach.
    async fn attempt(&self, jobs: &mut [Job]) -> std::result::Result<(Committed, Decided), StoreError> {
        let began = Instant::now();
        let mut pauses = PAUSES_MS.iter();
        loop {
            let error = match self.transaction(jobs).await {
                Err(error @ StoreError::Unavailable(_)) => error,
                decided => {
                    if let Some(failures) = self.outage.worked() {
                        tracing::info!(failures, "changes are committed again");
                    }
                    return decided;
                }
            };
            if self.outage.failed() {
                tracing::warn!(error = %Chain(&error), "changes are not committed; clients are told to try again");
            }
            let Some(pause) = pauses.next().filter(|_| began.elapsed() < TRY_FOR) else { return Err(error) };
            tracing::debug!(changes = jobs.len(), error = %Chain(&error), "a batch may not be committed: trying again");
            self.metrics.commit_retries.inc();
            for job in jobs.iter_mut() {
                job.request.again = true;
            }
            let most = Duration::from_millis(*pause);
            sleep(self.env.spread(most / 2..most)).await;
        }
    }

    async fn transaction(&self, jobs: &[Job]) -> std::result::Result<(Committed, Decided), StoreError> {
        let now = self.env.now();
        let last = Mutex::new(Decided::default());
        // The store may call this more than once; what counts is what the last call said.
        let deciding = |locked: &store::Locked| {
            let (writes, outcomes) = decide(jobs.iter().map(|job| &job.request), &self.limits, now, locked);
            let participants = locked.conversations.iter().map(|(id, row)| (*id, row.participant_count)).collect();
            *last.lock() = Decided { outcomes, epoch: locked.epoch.as_str().into(), participants };
            writes
        };
        let wanted = scope(jobs.iter().map(|job| &job.request));
        let timer = self.metrics.commit_seconds.start_timer();
        let committed = timeout(COMMIT_WITHIN, self.store.commit(&wanted, &deciding)).await;
        timer.observe_duration();
        let committed = committed.map_err(|late| StoreError::Unavailable(late.into()))??;
        Ok((committed, last.into_inner()))
    }

    /// Hands the events on and answers, after the commit.
    fn conclude(&self, jobs: Vec<Job>, committed: Committed, decided: Decided) {
        let messages = committed.messages.into_iter().map(|(id, message)| (id, Arc::new(message.into()))).collect();
        let batch = self.journal.batch(self.lane, jobs.len());
        for (job, outcome) in jobs.into_iter().zip(decided.outcomes) {
            let sent = matches!((&outcome, &job.request.kind), (Outcome::Inserted(_), Kind::Send(_)));
            if let Some(participants) = decided.participants.get(&job.request.conversation).filter(|_| sent) {
                self.metrics.message_participants.observe(*participants as f64);
            }
            let answer = self.answer(&job, &messages, outcome, &decided.epoch, &batch);
            if answer.is_ok() {
                self.metrics.changes.with_label_values(&[job.request.kind.name()]).inc();
            }
            // Who no longer waits finds the message when they try again, or hears of it as an event.
            let _ = job.reply.send(answer);
        }
        for (_, user, user_seq) in committed.feeds {
            self.publisher.hand(Outgoing::Feed(user, user_seq));
        }
    }

    fn answer(
        &self,
        job: &Job,
        committed: &Map<MessageId, Arc<Told>>,
        outcome: Outcome,
        epoch: &Arc<str>,
        batch: &Batch<'_>,
    ) -> Result<Done> {
        let read_back = |id: &MessageId| {
            committed.get(id).cloned().ok_or_else(|| {
                ChatError::new(ErrorCode::Internal, "something failed here")
                    .because(format!("message {id} was committed and not read back"))
            })
        };
        let mut reaction = None;
        let (message, event) = match outcome {
            Outcome::Quiet => return Ok(Done { message: None, new: false }),
            Outcome::Refused(error) => return Err(*error),
            Outcome::Inserted(id) => {
                if matches!(job.request.kind, Kind::Send(_)) {
                    self.metrics.messages.inc();
                }
                (read_back(&id)?, true)
            }
            Outcome::Updated(updated) => {
                reaction = updated.reaction;
                // The store gives the state after the whole batch: of an earlier change, what was decided counts.
                let latest = read_back(&updated.message.id)?;
                let last = latest.changed_seq == updated.message.changed_seq;
                (if last { latest } else { Arc::new(updated.message.into()) }, true)
            }
            Outcome::InBatch(id) => (read_back(&id)?, false),
            // Published again: whoever committed it may have died before the event was out.
            Outcome::Found(message) => (Arc::new((*message).into()), true),
        };
        if event {
            let number = batch.note(message.conversation_id, message.changed_seq, job.queued_at);
            let trace = job.trace.as_deref().map(|trace| Box::new(trace.context));
            self.publisher.hand(Outgoing::Change(Arc::clone(&message), reaction, Arc::clone(epoch), trace, number));
        }
        let new = message.id == job.request.message_id;
        Ok(Done { message: Some(message), new })
    }
}

/// Whether a part of the batch may pass alone. A defect counts too: one row that does not decode must not fail its
/// neighbours.
fn is_about_the_data(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(_) | StoreError::Conflict(_) | StoreError::Internal(_))
}

/// Answers everybody with what went wrong.
fn fail(mut jobs: Vec<Job>, error: StoreError) {
    if jobs.len() == 1
        && let Some(job) = jobs.pop()
    {
        // The caller's transport logs the cause.
        let _ = job.reply.send(Err(error.into()));
        return;
    }
    if !matches!(error, StoreError::Unavailable(_)) {
        tracing::error!(changes = jobs.len(), error = %Chain(&error), "a batch of changes was not committed");
    }
    let error = Arc::new(error);
    for job in jobs {
        let _ = job.reply.send(Err(ChatError::unavailable(Arc::clone(&error))));
    }
}

/// An error with its causes, for the log.
pub(super) struct Chain<'a>(pub(super) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
