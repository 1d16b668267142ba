//! Many who ask the same thing within a moment are answered by one read of the store.
//!
//! A question that comes alone is read at once. After each read the next one waits, for as long as there were questions in it
//! (2 ms for each, at most 100 ms): below some 500 questions per second nobody notices, above it what comes is gathered,
//! and ten thousand within seconds are a few dozen reads.
//!
//! Promise: a read begins after its questions were put. What was true before that, it sees.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use prometheus::IntCounter;
use protocol::ErrorCode;
use store::StoreError;
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{ChatError, Env, Result};

/// How long the next read waits for each question of the last one, and at most.
const EACH: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Reads under way at once: one that is slow does not hold up the others.
const AT_ONCE: usize = 4;
/// Most questions of one read.
const MOST: usize = 512;
/// So many are answered in a row; then it is others' turn. Each answer makes a task ready that has a tenth of a
/// millisecond's work, and events wait behind them.
const IN_A_ROW: usize = 16;

/// Answers questions, in their order.
type Read<K, V> = Box<dyn Fn(Vec<K>) -> BoxFuture<'static, store::Result<Vec<V>>> + Send + Sync>;

/// A question, and who waits for its answer.
type Asked<K, V> = (K, oneshot::Sender<Result<V>>);

/// What is counted.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) reads: IntCounter,
    pub(super) questions: IntCounter,
}

/// One kind of question.
pub(super) struct Gather<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    read: Read<K, V>,
    /// How much an answer weighs, and how much those of one read may together.
    weigh: fn(&K) -> usize,
    weight_max: usize,
    env: Env,
    counts: Counts,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    waiting: VecDeque<Asked<K, V>>,
    /// Tasks that are here, and whether one of them is about to take what waits.
    tasks: usize,
    gathers: bool,
    not_before: Instant,
}

impl<K: Clone + Send + 'static, V: Send + 'static> Gather<K, V> {
    pub(super) fn new(
        env: &Env,
        counts: Counts,
        (weigh, weight_max): (fn(&K) -> usize, usize),
        read: impl Fn(Vec<K>) -> BoxFuture<'static, store::Result<Vec<V>>> + Send + Sync + 'static,
    ) -> Self {
        let state = State { waiting: VecDeque::new(), tasks: 0, gathers: false, not_before: Instant::now() };
        let (read, state) = (Box::new(read), Mutex::new(state));
        Self { inner: Arc::new(Inner { read, weigh, weight_max, env: env.clone(), counts, state }) }
    }

    /// The answer. Errors are the store's, of the read that this question was in.
    pub(super) async fn ask(&self, question: K) -> Result<V> {
        let (reply, answer) = oneshot::channel();
        let starts = {
            let mut state = self.inner.state.lock();
            state.waiting.push_back((question, reply));
            let starts = !state.gathers && state.tasks < AT_ONCE;
            if starts {
                state.gathers = true;
                state.tasks += 1;
            }
            starts
        };
        if starts {
            self.inner.start();
        }
        answer.await.unwrap_or_else(|_| Err(ChatError::new(ErrorCode::Internal, "something failed here")))
    }
}

impl<K: Clone + Send + 'static, V: Send + 'static> Inner<K, V> {
    /// One more task, which was counted already.
    fn start(self: &Arc<Self>) {
        self.env.spawn(Arc::clone(self).run());
    }

    /// Takes what waits and answers it, for as long as something waits and nobody else is about to take it.
    async fn run(self: Arc<Self>) {
        loop {
            let not_before = self.state.lock().not_before;
            if not_before > Instant::now() {
                sleep_until(not_before).await;
            }
            let (batch, another) = self.take();
            if another {
                self.start();
            }
            // It outlives whatever goes wrong in a read; who waited for it hears that it failed.
            if AssertUnwindSafe(self.answer(batch)).catch_unwind().await.is_err() {
                tracing::error!("a read for many panicked");
            }
            let mut state = self.state.lock();
            if state.gathers || state.waiting.is_empty() {
                state.tasks -= 1;
                return;
            }
            state.gathers = true;
        }
    }

    /// What one read answers, and whether another one is to begin beside it. Who went away is left out.
    fn take(&self) -> (Vec<Asked<K, V>>, bool) {
        let mut state = self.state.lock();
        let mut batch = Vec::new();
        let mut weight = 0;
        while let Some((question, reply)) = state.waiting.pop_front() {
            if reply.is_closed() {
                continue;
            }
            let more = (self.weigh)(&question);
            if !batch.is_empty() && (batch.len() >= MOST || weight + more > self.weight_max) {
                state.waiting.push_front((question, reply));
                break;
            }
            weight += more;
            batch.push((question, reply));
        }
        let pause = EACH.saturating_mul(u32::try_from(batch.len()).unwrap_or(u32::MAX)).min(PAUSE_MAX);
        state.not_before = Instant::now() + pause;
        let another = !state.waiting.is_empty() && state.tasks < AT_ONCE;
        state.gathers = another;
        if another {
            // Left over because they were too many: they have waited.
            state.not_before = Instant::now();
            state.tasks += 1;
        }
        (batch, another)
    }

    async fn answer(&self, batch: Vec<Asked<K, V>>) {
        if batch.is_empty() {
            return;
        }
        let questions: Vec<K> = batch.iter().map(|(question, _)| question.clone()).collect();
        self.counts.reads.inc();
        self.counts.questions.inc_by(questions.len() as u64);
        match (self.read)(questions).await {
            Ok(answers) => {
                for (n, ((_, reply), answer)) in batch.into_iter().zip(answers).enumerate() {
                    if n > 0 && n % IN_A_ROW == 0 {
                        yield_now().await;
                    }
                    // They may have gone.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error @ StoreError::Unavailable(_)) => {
                let error = Arc::new(error);
                for (_, reply) in batch {
                    let _ = reply.send(Err(ChatError::unavailable(Arc::clone(&error))));
                }
            }
            // One row that does not decode must not fail its neighbours.
            Err(error) => self.answer_each(batch, error).await,
        }
    }

    async fn answer_each(&self, mut batch: Vec<Asked<K, V>>, error: StoreError) {
        if batch.len() == 1
            && let Some((_, reply)) = batch.pop()
        {
            let _ = reply.send(Err(error.into()));
        }
        for (question, reply) in batch {
            self.counts.reads.inc();
            let answer = match (self.read)(vec![question]).await {
                Ok(answers) => match answers.into_iter().next() {
                    Some(answer) => Ok(answer),
                    None => Err(ChatError::new(ErrorCode::Internal, "something failed here")),
                },
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests;
