//! Markers on their way to the store: one task per node merges them and writes what waits in few calls.
//!
//! The first marker of a (user, conversation) is written at once; what follows within a second is merged and written
//! at the end of that second. Memory is bounded by those who wait and by the writes of the last second.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use protocol::{ConversationId, UserId};
use store::{MarkRow, Marked, Marks, Store, StoreError};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{ChatError, Map, Result, metrics::Metrics};

/// Most rows in one call of the store.
const ROWS_MAX: usize = 1_000;
/// Calls of the store at once: one that waits for a row lock does not hold up everybody.
const FLIGHTS_MAX: usize = 2;

/// How fast it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// A user's markers of a conversation are written at most once in this time.
    pub(super) window: Duration,
    /// A call of the store that takes longer counts as failed.
    pub(super) write_within: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: Duration::from_secs(1), write_within: Duration::from_secs(5) }
    }
}

type Key = (UserId, ConversationId);
pub(super) type Answer = Result<Option<Marked>>;

/// The one thing of the store that this uses, so that tests can count and fail.
#[async_trait]
pub(crate) trait WriteMarks: Send + Sync {
    /// See [`Store::mark`].
    async fn write_marks(&self, rows: &[MarkRow]) -> store::Result<Marks>;
}

#[async_trait]
impl WriteMarks for Arc<dyn Store> {
    async fn write_marks(&self, rows: &[MarkRow]) -> store::Result<Marks> {
        self.mark(rows).await
    }
}

/// Is told of every marker that was written, and the epoch of the database that has it.
pub(crate) type Tell = Arc<dyn Fn(&MarkRow, &Marked, &str) + Send + Sync>;

/// A marker that waits, and who waits for it.
pub(super) struct Job {
    pub(super) row: MarkRow,
    pub(super) waiter: Waiter,
}

/// Who waits for a marker.
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Answer>,
    /// Given back when the caller is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What is known of a (user, conversation) that was written within the last second, or waits.
struct Entry {
    /// Its write is under way.
    flying: bool,
    /// Its second is over.
    cooled: bool,
    /// What is to be written next.
    pending: Option<Pending>,
}

struct Pending {
    row: MarkRow,
    waiters: Vec<Waiter>,
}

/// The task.
pub(super) struct Merger<S> {
    store: Arc<S>,
    tell: Tell,
    pace: Pace,
    metrics: Metrics,
    entries: Map<Key, Entry>,
    /// May be written now, each once, in order of arrival.
    ready: VecDeque<Key>,
    /// When seconds end, the earliest first: each began when its write did.
    cooling: VecDeque<(Instant, Key)>,
    flights: FuturesUnordered<BoxFuture<'static, Vec<Key>>>,
    /// At the end nothing waits for its second.
    hurry: bool,
}

impl<S: WriteMarks + 'static> Merger<S> {
    pub(super) fn new(store: S, tell: Tell, pace: Pace, metrics: Metrics) -> Self {
        Self {
            store: Arc::new(store),
            tell,
            pace,
            metrics,
            entries: Map::default(),
            ready: VecDeque::new(),
            cooling: VecDeque::new(),
            flights: FuturesUnordered::new(),
            hurry: false,
        }
    }

    /// Until the queue is closed and everything that was in it is written. When `closing` says so, it is closed.
    pub(super) async fn run(mut self, mut marks: mpsc::UnboundedReceiver<Vec<Job>>, closing: CancellationToken) {
        let (mut open, mut taken) = (true, Vec::new());
        loop {
            while self.flights.len() < FLIGHTS_MAX && !self.ready.is_empty() {
                self.take_off();
            }
            if !open && self.flights.is_empty() {
                break;
            }
            let next = self.cooling.front().map(|(ends, _)| *ends);
            tokio::select! {
                biased;
                () = closing.cancelled(), if !self.hurry => {
                    marks.close();
                    self.hurry();
                }
                Some(keys) = self.flights.next() => self.landed(keys),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() && !self.hurry => self.cool(),
                count = marks.recv_many(&mut taken, ROWS_MAX), if open => {
                    if count == 0 {
                        open = false;
                        self.hurry();
                    }
                    for job in taken.drain(..).flatten() {
                        self.add(job);
                    }
                }
            }
        }
    }

    fn add(&mut self, Job { row, waiter }: Job) {
        let key = (row.user_id, row.conversation_id);
        let entry = self.entries.entry(key).or_insert_with(|| {
            self.ready.push_back(key);
            Entry { flying: false, cooled: true, pending: None }
        });
        match &mut entry.pending {
            Some(pending) => {
                pending.row.read_seq = pending.row.read_seq.max(row.read_seq);
                pending.row.delivered_seq = pending.row.delivered_seq.max(row.delivered_seq);
                pending.waiters.push(waiter);
            }
            none => *none = Some(Pending { row, waiters: vec![waiter] }),
        }
    }

    /// Writes what may be written, beside what goes on here.
    fn take_off(&mut self) {
        let keys: Vec<Key> = self.ready.drain(..self.ready.len().min(ROWS_MAX)).collect();
        let ends = Instant::now() + self.pace.window;
        let (mut rows, mut waiters) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for key in &keys {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let Some(pending) = entry.pending.take() else { continue };
            (entry.flying, entry.cooled) = (true, false);
            self.cooling.push_back((ends, *key));
            rows.push(pending.row);
            waiters.push(pending.waiters);
        }
        self.metrics.receipt_writes.inc();
        self.metrics.receipt_rows.inc_by(rows.len() as u64);
        let flight = fly(Arc::clone(&self.store), Arc::clone(&self.tell), self.pace.write_within, rows, waiters);
        let landing = async {
            // Should it panic, its callers are told (their answers are dropped) and the rest goes on.
            if AssertUnwindSafe(flight).catch_unwind().await.is_err() {
                tracing::error!("a write of markers ended in a panic");
            }
            keys
        };
        self.flights.push(landing.boxed());
    }

    fn landed(&mut self, keys: Vec<Key>) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.flying = false;
            }
            self.settle(key);
        }
    }

    /// Seconds that are over.
    fn cool(&mut self) {
        let now = Instant::now();
        while let Some((ends, key)) = self.cooling.front().copied()
            && ends <= now
        {
            self.cooling.pop_front();
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.cooled = true;
            }
            self.settle(key);
        }
    }

    /// What may be written now gets ready; what nobody waits for is forgotten.
    fn settle(&mut self, key: Key) {
        let Some(entry) = self.entries.get(&key) else { return };
        if entry.flying || !(entry.cooled || self.hurry) {
            return;
        }
        if entry.pending.is_some() {
            self.ready.push_back(key);
        } else {
            self.entries.remove(&key);
        }
    }

    /// The end is near: everything that waits gets ready.
    fn hurry(&mut self) {
        if !std::mem::replace(&mut self.hurry, true) {
            self.ready.clear();
            self.cooling.clear();
            for key in self.entries.keys().copied().collect::<Vec<_>>() {
                self.settle(key);
            }
        }
    }
}

/// One call of the store; tells and answers.
async fn fly<S: WriteMarks>(
    store: Arc<S>,
    tell: Tell,
    within: Duration,
    rows: Vec<MarkRow>,
    waiters: Vec<Vec<Waiter>>,
) {
    let written = timeout(within, store.write_marks(&rows)).await;
    let written = written.map_err(|late| StoreError::Unavailable(late.into())).flatten();
    let Marks { epoch, items } = match written {
        Ok(marks) if marks.items.len() == rows.len() => marks,
        Ok(_) => return fail(waiters, StoreError::Internal("the store answered for other rows".into())),
        Err(error) => return fail(waiters, error),
    };
    for ((row, marked), waiters) in rows.iter().zip(items).zip(waiters) {
        if let Some(marked) = &marked {
            tell(row, marked, &epoch);
        }
        for waiter in waiters {
            // Who no longer waits needs no answer.
            let _ = waiter.reply.send(Ok(marked));
        }
    }
}

fn fail(waiters: Vec<Vec<Waiter>>, error: StoreError) {
    let cause = Arc::new(ChatError::from(error));
    for waiter in waiters.into_iter().flatten() {
        let error = ChatError {
            errors: cause.errors.clone(),
            retry_after_ms: cause.retry_after_ms,
            ..ChatError::new(cause.code, cause.message.clone()).because(Arc::clone(&cause))
        };
        let _ = waiter.reply.send(Err(error));
    }
}
