//! Doubt in the pool's connections: after one of them failed, or was left in the middle of something, each is asked
//! before it is used again or kept, and has little time to answer.
//!
//! The pool itself asks a connection that it gets back and waits for the answer without end: behind a server that went
//! silent each call would cost the pool a connection for good. While nothing fails, nothing is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};

/// An idle connection that does not answer within this is given up. Below the least that a caller waits for one.
const ANSWER: Duration = Duration::from_millis(500);
/// A connection that has rested for so long may have died unseen.
const RESTED: Duration = Duration::from_secs(1);
/// So long after the last failure every connection that comes back is asked.
const LASTS: Duration = Duration::from_secs(15);

/// When a connection failed last. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    start: Instant,
    /// Milliseconds after `start`, and 1 more; 0: never.
    at: Arc<AtomicU64>,
}

impl Doubt {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), at: Arc::default() }
    }

    /// A connection failed just now.
    pub(super) fn raise(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.at.fetch_max(now + 1, Relaxed);
    }

    /// How long ago that was, at least; none: it never happened.
    fn age(&self) -> Option<Duration> {
        let at = self.at.load(Relaxed).checked_sub(1)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(at + 1)))
    }

    /// Whether an idle connection may be used.
    pub(super) async fn allows(&self, connection: &mut PgConnection, idle_for: Duration) -> bool {
        // What came back after the failure was asked then.
        let doubted = idle_for > RESTED || self.age().is_some_and(|age| idle_for >= age);
        !doubted || self.answers(connection).await
    }

    /// Whether a connection that comes back may be kept. It is also asked when somebody wants to know.
    pub(super) async fn keeps(&self, connection: &mut PgConnection, ask: bool) -> bool {
        let doubted = ask || self.age().is_some_and(|age| age <= LASTS);
        !doubted || self.answers(connection).await
    }

    async fn answers(&self, connection: &mut PgConnection) -> bool {
        let answers = matches!(tokio::time::timeout(ANSWER, connection.ping()).await, Ok(Ok(())));
        if !answers {
            self.raise();
        }
        answers
    }

    /// Raises the doubt when it is dropped before [`CutShort::done`]: a call that ends in the middle leaves its
    /// connection in the middle of something. To be made after what holds the connection, so that it is dropped before.
    pub(super) fn if_cut_short(&self) -> CutShort<'_> {
        CutShort { doubt: self, done: false }
    }
}

/// See [`Doubt::if_cut_short`].
pub(super) struct CutShort<'a> {
    doubt: &'a Doubt,
    done: bool,
}

impl CutShort<'_> {
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for CutShort<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.doubt.raise();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_is_raised_by_a_call_that_is_cut_short_and_not_by_one_that_is_done() {
        let doubt = Doubt::new();
        doubt.if_cut_short().done();
        assert_eq!(doubt.age(), None);
        drop(doubt.clone().if_cut_short());
        assert!(doubt.age().is_some_and(|age| age < Duration::from_mins(1)), "{doubt:?}");
    }
}
