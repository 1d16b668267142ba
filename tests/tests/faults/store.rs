//! The store alone behind a proxy that swallows: however long Postgres was out of reach, calls succeed within a second
//! of its return, over a pool as small as one connection, and never more connections than that.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use starling_tests::{
    client::SOON,
    postgres::TestDatabase,
    proxy::{Faults, Flow, Proxy},
};
use store::{
    Store, StoreError,
    postgres::{PostgresConfig, PostgresStore},
};
use tokio::time::{Instant, sleep};

use crate::stage::{recovered, seconds};

/// After Postgres returns, calls succeed within this.
const BACK: Duration = Duration::from_secs(1);
/// Callers that come all the while, between two of their calls.
const CALLERS: usize = 8;
const PACE: Duration = Duration::from_millis(20);

/// Calls until `done`; what was answered, and when the last call began that failed.
async fn call(store: PostgresStore, until: Instant) -> Result<usize> {
    let mut answered = 0;
    while Instant::now() < until {
        match store.ensure_org("acme").await {
            Ok(_) => answered += 1,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        sleep(PACE).await;
    }
    Ok(answered)
}

async fn outages(connections: u32, lengths: &[Duration]) -> Result<()> {
    let database = TestDatabase::create().await?;
    let port = database.url().parse::<PgConnectOptions>()?.get_port();
    let proxy = Proxy::postgres(port)?;
    let url = database.url().replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", proxy.port()));
    ensure!(url != database.url(), "the database is not at 127.0.0.1");
    let store =
        PostgresStore::connect(PostgresConfig { max_connections: connections, ..PostgresConfig::new(url.clone()) })?;
    store.ensure_org("acme").await?;
    for length in lengths {
        let until = Instant::now() + *length + Duration::from_secs(3);
        let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(call(store.clone(), until))).collect();
        sleep(Duration::from_millis(300)).await;
        proxy.set_faults(Faults { to_server: Flow::Swallow, to_client: Flow::Swallow });
        sleep(*length).await;
        proxy.heal()?;
        let returned = Instant::now();
        while let Err(error) = store.ensure_org("acme").await {
            ensure!(returned.elapsed() < SOON, "after {}: {error:?}", seconds(*length));
            sleep(Duration::from_millis(5)).await;
        }
        recovered(&format!("{connections} connections, away for {}", seconds(*length)), returned.elapsed(), BACK)?;
        for caller in callers {
            ensure!(caller.await?? > 0, "nobody was answered");
        }
    }
    // The search says goodbye, and what is left is the pool; but for what the proxy keeps open to the server, whose
    // clients' goodbyes it swallowed.
    proxy.cut();
    let mut admin = database.url().parse::<PgConnectOptions>()?.connect().await?;
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'starling' AND pid <> pg_backend_pid()";
    let start = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar(sql).fetch_one(&mut admin).await?;
        if open <= i64::from(connections) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(20), "{open} connections of a pool of {connections}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_succeed_soon_after_postgres_was_out_of_reach_however_long_that_was() {
    println!("the store alone, postgres blackholed:");
    let lengths = [2_500, 4_000, 12_000].map(Duration::from_millis);
    let (small, large) = tokio::join!(outages(1, &lengths), outages(16, &lengths));
    small.and(large).unwrap_or_else(|error| panic!("{error:#}"));
}
