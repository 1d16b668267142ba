//! Whether Postgres can be reached: where that is in doubt, connections are tried until one is made, and calls wait for
//! that instead of hanging in attempts of their own.
//!
//! Promises that a call which waits goes on as soon as Postgres is back, within a quarter of a second and the time that
//! one connection takes, however long attempts hung before; and that calls from before the outage end soon after it,
//! answered or not. Asks nothing while nothing fails.
//!
//! To be slow is not to be away. While a search goes on, connections of the pool that are older than it are asked as
//! they come back, and one that is idle at its beginning: an answer ends the search, and nothing was wrong. Nor was
//! Postgres away when the search was merely late to connect: a *return*, which ends calls and costs the pool, is
//! counted only if an attempt was refused, or if one hung, as did all that began within a second after it, when one
//! that began later is answered in less than half the time ([`Found::returned`]). New calls wait in either case, as
//! long as for a place in the pool and no longer. Attempts that fail here, for want of file descriptors or of an
//! address for Postgres' name, are no sign of either.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, postgres::PgConnectOptions};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::search::{Found, Reason, Search, Silent};

/// Without an answer for so long new calls wait. Refusals say so at once.
const SILENCE: Duration = Duration::from_millis(500);
/// After the return, calls from before have this long for answers that are on their way (a server that was frozen
/// gives them; a pool that waits between two attempts to connect does so for up to 400 ms).
const GRACE: Duration = Duration::from_millis(500);
/// Between a search that ended and the next: while every call is slow, or fails, there is no end of reasons to look.
const REST: Duration = Duration::from_millis(500);
/// For the attempt that succeeded to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is known of Postgres. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Away {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: PgConnectOptions,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Set while it is away.
    reason: Option<Reason>,
    /// Since when somebody looks.
    looking: Option<Instant>,
    /// When it was last found to be there.
    found: Option<Instant>,
    /// How often it came back.
    returns: u64,
}

impl Away {
    /// Believes that Postgres is there until something fails. Tries to connect in this way.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { shared: Arc::new(Shared { options, state: watch::Sender::default() }) }
    }

    /// Something failed, or took too long: looks whether Postgres is there, unless somebody does already. Whether
    /// this is the beginning. Must be called inside a tokio runtime.
    pub(super) fn suspect(&self) -> bool {
        let begins = self.shared.state.send_if_modified(|state| {
            let begins = state.looking.is_none();
            state.looking.get_or_insert_with(Instant::now);
            begins
        });
        if begins {
            tokio::spawn(look(Looking(Arc::clone(&self.shared))));
        }
        begins
    }

    /// Whether somebody looks who would learn something from a connection of this age, if it answers now.
    pub(super) fn would_learn(&self, age: Duration) -> bool {
        self.shared.state.borrow().looks_for_less_than(age, Instant::now())
    }

    /// A connection answered that was of this age when it was asked. If it is older than the search, that is over.
    pub(super) fn answered(&self, age: Duration, asked: Instant) {
        self.shared.state.send_if_modified(|state| {
            let learns = state.looks_for_less_than(age, asked);
            if learns {
                state.is_there(false);
            }
            learns
        });
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

    /// Whether calls wait for it.
    pub(super) fn is_away(&self) -> bool {
        self.shared.state.borrow().reason.is_some()
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

impl State {
    /// Whether a search went on at that moment, for less than this.
    fn looks_for_less_than(&self, age: Duration, at: Instant) -> bool {
        self.looking.is_some_and(|since| at.checked_duration_since(since).is_some_and(|looking| looking < age))
    }

    /// It was found to be there since the search began.
    fn is_found(&self) -> bool {
        self.looking.is_some_and(|since| self.found.is_some_and(|found| found >= since))
    }

    fn is_there(&mut self, returned: bool) {
        // Who answers has been there all the while, whatever attempts showed.
        let returned = returned && !self.is_found();
        self.found = Some(Instant::now());
        if let Some(reason) = self.reason.take() {
            tracing::debug!(%reason, returned, "Postgres answers");
        }
        self.returns += u64::from(returned);
    }
}

/// Whoever looks; when dropped, somebody else may.
struct Looking(Arc<Shared>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            state.looking = None;
            false
        });
    }
}

/// Looks until it is there, as somebody else may find first.
async fn look(looking: Looking) {
    let shared = &looking.0;
    let found = tokio::select! {
        biased;
        () = shared.found() => None,
        found = connect(shared) => found,
    };
    if let Some(found) = &found {
        shared.is_there(found.returned());
    }
    drop(looking);
    if let Some(connection) = found.and_then(|found| found.connection) {
        let _ = timeout(GOODBYE, connection.close()).await;
    }
}

/// Tries to connect until Postgres is there, or nobody is left to whom it would matter.
async fn connect(shared: &Arc<Shared>) -> Option<Found> {
    let found = shared.state.borrow().found;
    if let Some(found) = found {
        tokio::time::sleep_until(found + REST).await;
    }
    let mut search = Search::new();
    loop {
        let found = search.round(&shared.options, |reason| shared.is_away(reason)).await;
        if found.is_some() || Arc::strong_count(shared) == 1 {
            return found;
        }
        if search.silence() >= SILENCE && shared.state.borrow().reason.is_none() {
            shared.is_away(&(Arc::new(Silent) as Reason));
        }
    }
}

impl Shared {
    /// Until somebody who answers ends the search.
    async fn found(&self) {
        // The sender lives as long as we do.
        let _ = self.state.subscribe().wait_for(State::is_found).await;
    }

    fn is_away(&self, reason: &Reason) {
        self.state.send_modify(|state| {
            if state.reason.is_none() {
                tracing::debug!(%reason, "Postgres does not answer: calls wait for it");
            }
            state.reason = Some(Arc::clone(reason));
        });
    }

    fn is_there(&self, returned: bool) {
        self.state.send_modify(|state| state.is_there(returned));
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
        let (waited, ()) = tokio::join!(waiting, async { away.shared.is_there(true) });
        let during = waited.unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(away.returns(), 1);
        // Who came before it went is told that nothing comes any more; who came after it is not.
        before.outlived().await;
        assert!(timeout(Duration::from_millis(50), during.outlived()).await.is_err());
    }

    #[tokio::test]
    async fn who_answers_on_an_older_connection_was_not_away() {
        let away = nowhere();
        away.shared.state.send_modify(|state| state.looking = Some(Instant::now()));
        away.shared.is_away(&(Arc::new(Silent) as Reason));
        assert!(!away.suspect() && !away.would_learn(Duration::ZERO) && away.would_learn(Duration::from_mins(1)));
        away.answered(Duration::ZERO, Instant::now());
        assert!(away.over(Duration::ZERO).await.is_err(), "a connection that was made meanwhile tells nothing");
        away.answered(Duration::from_mins(1), Instant::now());
        assert!(away.over(Duration::ZERO).await.is_ok());
        timeout(Duration::from_secs(20), away.shared.found()).await.unwrap();
        away.shared.is_there(true);
        assert_eq!(away.returns(), 0);
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
