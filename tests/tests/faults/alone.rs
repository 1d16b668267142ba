//! One gateway is cut off from what all share, and the others notice nothing.

use std::time::Duration;

use anyhow::{Context, ensure};
use protocol::ErrorCode;
use serde_json::json;
use starling_tests::proxy::Flow;
use tokio::time::Instant;

use crate::{
    logs::Logs,
    stage::{Stage, degraded, nodes, on_a_cluster, recovered, says},
    world::refusal,
};

const WHOLE: Duration = Duration::from_secs(2);
const PROMPT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_without_the_bus() {
    on_a_cluster(async |cluster| {
        println!("one gateway without redis:");
        let stage = Stage::set(cluster).await?;
        let (cut, others) = (&cluster.gateways[0], [&cluster.gateways[1], &cluster.apis[0]]);
        let proxy = cluster.redis_proxy(cut)?;
        let mut sent = 0;
        for swallow in [false, true] {
            let logs = Logs::from_now(cluster);
            let talk = stage.talk();
            talk.goes_on(10).await?;
            if swallow {
                proxy.set(Flow::Swallow);
            } else {
                proxy.down();
            }
            says(cut, 200, "degraded").await;
            degraded(cut, true).await;
            // It commits, and it reads what the others commit: later, but all of it.
            talk.goes_on(20).await?;
            let late = stage.catches_up().await?;
            recovered("meanwhile, everybody has what is committed", late, WHOLE)?;
            for other in others {
                says(other, 200, "ready").await;
                ensure!(other.metric("starling_degraded").await? < 0.5, "{} is degraded too", other.url());
            }
            proxy.heal()?;
            let returned = Instant::now();
            stage.catches_up().await?;
            recovered("whole", returned.elapsed(), WHOLE)?;
            degraded(cut, false).await;
            says(cut, 200, "ready").await;
            talk.goes_on(10).await?;
            sent = stage.whole_with(talk, sent, PROMPT).await?;
            stage.ensure_nobody_noticed()?;
            let told = logs.ensure_calm(cluster, 1)?;
            ensure!(told[0].contains_key("degraded"), "the node does not tell: {told:?}");
            ensure!(told[1..].iter().all(std::collections::BTreeMap::is_empty), "the others complain: {told:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_without_the_database() {
    on_a_cluster(async |cluster| {
        println!("one gateway without postgres:");
        let stage = Stage::set(cluster).await?;
        let (cut, others) = (&cluster.gateways[0], [&cluster.gateways[1], &cluster.apis[0]]);
        let proxy = cluster.postgres_proxy(cut)?;
        // Of each person the first device is on the gateway that is cut off.
        let (here, there) = ([&stage.devices[0], &stage.devices[2]], [&stage.devices[1], &stage.devices[3]]);
        proxy.down();
        says(cut, 503, "unready").await;
        for (number, device) in here.iter().enumerate() {
            let text = format!("cut off {number}");
            let send = json!({"conversation_id": stage.id, "content": text, "client_id": text});
            let reply = device.command("message.send", send).await?;
            ensure!(refusal(&reply)? == ErrorCode::Unavailable, "{reply:?}");
            ensure!(reply.error.is_some_and(|error| error.retry_after_ms.is_some()), "no time to try again");
        }
        // What the others commit flows live to those who are cut off.
        for number in 0..20 {
            let message = there[number % 2].send(stage.id, &format!("there {number}")).await?;
            for device in here {
                device.reaches(stage.id, message.seq).await.context("without the database")?;
            }
        }
        for other in others {
            says(other, 200, "ready").await;
        }
        proxy.heal()?;
        let returned = Instant::now();
        for (number, device) in here.iter().enumerate() {
            let text = format!("cut off {number}");
            device.send_as(stage.id, &text, &text).await?;
        }
        recovered("sends succeed", returned.elapsed(), Duration::from_secs(1))?;
        says(cut, 200, "ready").await;
        let talk = stage.talk();
        talk.goes_on(5).await?;
        stage.catches_up().await?;
        talk.end().await?;
        for node in nodes(cluster) {
            says(node, 200, "ready").await;
        }
        stage.ensure_nobody_noticed()
    })
    .await;
}
