//! Whether Postgres can be reached: where that is in doubt, connections are tried until one is made, and calls wait for
//! that instead of hanging in attempts of their own.
//!
//! Promises that a call which waits goes on as soon as Postgres is back, within [`EVERY`] and the time that one
//! connection takes, however long attempts hung before; and that calls from before the outage end soon after it,
//! answered or not. Asks nothing while nothing fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// Between the beginnings of two attempts: one that began before Postgres returned may hang, the next does not.
const EVERY: Duration = Duration::from_millis(250);
/// An attempt that hangs is given up after this, so that there are at most eight at a time.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Without an answer for so long Postgres is away. Refusals say so at once.
const SILENCE: Duration = Duration::from_millis(500);
/// After the return, calls from before have this long for answers that are on their way (a server that was frozen
/// gives them; a pool that waits between two attempts to connect does so for up to 400 ms).
const GRACE: Duration = Duration::from_millis(500);
/// Between a search that ended and the next: while every call is slow, or fails, there is no end of reasons to look.
const REST: Duration = Duration::from_millis(500);
/// For the attempt that succeeded to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why Postgres is thought to be away.
type Reason = Arc<dyn std::error::Error + Send + Sync>;

/// What is known of Postgres. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Away {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    state: watch::Sender<State>,
    /// Somebody looks already.
    looking: AtomicBool,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Set while it is away.
    reason: Option<Reason>,
    /// When it was last found to be there.
    found: Option<Instant>,
    /// How often it came back.
    returns: u64,
}

/// Nothing answered.
#[derive(Debug, thiserror::Error)]
#[error("Postgres does not answer")]
struct Silent;

impl Away {
    /// Believes that Postgres is there until something fails. Tries to connect in this way.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let (state, looking) = Default::default();
        Self { shared: Arc::new(Shared { options, state: watch::Sender::new(state), looking }) }
    }

    /// Something failed, or took too long: looks whether Postgres is there, unless somebody does already. Must be
    /// called inside a tokio runtime.
    pub(super) fn suspect(&self) {
        if !self.shared.looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(look(Looking(Arc::clone(&self.shared))));
        }
    }

    /// Waits while it is away, so long at most; then the reason why it is.
    pub(super) async fn over(&self, most: Duration) -> Result<Stay, Reason> {
        let mut state = self.shared.state.subscribe();
        // The sender lives as long as we do.
        let _ = timeout(most, state.wait_for(|state| state.reason.is_none())).await;
        let State { reason, returns, .. } = state.borrow().clone();
        match reason {
            Some(reason) => Err(reason),
            None => Ok(Stay { state, returns }),
        }
    }

    /// How often it came back.
    pub(super) fn returns(&self) -> u64 {
        self.shared.state.borrow().returns
    }
}

/// The time between two outages that a call began in.
pub(super) struct Stay {
    state: watch::Receiver<State>,
    returns: u64,
}

impl Stay {
    /// Over when Postgres went away and has been back for a moment: what has no answer by then gets none.
    pub(super) async fn outlived(mut self) {
        let returns = self.returns;
        if self.state.wait_for(|state| state.returns != returns).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    }
}

/// Whoever looks; when dropped, somebody else may.
struct Looking(Arc<Shared>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.store(false, Ordering::Release);
    }
}

/// What an attempt to connect showed.
enum Shown {
    /// It is there. With a connection, unless it was refused by a server that works.
    There(Option<PgConnection>),
    Away(Reason),
}

/// Tries to connect until Postgres is there.
async fn look(looking: Looking) {
    let Looking(shared) = &looking;
    let found = shared.state.borrow().found;
    if let Some(found) = found {
        tokio::time::sleep_until(found + REST).await;
    }
    let start = Instant::now();
    let mut attempts = JoinSet::new();
    let connection = loop {
        let next = Instant::now() + EVERY;
        let options = shared.options.clone();
        attempts.spawn(async move { attempt(options).await });
        let shown = loop {
            match timeout_at(next, attempts.join_next()).await {
                Ok(Some(Ok(Shown::There(connection)))) => break Some(connection),
                Ok(Some(Ok(Shown::Away(reason)))) => shared.is_away(&reason),
                // An attempt that was not carried out shows nothing.
                Ok(Some(Err(_))) => {}
                // All of them were refused.
                Ok(None) => {
                    tokio::time::sleep_until(next).await;
                    break None;
                }
                Err(_) => break None,
            }
        };
        if let Some(connection) = shown {
            break connection;
        }
        if start.elapsed() >= SILENCE && shared.state.borrow().reason.is_none() {
            shared.is_away(&(Arc::new(Silent) as Reason));
        }
        // Nobody is left to whom it would matter.
        if Arc::strong_count(shared) == 1 {
            return;
        }
    };
    shared.is_there();
    drop(looking);
    if let Some(connection) = connection {
        let _ = timeout(GOODBYE, connection.close()).await;
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
        Ok(Err(error)) => Shown::Away(Arc::new(error)),
        Err(_) => Shown::Away(Arc::new(Silent)),
    }
}

impl Shared {
    fn is_away(&self, reason: &Reason) {
        self.state.send_modify(|state| {
            if state.reason.is_none() {
                tracing::debug!(%reason, "Postgres is away: calls wait for it");
            }
            state.reason = Some(Arc::clone(reason));
        });
    }

    fn is_there(&self) {
        self.state.send_if_modified(|state| {
            state.found = Some(Instant::now());
            let was_away = state.reason.take().is_some();
            if was_away {
                tracing::debug!("Postgres is back");
                state.returns += 1;
            }
            was_away
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Away {
        // A port that nobody can listen on.
        Away::new(PgConnectOptions::new().host("127.0.0.1").port(0))
    }

    #[tokio::test]
    async fn who_comes_while_it_is_away_waits_and_goes_on_when_it_is_back() {
        let away = nowhere();
        let before = away.over(Duration::ZERO).await.unwrap_or_else(|reason| panic!("{reason}"));
        away.shared.is_away(&(Arc::new(Silent) as Reason));
        let told = away.over(Duration::from_millis(1)).await.err().map(|reason| reason.to_string());
        assert_eq!(told.as_deref(), Some("Postgres does not answer"));
        assert_eq!(away.returns(), 0);
        let waiting = away.over(Duration::from_mins(1));
        let (waited, ()) = tokio::join!(waiting, async { away.shared.is_there() });
        let during = waited.unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(away.returns(), 1);
        // Who came before it went is told that nothing comes any more; who came after it is not.
        before.outlived().await;
        assert!(timeout(Duration::from_millis(50), during.outlived()).await.is_err());
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_its_reason_and_the_search_ends_with_the_store() {
        let away = nowhere();
        away.suspect();
        let mut state = away.shared.state.subscribe();
        let told = timeout(Duration::from_secs(20), state.wait_for(|state| state.reason.is_some())).await;
        assert!(told.is_ok_and(|told| told.is_ok()), "nobody looks");
        let told = away.over(Duration::ZERO).await.err().map(|reason| reason.to_string());
        assert!(told.as_deref().is_some_and(|told| told != "Postgres does not answer"), "{told:?}");
        let shared = Arc::downgrade(&away.shared);
        drop((away, state));
        let start = Instant::now();
        while shared.strong_count() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "still looking");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
