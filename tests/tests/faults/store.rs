//! The store alone behind a proxy: however long Postgres was out of reach, calls succeed within a second of its return,
//! over a pool as small as one connection, and never more connections than are documented; and a Postgres that is only
//! slow to connect to is not taken for one that is away.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use starling_tests::{
    client::SOON,
    postgres::TestDatabase,
    process::eventually,
    proxy::{Direction, Faults, Flow, Proxy},
};
use store::{
    Store, StoreError,
    postgres::{PostgresConfig, PostgresStore},
};
use tokio::time::{Instant, sleep, timeout};

use crate::stage::{recovered, seconds};

/// After Postgres returns, calls succeed within this.
const BACK: Duration = Duration::from_secs(1);
/// Callers that come all the while, between two of their calls.
const CALLERS: usize = 8;
const PACE: Duration = Duration::from_millis(20);
/// Attempts of a search for Postgres that hang at a time (docs/configuration.md).
const ATTEMPTS: usize = 8;
/// A call that was wrongly taken for one that hangs would have ended within this; and a call that takes longer has
/// somebody look for Postgres.
const WRONGLY: Duration = Duration::from_secs(2);

/// A store that reaches its database through a proxy.
async fn behind_a_proxy(config: PostgresConfig) -> Result<(TestDatabase, Proxy, PostgresStore)> {
    let database = TestDatabase::create().await?;
    let port = database.url().parse::<PgConnectOptions>()?.get_port();
    let proxy = Proxy::postgres(port)?;
    let url = database.url().replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", proxy.port()));
    ensure!(url != database.url(), "the database is not at 127.0.0.1");
    let store = PostgresStore::connect(PostgresConfig { url, ..config })?;
    store.ensure_org("acme").await?;
    Ok((database, proxy, store))
}

/// Calls until `until`; how often it was answered.
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

/// Connections to this port of 127.0.0.1 that are open, or are being made, as those who made them see it (a server
/// behind a black hole does not hear of their end); each by its own address.
fn connections_to(port: u16) -> Result<HashSet<String>> {
    let (address, table) = (format!("0100007F:{port:04X}"), fs::read_to_string("/proc/self/net/tcp")?);
    let open = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let &[_, own, other, state, ..] = &fields[..] else { return None };
        (other == address && ["01", "02"].contains(&state)).then(|| own.to_owned())
    });
    Ok(open.collect())
}

/// Counts them again and again; the most that were open at one moment.
async fn count(port: u16, most: Arc<AtomicUsize>) -> Result<()> {
    let mut before = connections_to(port)?;
    loop {
        sleep(Duration::from_millis(2)).await;
        // A look at the table takes its time. Who is there before a moment and after it is there at that moment.
        let now = connections_to(port)?;
        most.fetch_max(before.intersection(&now).count(), Relaxed);
        before = now;
    }
}

async fn outages(connections: u32, lengths: &[Duration]) -> Result<()> {
    let config = PostgresConfig { max_connections: connections, ..PostgresConfig::new("") };
    let (_database, proxy, store) = behind_a_proxy(config).await?;
    let (port, places, most) = (proxy.port(), connections as usize, Arc::new(AtomicUsize::new(0)));
    let open = connections_to(port)?;
    ensure!((1..=places).contains(&open.len()), "after the first call there are {open:?}");
    let counting = tokio::spawn(count(port, Arc::clone(&most)));
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
        // Connections that sqlx was asking when the silence began wait for their end by the kernel, which is this.
        proxy.cut();
        let ended = async || match connections_to(port) {
            Ok(open) if open.len() <= places => Ok(()),
            open => Err(format!("{open:?} of a pool of {places}")),
        };
        eventually("what was given up ends", SOON, ended).await;
    }
    ensure!(!counting.is_finished(), "connections cannot be counted: {:?}", counting.await?);
    counting.abort();
    let most = most.load(Relaxed);
    println!("  a pool of {places}: {most} connections at most");
    // The pool, the one before, and the search.
    ensure!(most <= 2 * places + ATTEMPTS, "{most} connections of a pool of {places}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_succeed_soon_after_postgres_was_out_of_reach_however_long_that_was() {
    println!("the store alone, postgres blackholed:");
    let lengths = [2_500, 4_000, 12_000].map(Duration::from_millis);
    let (small, large) = tokio::join!(outages(1, &lengths), outages(16, &lengths));
    small.and(large).unwrap_or_else(|error| panic!("{error:#}"));
}

/// A call waits for a lock, and from then on connections take so long to make, while other things happen.
async fn while_a_call_waits(
    connections: u32,
    to_connect: Duration,
    meanwhile: impl AsyncFnOnce(&Proxy, &PostgresStore) -> Result<()>,
) -> Result<()> {
    let patient = PostgresConfig {
        max_connections: connections,
        statement_timeout: 3 * SOON,
        lock_timeout: 3 * SOON,
        call_timeout: 3 * SOON,
        ..PostgresConfig::new("")
    };
    let (database, proxy, store) = behind_a_proxy(patient).await?;
    let (mut holder, mut looker) = (database.connection().await?, database.connection().await?);
    let mut lock = holder.begin().await?;
    sqlx::query("SELECT 1 FROM meta FOR UPDATE").execute(&mut *lock).await?;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.new_epoch().await }
    });
    eventually("the call waits for the lock", SOON, async || waits(&mut looker).await).await;
    if connections > 1 {
        // On a second connection, which is idle from then on.
        store.ensure_org("acme").await?;
    }
    let late = Flow::Delay { base: to_connect, jitter: Duration::ZERO, seed: 0 };
    proxy.set_for_new(Faults::one(Direction::ToClient, late));

    meanwhile(&proxy, &store).await?;
    ensure!(!waiting.is_finished(), "a call that waits for a lock was ended: {:?}", waiting.await?.err());
    lock.rollback().await?;
    timeout(SOON, waiting).await.context("the lock is gone")???;
    // It is the same pool.
    let before = proxy.counts().accepted;
    store.ensure_org("acme").await?;
    ensure!(proxy.counts().accepted == before, "the pool was thrown away");
    Ok(())
}

async fn waits(looker: &mut PgConnection) -> Result<(), String> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    match sqlx::query_scalar::<_, i64>(sql).fetch_one(looker).await {
        Ok(1..) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_slow_to_connect_to_is_not_away() {
    // No connection of the pool is free to say that Postgres is there.
    while_a_call_waits(1, Duration::from_millis(700), async |proxy, _| {
        let before = proxy.counts();
        let looked = async || match proxy.counts() {
            now if now.accepted > before.accepted && now.open == before.open => Ok(()),
            now => Err(format!("{now:?}")),
        };
        eventually("somebody looks for Postgres, and finds it", SOON, looked).await;
        sleep(WRONGLY).await;
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_can_connect_to_is_not_away_while_it_answers_on_older_connections() {
    while_a_call_waits(2, SOON, async |_, store| {
        let until = Instant::now() + 2 * WRONGLY;
        while Instant::now() < until {
            store.ensure_org("acme").await?;
            sleep(PACE).await;
        }
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));
}
