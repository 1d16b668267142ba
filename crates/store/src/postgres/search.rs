//! The search for Postgres: attempts to connect, one after the other and beside each other, until one is answered; and
//! what they showed together.

use std::{io, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// Between the beginnings of two attempts: one that began before Postgres returned may hang, the next does not.
const EVERY: Duration = Duration::from_millis(250);
/// An attempt that hangs is given up after this. The pool waits no longer for a connection either.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Attempts that hang at a time: as many as begin before the first of them is given up.
const ATTEMPTS: usize = 8;
/// Without an answer to any attempt that began in the first of so long, Postgres was away.
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
    /// Neither.
    Failed(Reason),
}

/// An attempt that showed that it is there.
pub(super) struct Found {
    pub(super) connection: Option<PgConnection>,
    /// Another one was refused before.
    refused: bool,
    /// So long before it the search began, and all attempts of that time are without an answer.
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
    start: Instant,
    refused: bool,
    attempts: JoinSet<(Instant, Shown)>,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), refused: false, attempts: JoinSet::new() }
    }

    pub(super) fn lasts(&self) -> Duration {
        self.start.elapsed()
    }

    /// Begins an attempt, and waits until it is time for the next one; tells why attempts fail.
    pub(super) async fn round(&mut self, options: &PgConnectOptions, fails: impl Fn(&Reason)) -> Option<Found> {
        let began = Instant::now();
        let next = began + EVERY;
        if self.attempts.len() < ATTEMPTS {
            let options = options.clone();
            self.attempts.spawn(async move { (began, attempt(options).await) });
        }
        loop {
            match timeout_at(next, self.attempts.join_next()).await {
                Ok(Some(Ok((began, Shown::There(connection))))) => {
                    let (before, took) = (began - self.start, began.elapsed());
                    return Some(Found { connection, refused: self.refused, before, took });
                }
                Ok(Some(Ok((_, Shown::Refused(reason))))) => {
                    self.refused = true;
                    fails(&reason);
                }
                Ok(Some(Ok((_, Shown::Failed(reason))))) => fails(&reason),
                // An attempt that was not carried out shows nothing.
                Ok(Some(Err(_))) => {}
                // All of them failed.
                Ok(None) => {
                    tokio::time::sleep_until(next).await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }
}

async fn attempt(options: PgConnectOptions) -> Shown {
    match timeout(ATTEMPT, options.connect()).await {
        Ok(Ok(connection)) => Shown::There(Some(connection)),
        // It starts or ends. Any other refusal (a bad password, too many connections) comes from a server that works,
        // and a call that meets it says so better.
        Ok(Err(sqlx::Error::Database(error))) if error.code().is_none_or(|code| !code.starts_with("57P")) => {
            Shown::There(None)
        }
        Ok(Err(error)) if refuses(&error) => Shown::Refused(Arc::new(error)),
        Ok(Err(error)) => Shown::Failed(Arc::new(error)),
        Err(_) => Shown::Failed(Arc::new(Silent)),
    }
}

/// Whether it was the server, or the machine that it should be on, that ended the attempt; and not, say, a want of
/// file descriptors here.
fn refuses(error: &sqlx::Error) -> bool {
    use io::ErrorKind as K;
    match error {
        sqlx::Error::Database(_) => true,
        sqlx::Error::Io(error) => matches!(
            error.kind(),
            K::ConnectionRefused | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
