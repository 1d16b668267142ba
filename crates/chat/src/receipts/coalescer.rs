//! The callers' end of merging markers: takes a request in, waits for its write, and bounds how many may wait.
//!
//! Promises an answer within a time, and that what was taken in is written before [`Coalescer::shutdown`] returns.
//! What is written when is [`super::merge`]'s.

use std::{sync::Arc, time::Duration};

use protocol::ErrorCode;
use store::{MarkRow, Marked};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::merge::{Answer, Job, Merger, Pace, Tell, Waiter, WriteMarks};
use crate::{ChatError, Env, Result, metrics::Metrics};

/// Most markers that wait for their write; beyond it a caller gets `overloaded`.
pub(super) const WAITING_MAX: usize = 20_000;
/// A caller is answered within this: shorter than a transport's own limit.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);
const OVERLOADED_RETRY_MS: u64 = 1_000;
const CLOSING_RETRY_MS: u64 = 1_000;

/// The callers' end.
pub(crate) struct Coalescer {
    /// Not bounded itself: `room` is, in markers rather than requests.
    queue: mpsc::UnboundedSender<Vec<Job>>,
    room: Arc<Semaphore>,
    closing: CancellationToken,
    tasks: TaskTracker,
    metrics: Metrics,
}

impl Coalescer {
    /// Starts the task, inside a tokio runtime. It ends at [`Self::shutdown`], or after this was dropped; either way
    /// it writes first what waits.
    pub(crate) fn start(store: impl WriteMarks + 'static, tell: Tell, pace: Pace, env: &Env, metrics: Metrics) -> Self {
        let (queue, marks) = mpsc::unbounded_channel();
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let merger = Merger::new(store, tell, pace, metrics.clone());
        env.spawn(tasks.track_future(merger.run(marks, closing.clone())));
        Self { queue, room: Arc::new(Semaphore::new(WAITING_MAX)), closing, tasks, metrics }
    }

    /// Moves markers; each (user, conversation) at most once. An answer per row, in order; none: not a participant.
    /// Rows of one call that may be written now are written together.
    pub(crate) async fn mark(&self, rows: Vec<MarkRow>) -> Result<Vec<Option<Marked>>> {
        self.metrics.receipts_asked.inc_by(rows.len() as u64);
        let answers = self.submit(rows).map_err(|error| self.refuse(error))?;
        let all = async {
            let mut marked = Vec::with_capacity(answers.len());
            for answer in answers {
                // Without an answer its write panicked, which was logged.
                marked.push(
                    answer
                        .await
                        .unwrap_or_else(|_| Err(ChatError::new(ErrorCode::Internal, "something failed here")))?,
                );
            }
            Ok(marked)
        };
        let late = || {
            Err(ChatError::new(ErrorCode::Timeout, "it took too long, and may still be done; try again")
                .retry_after(OVERLOADED_RETRY_MS))
        };
        timeout(ANSWER_WITHIN, all).await.unwrap_or_else(|_| late()).map_err(|error| self.refuse(error))
    }

    fn submit(&self, rows: Vec<MarkRow>) -> Result<Vec<oneshot::Receiver<Answer>>> {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let Ok(mut room) = Arc::clone(&self.room).try_acquire_many_owned(count) else {
            return Err(ChatError::new(ErrorCode::Overloaded, "too much is waiting to be written; try again")
                .retry_after(OVERLOADED_RETRY_MS));
        };
        let (mut jobs, mut answers) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let (reply, answer) = oneshot::channel();
            // One for each row was taken above.
            if let Some(room) = room.split(1) {
                jobs.push(Job { row, waiter: Waiter { reply, _room: room } });
            }
            answers.push(answer);
        }
        let closed = |_| {
            ChatError::new(ErrorCode::Unavailable, "this node is shutting down; try again")
                .retry_after(CLOSING_RETRY_MS)
        };
        self.queue.send(jobs).map_err(closed)?;
        Ok(answers)
    }

    /// Refuses new markers, writes what waits, then returns. Bounded by its caller.
    pub(crate) async fn shutdown(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn refuse(&self, error: ChatError) -> ChatError {
        self.metrics.receipts_refused.with_label_values(&[error.code.as_str()]).inc();
        error
    }
}
