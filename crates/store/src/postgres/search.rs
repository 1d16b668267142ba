//! The search for Postgres: attempts to connect, one after the other and beside each other, until one is answered; and
//! what they showed together.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout, timeout_at},
};

/// Between the beginnings of two attempts: one that began before Postgres returned may hang, the next does not.
const EVERY: Duration = Duration::from_millis(250);
/// An attempt that hangs is given up after this. The pool waits no longer for a connection either.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Attempts that hang at a time: as many as begin before the first of them is given up.
const ATTEMPTS: usize = 8;
/// When an attempt has no answer, nor has any that began within so long after it, Postgres was away.
const LOST: Duration = Duration::from_secs(1);

/// Why Postgres is thought to be away.
pub(super) type Reason = Arc<dyn std::error::Error + Send + Sync>;

/// Nothing answered.
#[derive(Debug, thiserror::Error)]
#[error("Postgres does not answer")]
pub(super) struct Silent;

/// What an attempt to connect showed.
enum Shown {
    /// It is there. With a connection, unless it was refused by a server that works.
    There(Option<PgConnection>),
    /// It is not, and something said so.
    Refused(Reason),
    /// It does not answer, or cannot be reached.
    Silent(Reason),
    /// Nothing of it: what failed is here, and a call that meets it says so better.
    Failed(sqlx::Error),
}

/// An attempt that showed that it is there.
pub(super) struct Found {
    pub(super) connection: Option<PgConnection>,
    /// Another one was refused before.
    refused: bool,
    /// So long before it the first attempt began that is without an answer, as are all that followed.
    before: Duration,
    took: Duration,
}

impl Found {
    /// Whether it was away. A server that is slow, or far away, answers attempts about in the order in which they
    /// began; one that was away never answers those from before its return, or all of them at once.
    pub(super) fn returned(&self) -> bool {
        self.refused || self.before >= LOST.max(2 * self.took)
    }
}

/// Attempts that are under way; they end with it.
pub(super) struct Search {
    refused: bool,
    /// When the first one began that was given up without an answer.
    silent: Option<Instant>,
    attempts: JoinSet<Shown>,
    /// When those began that are under way.
    began: HashMap<Id, Instant>,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { refused: false, silent: None, attempts: JoinSet::new(), began: HashMap::new() }
    }

    /// For how long attempts have been without an answer. One that failed here is not.
    pub(super) fn silence(&self) -> Duration {
        self.silent_since().map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn silent_since(&self) -> Option<Instant> {
        self.began.values().copied().chain(self.silent).min()
    }

    /// Begins an attempt, and waits until it is time for the next one; tells why Postgres is thought to be away.
    pub(super) async fn round(&mut self, options: &PgConnectOptions, away: impl Fn(&Reason)) -> Option<Found> {
        let options = options.clone();
        let connect = async move { shown(options.connect().await, options.get_socket().is_some()) };
        self.round_with(connect, away).await
    }

    async fn round_with(
        &mut self,
        attempt: impl Future<Output = Shown> + Send + 'static,
        away: impl Fn(&Reason),
    ) -> Option<Found> {
        let now = Instant::now();
        let next = now + EVERY;
        let mut attempt = Some(attempt);
        loop {
            // The oldest one may be given up just now, and make room for it.
            if self.attempts.len() < ATTEMPTS
                && let Some(attempt) = attempt.take()
            {
                let attempt =
                    async { timeout(ATTEMPT, attempt).await.unwrap_or_else(|_| Shown::Silent(Arc::new(Silent))) };
                self.began.insert(self.attempts.spawn(attempt).id(), now);
            }
            match timeout_at(next, self.attempts.join_next_with_id()).await {
                Ok(Some(ended)) => {
                    if let Some(found) = self.ended(ended, &away) {
                        return Some(found);
                    }
                }
                // All of them failed.
                Ok(None) => {
                    tokio::time::sleep_until(next).await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Shown), JoinError>, away: impl Fn(&Reason)) -> Option<Found> {
        let (id, shown) = match ended {
            Ok((id, shown)) => (id, Some(shown)),
            // An attempt that was not carried out shows nothing.
            Err(error) => (error.id(), None),
        };
        let began = self.began.remove(&id)?;
        match shown? {
            Shown::There(connection) => {
                let before = self.silent_since().map_or(Duration::ZERO, |since| began.duration_since(since));
                return Some(Found { connection, refused: self.refused, before, took: began.elapsed() });
            }
            Shown::Refused(reason) => {
                self.refused = true;
                away(&reason);
            }
            Shown::Silent(reason) => {
                self.silent = Some(self.silent.map_or(began, |since| since.min(began)));
                away(&reason);
            }
            Shown::Failed(error) => tracing::debug!(%error, "to connect failed here: that says nothing of Postgres"),
        }
        None
    }
}

fn shown(ended: Result<PgConnection, sqlx::Error>, by_socket: bool) -> Shown {
    match ended {
        Ok(connection) => Shown::There(Some(connection)),
        // It starts or ends. Any other refusal (a bad password, too many connections) comes from a server that works,
        // and a call that meets it says so better.
        Err(sqlx::Error::Database(error)) if error.code().is_none_or(|code| !code.starts_with("57P")) => {
            Shown::There(None)
        }
        Err(error) if refuses(&error, by_socket) => Shown::Refused(Arc::new(error)),
        Err(error) if is_unreachable(&error) => Shown::Silent(Arc::new(error)),
        Err(error) => Shown::Failed(error),
    }
}

/// Whether it was the server, or the machine that it should be on, that ended the attempt; and not, say, a want of
/// file descriptors here, or of an address for its name.
fn refuses(error: &sqlx::Error, by_socket: bool) -> bool {
    use io::ErrorKind as K;
    match error {
        sqlx::Error::Database(_) => true,
        sqlx::Error::Io(error) => {
            matches!(
                error.kind(),
                K::ConnectionRefused | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof
            ) || (by_socket && error.kind() == K::NotFound)
        }
        _ => false,
    }
}

/// Whether what is sent does not arrive, as the system knows.
fn is_unreachable(error: &sqlx::Error) -> bool {
    use io::ErrorKind as K;
    let sqlx::Error::Io(error) = error else { return false };
    matches!(error.kind(), K::TimedOut | K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use nix::errno::Errno;

    use super::*;

    fn fails(errno: Errno) -> Shown {
        shown(Err(sqlx::Error::Io(errno.into())), false)
    }

    /// A search in which attempts end so for a second and a half; then one is answered. Whether Postgres returned, and
    /// how often it was thought to be away.
    async fn returned(ended: impl Fn() -> Shown) -> (bool, u32) {
        let (mut search, told) = (Search::new(), std::cell::Cell::new(0));
        for _ in 0..6 {
            assert!(search.round_with(ready(ended()), |_| told.set(told.get() + 1)).await.is_none());
        }
        assert_eq!(told.get() > 0, search.silence() == Duration::from_millis(1_500), "{:?}", search.silence());
        let found = search.round_with(ready(Shown::There(None)), |_| {}).await.unwrap();
        (found.returned(), told.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_here_is_neither_an_outage_nor_a_return() {
        assert_eq!(returned(|| fails(Errno::EMFILE)).await, (false, 0));
        assert_eq!(returned(|| Shown::Failed(sqlx::Error::Tls("a certificate".into()))).await, (false, 0));
        assert_eq!(returned(|| fails(Errno::EHOSTUNREACH)).await, (true, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn time_counts_from_the_first_attempt_that_hangs() {
        let mut search = Search::new();
        for _ in 0..8 {
            search.round_with(ready(fails(Errno::EMFILE)), |_| {}).await;
        }
        for _ in 0..2 {
            assert!(search.silence() < LOST / 2);
            search.round_with(pending(), |_| {}).await;
        }
        assert_eq!(search.silence(), LOST / 2);
        let found = search.round_with(ready(Shown::There(None)), |_| {}).await.unwrap();
        assert_eq!((found.before, found.returned()), (LOST / 2, false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_every_quarter_of_a_second_however_many_hang() {
        let (mut search, start) = (Search::new(), Instant::now());
        for _ in 0..20 {
            assert!(search.round_with(pending(), |_| {}).await.is_none());
            assert!(search.attempts.len() <= ATTEMPTS);
        }
        assert_eq!(start.elapsed(), 20 * EVERY);
        for begins in 13..20 {
            assert!(search.began.values().any(|began| *began == start + begins * EVERY), "{begins}");
        }
        let found = search.round_with(ready(Shown::There(None)), |_| {}).await.unwrap();
        assert!(found.returned() && start.elapsed() < 20 * EVERY + EVERY / 10, "{:?}", start.elapsed());
    }

    #[test]
    fn who_is_slow_was_not_away() {
        let [second, soon] = [1_000, 10].map(Duration::from_millis);
        let returned = |refused, before, took| Found { connection: None, refused, before, took }.returned();
        assert!(returned(true, Duration::ZERO, soon) && returned(false, second, soon));
        // The first attempt is answered, however late; or a later one, when the others may still be.
        assert!(!returned(false, Duration::ZERO, 2 * second) && !returned(false, second / 2, soon));
        assert!(!returned(false, second, second) && returned(false, 2 * second, second));
    }
}
