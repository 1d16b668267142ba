//! Redis is a hint: nodes that start without it serve whoever reaches them. Outages under running nodes are in
//! `tests/faults`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::ConversationId;
use serde_json::json;
use starling_tests::{
    client::{Client, SOON},
    cluster::Cluster,
    node::{Node, Role},
    process::eventually,
};
use tokio::time::Instant;

use crate::world::{agree, people, scenarios, texts};

scenarios! {
    on_a_cluster_that_loses_redis: [
        nodes_that_start_without_redis_serve_and_recover_by_themselves,
    ];
}

/// No acknowledgement may wait for Redis; this is for a busy machine.
const PROMPT: Duration = Duration::from_secs(5);
/// Lines that a node may log about one outage, however much is sent during it.
const CALM: usize = 25;

async fn send_promptly(device: &Client, id: ConversationId, text: &str) -> Result<()> {
    let start = Instant::now();
    device.send(id, text).await?;
    ensure!(start.elapsed() < PROMPT, "{text:?} was acknowledged after {:?}", start.elapsed());
    Ok(())
}

/// Waits until a node says this of itself, with this status.
async fn says(node: &Node, status: u16, word: &str) {
    let what = format!("readiness of {:?} {} says {status} {word}", node.role(), node.url());
    eventually(&what, SOON, async || match node.admin_get("/readyz").await {
        Ok((seen, body)) if seen == status && body.contains(&format!("\"{word}\"")) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

fn nodes(cluster: &Cluster) -> impl Iterator<Item = &Node> {
    cluster.gateways.iter().chain(&cluster.apis)
}

fn log_lines(cluster: &Cluster) -> Vec<usize> {
    nodes(cluster).map(|node| node.log().lines().count()).collect()
}

fn ensure_calm(cluster: &Cluster, before: &[usize]) -> Result<()> {
    for ((node, before), now) in nodes(cluster).zip(before).zip(log_lines(cluster)) {
        ensure!(now - before <= CALM, "{:?} {} logged {} lines of one outage", node.role(), node.url(), now - before);
    }
    Ok(())
}

async fn nodes_that_start_without_redis_serve_and_recover_by_themselves(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    cluster.redis()?.kill()?;
    let (gateway, api) = (cluster.start_node(Role::Gateway).await?, cluster.start_node(Role::Api).await?);
    cluster.gateways.push(gateway);
    cluster.apis.push(api);
    let (late, rest) = (cluster.gateways.len() - 1, ann.rest.at(cluster.apis[1].url()));
    // They listen and work; but a node that never worked as it should does not take over from those that do.
    for node in [&cluster.gateways[late], &cluster.apis[1]] {
        ensure!(node.admin_get("/healthz").await?.0 == 200);
        says(node, 503, "unready").await;
    }
    let anns = ann.connect_to(&cluster.gateways[late]).await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let created = rest.post("conversations", json!({"kind": "group", "title": "plans", "participant_ids": [ben.id]}));
    let id = created.await?.ok::<protocol::Conversation>()?.id;
    anns.reaches(id, 1).await?;
    bens.reaches(id, 1).await?;
    for number in 0..10 {
        send_promptly(&anns, id, &format!("without {number}")).await?;
        send_promptly(&bens, id, &format!("me too {number}")).await?;
    }
    agree(&ben, id, [&anns, &bens]).await?;
    let before = log_lines(cluster);
    cluster.redis()?.up().await?;
    for node in nodes(cluster) {
        says(node, 200, "ready").await;
    }
    cluster.route().await?;
    let through = ann.connect().await?;
    through.load(id).await?;
    send_promptly(&anns, id, "and with").await?;
    let truth = agree(&ben, id, [&anns, &bens, &through]).await?;
    ensure!(texts(&truth).len() == 21, "{truth:?}");
    ensure_calm(cluster, &before).context("on recovery")
}
