//! One lane: takes what waits and has it committed, one transaction at a time. It outlives whatever goes wrong in
//! a transaction.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use protocol::ErrorCode;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{commit::Committer, publisher::Publisher};
use crate::{
    ChatError, Clock, Result,
    change::{Done, Kind, Request},
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
}

/// See the module.
pub(super) struct Lane {
    pub(super) number: usize,
    pub(super) store: Arc<dyn store::Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) publisher: Publisher,
    pub(super) max_batch: usize,
    pub(super) metrics: Metrics,
}

impl Lane {
    /// Until the queue is closed and empty. When `closing` says so (or is gone), the queue is closed.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>, mut closing: watch::Receiver<bool>) {
        let committer = Arc::new(Committer {
            store: self.store,
            clock: self.clock,
            publisher: self.publisher,
            metrics: self.metrics.clone(),
        });
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    job = queue.recv() => match job {
                        Some(job) => waiting.push_back(job),
                        None => break,
                    },
                    () = closed(&mut closing), if !queue.is_closed() => {
                        queue.close();
                        continue;
                    }
                }
            }
            while waiting.len() < self.max_batch
                && let Ok(job) = queue.try_recv()
            {
                waiting.push_back(job);
            }
            let batch = next_batch(&mut waiting);
            self.metrics.queue.sub(batch.len() as i64);
            let batch = in_time(batch, &self.metrics);
            if batch.is_empty() {
                continue;
            }
            self.metrics.batch_size.observe(batch.len() as f64);
            // A task of its own: should it panic, its callers are told and the lane goes on.
            let committer = Arc::clone(&committer);
            if let Err(error) = tokio::spawn(async move { committer.commit(batch).await }).await {
                tracing::error!(lane = self.number, %error, "a batch of changes ended in a panic");
            }
        }
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the writer was dropped: nobody can send any more.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Takes from the front what can be one batch: everything up to a message to a conversation that people came into
/// earlier in the batch (see [`Request::brings_people`]).
fn next_batch(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    let mut joined = HashSet::new();
    let length = waiting.iter().take_while(|job| {
        if job.request.brings_people() {
            joined.insert(job.request.conversation);
        }
        let numbered = matches!(job.request.kind, Kind::Send { .. });
        !numbered || !joined.contains(&job.request.conversation)
    });
    let length = length.count();
    waiting.drain(..length).collect()
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

#[cfg(test)]
mod tests {
    use protocol::{ConversationId, UserId};

    use super::*;

    fn job(conversation: ConversationId, kind: Kind) -> Job {
        let request = Request::new(conversation, UserId::generate(), kind);
        Job { request, reply: oneshot::channel().0, queued_at: Instant::now() }
    }

    #[test]
    fn after_somebody_came_that_conversations_messages_wait_for_the_next_batch() {
        let (a, b) = (ConversationId::generate(), ConversationId::generate());
        let send = || Kind::Send { content: "x".into(), client_id: None, reply_to: None, fingerprint: Vec::new() };
        let mut waiting: VecDeque<_> =
            [job(a, send()), job(a, Kind::Join), job(b, send()), job(a, Kind::Join), job(a, send())].into();
        assert_eq!(next_batch(&mut waiting).len(), 4);
        assert_eq!(next_batch(&mut waiting).len(), 1);
        assert!(waiting.is_empty());
    }
}
