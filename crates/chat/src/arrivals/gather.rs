//! Many who ask the same thing within a moment are answered by one read of the store.
//!
//! A question that comes alone is read at once. After each read the next one waits, for as long as there were questions
//! in it (2 ms for each, at most 100 ms): below some 500 questions per second nobody notices, above it what comes is
//! gathered, and ten thousand within seconds are a few dozen reads; more where each brings much.
//!
//! Promise: a read begins after its questions were put. What was true before that, it sees. How much one read brings is
//! bounded by what its questions tell of themselves and by what answers have weighed so far; one that is too much for
//! the database is followed by smaller ones.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use prometheus::IntCounter;
use protocol::ErrorCode;
use store::StoreError;
use tokio::{
    sync::{Semaphore, oneshot},
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{ChatError, Env, Result};

/// How long the next read waits for each question of the last one, and at most.
const EACH: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Reads of one kind under way at once: one that is slow does not hold up the others. The store bounds how long one
/// takes.
const AT_ONCE: usize = 3;
/// Most questions of one read.
const MOST: usize = 512;
/// Most rows of one read, by what questions and their kind's answers have weighed.
const ROWS: usize = 20_000;
/// So many are answered in a row; then it is others' turn. Each answer makes a task ready that has a tenth of a
/// millisecond's work, and events wait behind them.
const IN_A_ROW: usize = 16;

/// How one kind of question is answered.
pub(super) trait Kind: Send + Sync + 'static {
    /// What is asked.
    type Question: Clone + Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Rows that an answer may have, as far as the question tells.
    fn expected(_question: &Self::Question) -> usize {
        1
    }
    /// Rows that an answer has.
    fn weight(answer: &Self::Answer) -> usize;
    /// Reads the answers, one for each question, in their order.
    fn read(&self, questions: Vec<Self::Question>) -> BoxFuture<'static, store::Result<Vec<Self::Answer>>>;
}

/// What is counted.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) reads: IntCounter,
    pub(super) questions: IntCounter,
}

/// One kind of question.
pub(super) struct Gather<K: Kind> {
    inner: Arc<Inner<K>>,
}

/// A question, and who waits for its answer.
type Asked<K> = (<K as Kind>::Question, oneshot::Sender<Result<<K as Kind>::Answer>>);

struct Inner<K: Kind> {
    kind: K,
    env: Env,
    counts: Counts,
    /// Shared by all kinds: the rest of the database's connections is for messages.
    places: Arc<Semaphore>,
    state: Mutex<State<K>>,
}

struct State<K: Kind> {
    waiting: VecDeque<Asked<K>>,
    /// Tasks that are here, and whether one of them is about to take what waits.
    tasks: usize,
    gathers: bool,
    not_before: Instant,
    /// Most questions of the next read: fewer after one that was too much.
    most: usize,
    /// Rows of an answer, on average of late.
    rows: usize,
}

impl<K: Kind> Gather<K> {
    pub(super) fn new(kind: K, env: &Env, counts: Counts, places: &Arc<Semaphore>) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            tasks: 0,
            gathers: false,
            not_before: Instant::now(),
            most: MOST,
            rows: 1,
        };
        let (env, places, state) = (env.clone(), Arc::clone(places), Mutex::new(state));
        Self { inner: Arc::new(Inner { kind, env, counts, places, state }) }
    }

    /// The answer. Errors are the store's, of the read that this question was in.
    pub(super) async fn ask(&self, question: K::Question) -> Result<K::Answer> {
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
        answer.await.unwrap_or_else(|_| Err(failed()))
    }
}

impl<K: Kind> Inner<K> {
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
            // Never closed.
            let place = self.places.acquire().await;
            let (batch, another) = self.take();
            if another {
                self.start();
            }
            // It outlives whatever goes wrong in a read; who waited for it hears that it failed.
            if AssertUnwindSafe(self.answer(batch)).catch_unwind().await.is_err() {
                tracing::error!("a read for many panicked");
            }
            drop(place);
            let mut state = self.state.lock();
            if state.gathers || state.waiting.is_empty() {
                state.tasks -= 1;
                return;
            }
            state.gathers = true;
        }
    }

    /// What one read answers, and whether another one is to begin beside it. Who went away is left out.
    fn take(&self) -> (Vec<Asked<K>>, bool) {
        let mut state = self.state.lock();
        let mut batch = Vec::new();
        let mut rows = 0;
        while let Some((question, reply)) = state.waiting.pop_front() {
            if reply.is_closed() {
                continue;
            }
            let more = K::expected(&question).max(state.rows);
            if !batch.is_empty() && (batch.len() >= state.most || rows + more > ROWS) {
                state.waiting.push_front((question, reply));
                break;
            }
            rows += more;
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

    async fn answer(&self, batch: Vec<Asked<K>>) {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            batch.retain(|(_, reply)| !reply.is_closed());
            if batch.is_empty() {
                continue;
            }
            let questions: Vec<K::Question> = batch.iter().map(|(question, _)| question.clone()).collect();
            self.counts.reads.inc();
            self.counts.questions.inc_by(questions.len() as u64);
            let asked = questions.len();
            let answers = match self.kind.read(questions).await {
                Ok(answers) if answers.len() == asked => answers,
                // Nobody may get what is another's.
                Ok(_) => {
                    tracing::error!("a read for many has another number of answers than of questions");
                    continue;
                }
                Err(error) if asked > 1 && is_about_one(&error) => {
                    // Halved until it is found: one row that does not decode must not fail its neighbours.
                    let rest = batch.split_off(asked / 2);
                    batches.extend([rest, batch]);
                    continue;
                }
                Err(error) => {
                    if matches!(error, StoreError::Unavailable(_)) {
                        // Away, or it was too much.
                        let mut state = self.state.lock();
                        state.most = (asked / 2).max(1);
                    }
                    fail(batch, error);
                    continue;
                }
            };
            self.learn(&answers);
            for (n, ((_, reply), answer)) in batch.into_iter().zip(answers).enumerate() {
                if n > 0 && n % IN_A_ROW == 0 {
                    yield_now().await;
                }
                // They may have gone.
                let _ = reply.send(Ok(answer));
            }
        }
    }

    /// What a read brought bounds the next ones.
    fn learn(&self, answers: &[K::Answer]) {
        let each = answers.iter().map(K::weight).sum::<usize>() / answers.len().max(1);
        let mut state = self.state.lock();
        // Up at once, down slowly.
        state.rows = each.max((3 * state.rows + each) / 4).max(1);
        state.most = (state.most * 2).min(MOST);
    }
}

/// Whether it may be about one of many questions.
fn is_about_one(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unavailable(_) | StoreError::Schema(_) | StoreError::Locked(_))
}

fn fail<Q, A>(mut batch: Vec<(Q, oneshot::Sender<Result<A>>)>, error: StoreError) {
    if batch.len() == 1
        && let Some((_, reply)) = batch.pop()
    {
        let _ = reply.send(Err(error.into()));
        return;
    }
    let error = Arc::new(error);
    for (_, reply) in batch {
        let _ = reply.send(Err(ChatError::unavailable(Arc::clone(&error))));
    }
}

fn failed() -> ChatError {
    ChatError::new(ErrorCode::Internal, "something failed here")
}

#[cfg(test)]
mod tests;
