//! The pool of connections, another one after each outage: what hangs in the one before is not in the way, and its
//! places are not missed.
//!
//! A pool of sqlx asks a connection that it gets back, and waits for the answer without end: a server that falls silent
//! at that moment costs it a place for good. So a pool is also given up when calls find no place in it although
//! there are fewer calls than places.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio::time::{Instant, timeout};

use super::{away::Away, config::PostgresConfig, doubt::Doubt};

/// What a pool that was given up may take to end its idle connections.
const FAREWELL: Duration = Duration::from_secs(10);

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
}

impl Pool {
    /// Connects when it is first used. The error is one of the URL.
    pub(super) fn new(config: PostgresConfig, doubt: Doubt, away: Away) -> Result<Self, String> {
        let current = Current { pool: config.pool(&doubt, &away)?, returns: 0, since: Instant::now() };
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

    /// A call begins; it ends with what this gives.
    pub(super) fn call(&self) -> Call<'_> {
        self.calls.fetch_add(1, Relaxed);
        Call(self)
    }

    /// A call found no place in time.
    pub(super) fn had_no_place(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = self.calls.load(Relaxed);
        let has_places = calls <= self.config.max_connections.max(1) as usize;
        // In a younger one nobody has waited that long.
        if has_places && current.since.elapsed() >= self.config.acquire_timeout {
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
        let old = std::mem::replace(current, Current { pool, returns, since: Instant::now() }).pool;
        tokio::spawn(async move {
            // It takes nobody from now on, and ends each connection that comes back.
            let _ = timeout(FAREWELL, old.close()).await;
        });
    }
}

/// A call that is under way.
pub(super) struct Call<'a>(&'a Pool);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}
