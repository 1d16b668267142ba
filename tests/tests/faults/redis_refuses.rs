//! A Redis that answers and says no: a wrong password, at the start or from one moment to the next, and no memory left.
//! Operators are told once and without secrets, what does not need Redis goes on, and the rest comes back by itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use starling_tests::{client::SOON, cluster::Person, node::Role, process::eventually};

use crate::{
    logs::{Logs, told_by},
    stage::{Stage, all_say, degraded, on_a_cluster, says},
};

const PROMPT: Duration = Duration::from_secs(5);

async fn configure(redis: &mut MultiplexedConnection, name: &str, value: &str) -> Result<()> {
    Ok(redis::cmd("CONFIG").arg(&["SET", name, value]).query_async(redis).await?)
}

/// Waits until Redis sent so many more away who did not know the password.
async fn sends_away(redis: &mut MultiplexedConnection, more: u64) -> Result<()> {
    let mut goal = None;
    let sent_away = async || {
        let info: String = redis::cmd("INFO").arg("errorstats").query_async(redis).await.map_err(|e| e.to_string())?;
        let count = info.lines().find_map(|line| line.strip_prefix("errorstat_WRONGPASS:count="));
        let count: u64 = count.and_then(|count| count.trim().parse().ok()).ok_or(info)?;
        if count >= *goal.get_or_insert(count + more) { Ok(()) } else { Err(count.to_string()) }
    };
    eventually("redis sends more clients away", SOON, sent_away).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_at_the_start_keeps_a_node_out_of_service_and_is_told_once() {
    on_a_cluster(async |cluster| {
        let mut redis = cluster.redis()?.connection().await?;
        configure(&mut redis, "requirepass", "the-right-one").await?;
        let url = format!("redis://:the-wrong-one@127.0.0.1:{}", cluster.redis()?.port());
        let gateway = cluster.start_node_with(Role::Gateway, &[("REDIS_URL", &url)]).await?;
        let api = cluster.start_node_with(Role::Api, &[("REDIS_URL", &url)]).await?;
        for node in [&gateway, &api] {
            says(node, 503, "unready").await;
            ensure!(node.admin_get("/healthz").await?.0 == 200, "it must not be restarted for that");
        }
        // However often it is sent away meanwhile.
        sends_away(&mut redis, 10).await?;
        for node in [&gateway, &api] {
            says(node, 503, "unready").await;
            let told = told_by(node, 0)?;
            ensure!(told.values().all(|times| *times == 1), "{told:#?}");
            let reason = node.log().lines().find(|line| line.contains("Redis is out of reach")).map(str::to_owned);
            let reason = reason.with_context(|| format!("the log does not tell:\n{}", node.log()))?;
            ensure!(reason.to_lowercase().contains("auth") || reason.contains("WRONGPASS"), "{reason}");
            ensure!(!node.log().contains("the-wrong-one"), "the log tells the password");
            ensure!(!node.admin_get("/readyz").await?.1.contains("the-wrong-one"), "readiness tells the password");
        }
        // The password is changed to what these have: they come up by themselves.
        configure(&mut redis, "requirepass", "the-wrong-one").await?;
        for node in [&gateway, &api] {
            says(node, 200, "ready").await;
        }
        let ann = cluster.person("ann").await?;
        let device = ann.connect_to(&gateway).await?;
        let id = ann.group("plans", &[]).await?;
        device.reaches(id, 1).await?;
        device.send(id, "it works").await?;
        device.sees(id, "it works").await?;
        device.check()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_changes_under_running_nodes_is_an_outage_like_others() {
    on_a_cluster(async |cluster| {
        let stage = Stage::set(cluster).await?;
        let logs = Logs::from_now(cluster);
        let talk = stage.talk();
        talk.goes_on(10).await?;
        let mut redis = cluster.redis()?.connection().await?;
        configure(&mut redis, "requirepass", "new").await?;
        for kind in ["pubsub", "normal"] {
            let kill = ["KILL", "TYPE", kind, "SKIPME", "yes"];
            redis::cmd("CLIENT").arg(&kill).query_async::<()>(&mut redis).await?;
        }
        all_say(cluster, 200, "degraded").await;
        talk.goes_on(20).await?;
        stage.catches_up().await?;
        for gateway in &cluster.gateways {
            degraded(gateway, true).await;
        }
        configure(&mut redis, "requirepass", "").await?;
        for gateway in &cluster.gateways {
            degraded(gateway, false).await;
        }
        all_say(cluster, 200, "ready").await;
        talk.goes_on(10).await?;
        stage.whole(talk, PROMPT).await?;
        stage.ensure_nobody_noticed()?;
        // Out of reach, and refused: two states, each told once.
        logs.ensure_calm(cluster, 2)?;
        Ok(())
    })
    .await;
}

/// Whether somebody is there, as another sees it.
async fn state(viewer: &Person, of: &Person) -> Result<String> {
    let presence: Value = viewer.rest.get(&format!("users/{}/presence", of.id)).await?.ok()?;
    Ok(presence["state"].as_str().unwrap_or_default().to_owned())
}

async fn seen_online(viewer: &Person, of: &Person) {
    let online = async || match state(viewer, of).await {
        Ok(state) if state == "online" || state == "active" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually(&format!("{} sees {} online", viewer.name, of.name), SOON, online).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_redis_carries_messages_and_the_rest_comes_back_when_there_is_some() {
    on_a_cluster(async |cluster| {
        let stage = Stage::set(cluster).await?;
        seen_online(&stage.ann, &stage.ben).await;
        let logs = Logs::from_now(cluster);
        let talk = stage.talk();
        talk.goes_on(10).await?;
        let mut redis = cluster.redis()?.connection().await?;
        configure(&mut redis, "maxmemory-policy", "noeviction").await?;
        configure(&mut redis, "maxmemory", "1").await?;
        // A ticket needs a key; who asks for one is told to try again.
        let answer = stage.ann.rest.post("tickets", json!({})).await?;
        ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
        ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
        // Messages need none: they are live, and who comes now gets in.
        talk.goes_on(20).await?;
        let cleo = cluster.person("cleo").await?;
        let late = cleo.connect_to(&cluster.gateways[0]).await?;
        let id = cleo.group("plans without memory", &[&stage.ann]).await?;
        late.reaches(id, 1).await?;
        late.send(id, "here I am").await?;
        stage.devices[1].sees(id, "here I am").await?;
        for gateway in &cluster.gateways {
            ensure!(gateway.metric("starling_degraded").await? < 0.5, "events flow, and {} is degraded", gateway.url());
        }
        configure(&mut redis, "maxmemory", "0").await?;
        let given = async || match stage.ann.rest.post("tickets", json!({})).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually("tickets are given again", SOON, given).await;
        seen_online(&stage.ann, &cleo).await;
        talk.goes_on(10).await?;
        all_say(cluster, 200, "ready").await;
        stage.whole(talk, PROMPT).await?;
        stage.ensure_nobody_noticed()?;
        late.check()?;
        logs.ensure_calm(cluster, 1)?;
        Ok(())
    })
    .await;
}
