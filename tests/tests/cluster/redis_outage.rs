//! Redis is a hint: without it sends commit and are acknowledged, and what was published to nobody is delivered all
//! the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::ConversationId;
use serde_json::json;
use starling_tests::{
    client::{Client, SOON},
    cluster::{Cluster, Person},
    node::{Node, Role},
    process::eventually,
};
use tokio::time::Instant;

use crate::world::{agree, devices, people, scenarios, texts};

scenarios! {
    on_a_cluster_that_loses_redis: [
        sends_are_acknowledged_while_redis_is_down_and_everybody_gets_them,
        sends_are_acknowledged_while_redis_is_frozen_and_everybody_gets_them,
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

async fn say_promptly(person: &Person, id: ConversationId, text: &str) -> Result<()> {
    let start = Instant::now();
    person.rest.post(&format!("conversations/{id}/messages"), json!({"content": text})).await?.done()?;
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

async fn sends_are_acknowledged_while_redis_is_down_and_everybody_gets_them(cluster: &mut Cluster) -> Result<()> {
    through_an_outage(cluster, async |cluster| cluster.redis()?.kill(), async |cluster| cluster.redis()?.up().await)
        .await
}

async fn sends_are_acknowledged_while_redis_is_frozen_and_everybody_gets_them(cluster: &mut Cluster) -> Result<()> {
    through_an_outage(cluster, async |cluster| cluster.redis()?.freeze(), async |cluster| cluster.redis()?.thaw()).await
}

async fn through_an_outage(
    cluster: &mut Cluster,
    away: impl AsyncFn(&mut Cluster) -> Result<()>,
    back: impl AsyncFn(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
    }
    for outage in 0..2 {
        let before = log_lines(cluster);
        let texts = |when: &str| (0..20).map(move |number| format!("{when} {outage}: {number}")).collect::<Vec<_>>();
        // Redis goes while sends are under way.
        let going = async {
            all[0].sees(id, &format!("going {outage}: 5")).await?;
            away(cluster).await
        };
        let sending = async {
            for (number, text) in texts("going").iter().enumerate() {
                send_promptly(&all[number % all.len()], id, text).await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(going, sending)?;
        for node in nodes(cluster) {
            says(node, 200, "degraded").await;
        }
        for (number, text) in texts("without").iter().enumerate() {
            send_promptly(&all[number % all.len()], id, text).await?;
        }
        say_promptly(&ann, id, &format!("by rest {outage}")).await?;
        // Nodes read from the store meanwhile: nobody waits for Redis to come back.
        let made = ann.group(&format!("made without Redis {outage}"), &[&ben]).await?;
        say_promptly(&ann, made, "first").await?;
        agree(&ben, id, &all).await?;
        agree(&ben, made, &all).await?;
        for device in &all {
            ensure!(device.connections() == 1, "a socket did not stay: {}", device.summary());
        }

        back(cluster).await?;
        for node in nodes(cluster) {
            says(node, 200, "ready").await;
        }
        for (number, text) in texts("after").iter().enumerate() {
            send_promptly(&all[number % all.len()], id, text).await?;
        }
        let truth = agree(&ben, id, &all).await?;
        ensure!(crate::world::texts(&truth).len() == 61 * (outage + 1), "{truth:?}");
        agree(&ben, made, &all).await?;
        ensure_calm(cluster, &before)?;
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
