//! The pool of connections, another one after each outage: what hangs in the one before is not in the way, and its
//! places are not missed.
//!
//! A pool of sqlx asks a connection that it gets back, and waits for the answer without end: a server that falls silent
//! at that moment costs it a place for good. So a pool is also given up when calls find no place in it although
//! there are fewer calls than places.
//!
//! # How many connections
//!
//! While Postgres answers there are at most [`PostgresConfig::max_connections`] (`N`); one more of the search when
//! calls are slow (up to eight where to connect takes long as well), and one more when somebody asks for the state and
//! no place is free. During an outage and after it there are, besides the `N` of the present pool:
//!
//! - up to eight attempts of the search that hang ([`super::search`]);
//! - up to `N` of the pool before. Idle ones are ended at once, those in calls together with these: within a second
//!   of a return; after a loss of places at the latest when the calls' time is up ([`PostgresConfig::call_timeout`]).
//!   No pool is given up for want of places before that, or during an outage. So there are two pools before the present
//!   one only if an outage follows such a loss within this time, and then until a second after the return;
//! - those that sqlx was asking when the silence began, of these `N`: nobody can end them but the kernel, which does so
//!   when it has sent the question in vain for long enough, or the network is back and the server knows them no more.
//!
//! So many this node holds; a server that does not hear of their end counts them for longer.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::{away::Away, config::PostgresConfig, doubt::Doubt};

/// What a pool that was given up may take to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// What an idle connection of it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a node's connections to Postgres are used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Most connections.
    pub most: u32,
    /// Connections that are open.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// Calls under way; more than `most`: some wait for a connection.
    pub calls: u32,
}

/// The present pool. Clones share it.
#[derive(Clone)]
pub(super) struct Pool {
    config: PostgresConfig,
    doubt: Doubt,
    away: Away,
    current: Arc<Mutex<Current>>,
    calls: Arc<AtomicUsize>,
}

struct Current {
    pool: PgPool,
    /// After how many returns of Postgres it was made, and when.
    returns: u64,
    since: Instant,
    /// The one before, while it ends.
    ending: Option<AbortHandle>,
}

impl Pool {
    /// Connects when it is first used. The error is one of the URL.
    pub(super) fn new(config: PostgresConfig, doubt: Doubt, away: Away) -> Result<Self, String> {
        let pool = config.pool(&doubt, &away)?;
        let current = Current { pool, returns: 0, since: Instant::now(), ending: None };
        Ok(Self { config, doubt, away, current: Arc::new(Mutex::new(current)), calls: Arc::default() })
    }

    /// The pool to use now.
    pub(super) fn get(&self) -> PgPool {
        let returns = self.away.returns();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.returns != returns {
            self.renew(&mut current, returns);
        }
        current.pool.clone()
    }

    /// Something failed, or took too long: looks whether Postgres is there. An idle connection may say so at once, when
    /// to connect takes long; it is asked because it comes back.
    pub(super) fn suspect(&self) {
        if self.away.suspect() {
            drop(self.get().try_acquire());
        }
    }

    /// Connections of the present pool, and calls under way, which may wait for one.
    pub(super) fn stats(&self) -> PoolStats {
        let pool = self.current.lock().unwrap_or_else(PoisonError::into_inner).pool.clone();
        let (open, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
        let calls = u32::try_from(self.calls.load(Relaxed)).unwrap_or(u32::MAX);
        PoolStats { most: self.config.max_connections, open, idle: idle.min(open), calls }
    }

    /// A call begins; it ends with what this gives.
    pub(super) fn call(&self) -> Call<'_> {
        self.calls.fetch_add(1, Relaxed);
        Call(self)
    }

    /// A call found no place in time.
    pub(super) fn had_no_place(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = self.calls.load(Relaxed);
        let places = self.config.max_connections.max(1);
        // Where not all are taken, to connect took too long: so it would in another pool.
        let lost = current.pool.size() >= places && calls <= places as usize;
        let is_alone = current.ending.as_ref().is_none_or(AbortHandle::is_finished);
        // In a younger one nobody has waited that long.
        let settled = is_alone && !self.away.is_away();
        if lost && settled && current.since.elapsed() >= self.config.acquire_timeout {
            tracing::debug!(calls, "places of the pool are taken by nobody: another pool");
            let returns = current.returns;
            self.renew(&mut current, returns);
        }
    }

    /// Ends it for good.
    pub(super) async fn close(&self) {
        let pool = self.current.lock().unwrap_or_else(PoisonError::into_inner).pool.clone();
        pool.close().await;
    }

    fn renew(&self, current: &mut Current, returns: u64) {
        // The node ends, or a URL that could be read cannot be read any more: it stays as it is.
        if current.pool.is_closed() {
            return;
        }
        let Ok(pool) = self.config.pool(&self.doubt, &self.away) else { return };
        let old = current.pool.clone();
        // By itself it would end them only when all calls have ended that use it.
        let idle: Vec<_> = std::iter::from_fn(|| old.try_acquire()).collect();
        let ending = tokio::spawn(async move {
            for connection in idle {
                tokio::spawn(timeout(GOODBYE, connection.close()));
            }
            // It takes nobody from now on, and ends each connection that comes back.
            let _ = timeout(FAREWELL, old.close()).await;
        });
        *current = Current { pool, returns, since: Instant::now(), ending: Some(ending.abort_handle()) };
    }
}

/// A call that is under way.
pub(super) struct Call<'a>(&'a Pool);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}
