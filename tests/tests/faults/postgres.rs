//! Postgres in each condition: nothing is acknowledged that is not committed, what is refused says when to try again,
//! sockets stay, and sends succeed soon after it is back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::ErrorCode;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use starling_tests::{
    client::{SOON, Socket},
    cluster::{Cluster, ClusterConfig},
    process::eventually,
    proxy::{Direction, Faults, Flow},
};
use tokio::time::{Instant, timeout};

use crate::{
    logs::Logs,
    stage::{
        ByProxies, Outage, Stage, all_say, fresh_sends_succeed, on_a_cluster, on_a_cluster_with,
        on_a_cluster_with_its_own_postgres, post, recovered, seconds,
    },
    world::refusal,
};

/// After Postgres returns, sends succeed within this.
const SENDS: Duration = Duration::from_secs(1);
/// An answer, good or bad, comes within this, whatever Postgres does; this is for a busy machine.
const ANSWER: Duration = Duration::from_secs(20);
/// Lines of one kind that a node logs about one outage, however many people meet it.
const CALM: usize = 1;
/// How often connections are terminated.
const ROUNDS: usize = 6;

/// An outage of Postgres for all nodes while people talk.
async fn outage(
    cluster: &mut Cluster,
    name: &str,
    away: impl AsyncFn(&mut Cluster) -> Result<()>,
    back: impl AsyncFn(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let Outage { stage, talk, logs } = Outage::begin(cluster, name, away).await?;
    all_say(cluster, 503, "unready").await;
    // Whoever sends now is told to try again; sockets answer all the while.
    let refused = |number: usize| format!("refused {number} of {name}");
    for (number, device) in stage.devices.iter().enumerate() {
        let text = refused(number);
        let send = json!({"conversation_id": stage.id, "content": text, "client_id": text});
        let reply = timeout(ANSWER, device.command("message.send", send)).await.context("no answer")??;
        let code = refusal(&reply)?;
        ensure!(matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Overloaded), "{reply:?}");
        let retry = reply.error.and_then(|error| error.retry_after_ms);
        ensure!(retry.is_some_and(|after| (1..=5_000).contains(&after)), "no time to try again: {retry:?}");
        ensure!(device.command("ping", json!({})).await?.ok, "{}", device.summary());
    }

    for path in ["conversations", &format!("conversations/{}/messages", stage.id)] {
        let answer = stage.ann.rest.get(path).await?;
        ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
        ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
    }
    // A stranger cannot be signed in; the client is told to come again, not that the token is bad.
    let bearer = format!("Bearer {}", cluster.token("stranger", Duration::from_mins(5))?);
    let upgrade = Socket::open(&cluster.url(), "/v1/ws", &[("authorization", &bearer)]).await?;
    let status = upgrade.err().map(|status| status.as_u16());
    ensure!(status == Some(503), "an upgrade: {status:?}");

    back(cluster).await?;
    let returned = Instant::now();
    let fresh = fresh_sends_succeed(&stage).await?;
    recovered(&format!("{name}: sends succeed"), returned.elapsed(), SENDS)?;
    talk.goes_on(1).await?;
    println!("  who waited for the time to try again got through after {}", seconds(returned.elapsed()));
    all_say(cluster, 200, "ready").await;
    talk.goes_on(10).await?;
    // Whether or not it was committed then, which nobody could know: the same again is one message.
    for (number, device) in stage.devices.iter().enumerate() {
        device.send_as(stage.id, &refused(number), &refused(number)).await?;
    }
    stage.whole_with(talk, fresh + stage.devices.len(), Duration::MAX).await?;
    stage.ensure_nobody_noticed()?;
    println!("  logged: {:?}", logs.ensure_calm(cluster, CALM)?);
    let sql = "SELECT count(*), count(DISTINCT client_id) FROM messages WHERE client_id IS NOT NULL";
    let (rows, different): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut cluster.rows().await?).await?;
    ensure!(rows == different, "{rows} rows of {different} messages");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again() {
    on_a_cluster_with_its_own_postgres(async |cluster| {
        let up = async |cluster: &mut Cluster| cluster.postgres()?.up().await;
        outage(cluster, "postgres killed", async |cluster| cluster.postgres()?.kill().await, up).await?;
        outage(cluster, "postgres stopped", async |cluster| cluster.postgres()?.stop().await, up).await
    })
    .await;
}

async fn outage_by_proxies(cluster: &mut Cluster, name: &str, faults: Faults) -> Result<()> {
    let proxies = ByProxies { of: Cluster::postgres_proxy, faults };
    let away = async |cluster: &mut Cluster| proxies.away(cluster);
    let back = async |cluster: &mut Cluster| proxies.back(cluster);
    outage(cluster, name, away, back).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blackholed() {
    // Few connections: each that a dead call keeps is missed afterwards.
    let env = vec![("STARLING_DATABASE_CONNECTIONS".into(), "3".into())];
    on_a_cluster_with(ClusterConfig { env, ..ClusterConfig::default() }, async |cluster| {
        let faults = Faults { to_server: Flow::Swallow, to_client: Flow::Swallow };
        outage_by_proxies(cluster, "postgres blackholed", faults).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open() {
    on_a_cluster(async |cluster| {
        let mute = Faults::one(Direction::ToClient, Flow::Swallow);
        outage_by_proxies(cluster, "postgres is not heard", mute).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen() {
    on_a_cluster(async |cluster| {
        let faults = Faults { to_server: Flow::Stall, to_client: Flow::Stall };
        outage_by_proxies(cluster, "postgres frozen", faults).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_terminated_again_and_again() {
    on_a_cluster(async |cluster| {
        println!("connections to postgres terminated:");
        let stage = Stage::set(cluster).await?;
        let logs = Logs::from_now(cluster);
        let talk = stage.talk();
        talk.goes_on(10).await?;
        let mut admin = cluster.rows().await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..ROUNDS {
            ensure!(terminate(&mut admin).await? > 0, "there was no connection to terminate");
            slowest = slowest.max(talk.goes_on(3).await?);
        }
        recovered("everybody sent three more", slowest, SENDS)?;
        stage.whole(talk, ANSWER).await?;
        stage.ensure_nobody_noticed()?;
        println!("  logged: {:?}", logs.ensure_calm(cluster, ROUNDS)?);
        all_say(cluster, 200, "ready").await;
        Ok(())
    })
    .await;
}

/// Ends every session of the database but this one.
async fn terminate(admin: &mut PgConnection) -> Result<usize> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    Ok(sqlx::query(sql).fetch_all(admin).await?.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_somebody_holds_locked_refuses_in_time_and_works_when_it_is_released() {
    on_a_cluster(async |cluster| {
        println!("a conversation held locked:");
        let stage = Stage::set(cluster).await?;
        let other = stage.ann.group("other plans", &[&stage.ben]).await?;
        let mut admin = cluster.rows().await?;
        let mut lock = admin.begin().await?;
        sqlx::query("SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE")
            .bind(stage.id.0)
            .execute(&mut *lock)
            .await?;
        let started = Instant::now();
        let refused = stage.devices.iter().enumerate().map(async |(number, device)| {
            let text = format!("locked out {number}");
            let send = json!({"conversation_id": stage.id, "content": text, "client_id": text});
            let reply = timeout(ANSWER, device.command("message.send", send)).await.context("no answer")??;
            let code = refusal(&reply)?;
            ensure!(matches!(code, ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::Timeout), "{reply:?}");
            ensure!(reply.error.is_some_and(|error| error.retry_after_ms.is_some()), "no time to try again");
            anyhow::Ok(())
        });
        let by_rest = async {
            let body = json!({"content": "locked out by rest", "client_id": "locked out by rest"});
            let answer = stage.ann.rest.post(&format!("conversations/{}/messages", stage.id), body).await?;
            let (status, code) = answer.problem()?;
            ensure!(status == 503 && ["unavailable", "overloaded", "timeout"].contains(&&*code), "{answer:?}");
            ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
            anyhow::Ok(())
        };
        tokio::try_join!(futures_util::future::try_join_all(refused), by_rest)?;
        println!("  refused after {}", seconds(started.elapsed()));
        // Nobody else's conversation is held up for ever.
        post(&stage.ben, other, "elsewhere").await?;
        let sql = "SELECT count(*) FROM messages WHERE conversation_id = $1 AND client_id IS NOT NULL";
        let rows: i64 = sqlx::query_scalar(sql).bind(stage.id.0).fetch_one(&mut *lock).await?;
        ensure!(rows == 0, "{rows} messages were written under somebody else's lock");
        lock.rollback().await?;
        let released = Instant::now();
        for (number, device) in stage.devices.iter().enumerate() {
            let text = format!("locked out {number}");
            device.send_as(stage.id, &text, &text).await?;
        }
        post(&stage.ann, stage.id, "locked out by rest").await?;
        recovered("sends succeed when the lock goes", released.elapsed(), SENDS)?;
        let rows: i64 = sqlx::query_scalar(sql).bind(stage.id.0).fetch_one(&mut admin).await?;
        ensure!(rows == 5, "{rows} rows of 5 messages");
        stage.catches_up().await?;
        stage.ensure_nobody_noticed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_that_the_node_loses_is_tried_again() {
    on_a_cluster(async |cluster| {
        let stage = Stage::set(cluster).await?;
        let cleo = cluster.person("cleo").await?;
        let (mut admin, mut looker) = (cluster.rows().await?, cluster.rows().await?);
        // The database gives up the one whose patience ends first: the node.
        sqlx::query("SET deadlock_timeout = '60s'").execute(&mut admin).await?;
        let mut before: i64 = deadlocks(&mut looker).await?;
        for round in 0..3 {
            // Against the order of locks: the user first, whom the node locks after the conversation.
            let mut lock = admin.begin().await?;
            sqlx::query("SELECT 1 FROM users WHERE id = $1 FOR UPDATE").bind(cleo.id.0).execute(&mut *lock).await?;
            let path = format!("conversations/{}/participants", stage.id);
            let adding = async {
                if round % 2 == 0 {
                    stage.ann.rest.post(&path, json!({"user_ids": [cleo.id]})).await?.done()
                } else {
                    stage.ann.rest.delete(&format!("{path}/{}", cleo.id)).await?.done()
                }
            };
            let crossing = async {
                let waits = async || {
                    let sql = "SELECT count(*) FROM pg_stat_activity \
                               WHERE datname = current_database() AND wait_event_type = 'Lock'";
                    match sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut looker).await {
                        Ok(1..) => Ok(()),
                        other => Err(format!("{other:?}")),
                    }
                };
                eventually("the node waits for the user", SOON, waits).await;
                let sql = "SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE";
                sqlx::query(sql).bind(stage.id.0).execute(&mut *lock).await?;
                lock.rollback().await?;
                anyhow::Ok(())
            };
            timeout(SOON, async { tokio::try_join!(adding, crossing) }).await.context("nobody gave way")??;
            let seen = async || match deadlocks(&mut looker).await {
                Ok(seen) if seen > before => Ok(seen),
                other => Err(format!("{other:?}")),
            };
            before = eventually("the database counts a deadlock", SOON, seen).await;
        }
        stage.catches_up().await?;
        stage.ensure_nobody_noticed()
    })
    .await;
}

async fn deadlocks(looker: &mut PgConnection) -> Result<i64> {
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(sql).fetch_one(looker).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serialisation_failures_are_tried_again() {
    on_a_cluster(async |cluster| {
        println!("every transaction is REPEATABLE READ:");
        let mut admin = cluster.rows().await?;
        let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut admin).await?;
        let sql = format!(r#"ALTER DATABASE "{name}" SET default_transaction_isolation = 'repeatable read'"#);
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await?;
        terminate(&mut admin).await?;
        // First calls may find that their connections are gone, and say so.
        eventually("nodes connect anew", SOON, async || cluster.person("ann").await).await;
        let stage = Stage::set(cluster).await?;
        let rollbacks = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        let before: i64 = sqlx::query_scalar(rollbacks).fetch_one(&mut admin).await?;
        // Two gateways and an api node write to one conversation: each finds it changed since it looked.
        let talk = stage.talk();
        talk.goes_on(40).await?;
        stage.whole(talk, Duration::MAX).await?;
        let failed = async || match sqlx::query_scalar::<_, i64>(rollbacks).fetch_one(&mut admin).await {
            Ok(now) if now > before => Ok(now - before),
            other => Err(format!("{other:?}")),
        };
        let failed = eventually("transactions fail, or this proves nothing", SOON, failed).await;
        println!("  {failed} transactions were rolled back");
        stage.ensure_nobody_noticed()
    })
    .await;
}
