//! Redis in each condition in which it carries nothing: sends are acknowledged and kept, delivery goes on late, read
//! from the store, and is live again soon after Redis is back.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{
    client::SOON,
    cluster::Cluster,
    process::eventually,
    proxy::{Direction, Faults, Flow},
};
use tokio::time::Instant;

use crate::{
    logs::Logs,
    stage::{ByProxies, Outage, Stage, all_say, degraded, nodes, on_a_cluster, post, recovered, seconds},
    world::agree,
};

/// No acknowledgement may wait for Redis; this is for a busy machine.
const PROMPT: Duration = Duration::from_secs(5);
/// After Redis returns, delivery is whole within this.
const WHOLE: Duration = Duration::from_secs(2);

/// An outage of Redis for all nodes while people talk.
async fn outage(
    cluster: &mut Cluster,
    name: &str,
    away: impl AsyncFn(&mut Cluster) -> Result<()>,
    back: impl AsyncFn(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let Outage { stage, talk, logs } = Outage::begin(cluster, name, away).await?;
    all_say(cluster, 200, "degraded").await;
    for gateway in &cluster.gateways {
        degraded(gateway, true).await;
    }
    talk.goes_on(20).await?;
    // What is new meanwhile is found as well.
    let made = stage.ann.group(&format!("made while {name}"), &[&stage.ben]).await?;
    post(&stage.ann, made, "first").await?;
    agree(&stage.ben, made, stage.devices.iter().map(AsRef::as_ref)).await?;
    println!("  meanwhile, everybody has what is committed after {}", seconds(stage.catches_up().await?));

    back(cluster).await?;
    let returned = Instant::now();
    stage.catches_up().await?;
    let whole = returned.elapsed();
    for gateway in &cluster.gateways {
        degraded(gateway, false).await;
    }
    println!("  events flow again after {}", seconds(returned.elapsed()));
    recovered(&format!("{name}: whole"), whole, WHOLE)?;
    all_say(cluster, 200, "ready").await;
    talk.goes_on(10).await?;
    stage.whole(talk, PROMPT).await?;
    post(&stage.ben, made, "last").await?;
    agree(&stage.ben, made, stage.devices.iter().map(AsRef::as_ref)).await?;
    stage.ensure_nobody_noticed()?;
    for (node, told) in nodes(cluster).zip(logs.ensure_calm(cluster, 1)?) {
        ensure!(told.contains_key("degraded"), "{:?} does not tell of the outage: {told:?}", node.role());
    }
    Ok(())
}

async fn outage_by_proxies(cluster: &mut Cluster, name: &str, faults: Faults) -> Result<()> {
    let proxies = ByProxies { of: Cluster::redis_proxy, faults };
    let away = async |cluster: &mut Cluster| proxies.away(cluster);
    let back = async |cluster: &mut Cluster| proxies.back(cluster);
    outage(cluster, name, away, back).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again() {
    on_a_cluster(async |cluster| {
        let up = async |cluster: &mut Cluster| cluster.redis()?.up().await;
        outage(cluster, "redis killed", async |cluster| cluster.redis()?.kill(), up).await?;
        let stop = async |cluster: &mut Cluster| cluster.redis()?.stop().await;
        outage(cluster, "redis stopped", stop, up).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blackholed() {
    on_a_cluster(async |cluster| {
        let faults = Faults { to_server: Flow::Swallow, to_client: Flow::Swallow };
        outage_by_proxies(cluster, "redis blackholed", faults).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_either_way() {
    on_a_cluster(async |cluster| {
        let deaf = Faults::one(Direction::ToServer, Flow::Swallow);
        outage_by_proxies(cluster, "redis does not hear", deaf).await?;
        let mute = Faults::one(Direction::ToClient, Flow::Swallow);
        outage_by_proxies(cluster, "redis is not heard", mute).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen() {
    on_a_cluster(async |cluster| {
        let thaw = async |cluster: &mut Cluster| cluster.redis()?.thaw();
        outage(cluster, "redis frozen", async |cluster| cluster.redis()?.freeze(), thaw).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused() {
    on_a_cluster(async |cluster| {
        let pause = async |cluster: &mut Cluster| {
            let mut connection = cluster.redis()?.connection().await?;
            Ok(redis::cmd("CLIENT").arg(&["PAUSE", "8000", "ALL"]).query_async(&mut connection).await?)
        };
        // It answers again when the pause is over.
        let over = async |cluster: &mut Cluster| {
            let answers = async || match cluster.redis()?.connection().await {
                Ok(mut connection) => Ok(redis::cmd("PING").query_async::<String>(&mut connection).await?),
                Err(error) => Err(error),
            };
            eventually("the pause is over", SOON, answers).await;
            Ok(())
        };
        outage(cluster, "redis paused", pause, over).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_killed_again_and_again() {
    on_a_cluster(async |cluster| {
        const ROUNDS: usize = 5;
        println!("connections to redis killed:");
        let stage = Stage::set(cluster).await?;
        let logs = Logs::from_now(cluster);
        let talk = stage.talk();
        talk.goes_on(10).await?;
        let mut redis = cluster.redis()?.connection().await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..ROUNDS {
            for kind in ["pubsub", "normal"] {
                let kill = ["KILL", "TYPE", kind, "SKIPME", "yes"];
                let killed: usize = redis::cmd("CLIENT").arg(&kill).query_async(&mut redis).await?;
                ensure!(killed > 0, "there was no {kind} connection to kill");
                slowest = slowest.max(stage.catches_up().await?);
                talk.goes_on(3).await?;
            }
        }
        recovered("whole after each kill", slowest, WHOLE)?;
        stage.whole(talk, PROMPT).await?;
        stage.ensure_nobody_noticed()?;
        all_say(cluster, 200, "ready").await;
        logs.ensure_calm(cluster, 2 * ROUNDS)?;
        Ok(())
    })
    .await;
}
