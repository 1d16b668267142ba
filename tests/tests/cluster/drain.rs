//! SIGTERM: readiness fails, clients move, nobody misses anything, the process ends with 0.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::Message;
use starling_tests::{
    client::{Client, MOVED, SOON, Socket},
    cluster::Cluster,
    process::eventually,
};
use tokio::sync::watch;

use crate::world::{agree, devices, people, scenarios, texts};

scenarios! {
    on_a_cluster: [
        a_gateway_that_is_told_to_end_moves_its_clients_and_nobody_misses_anything,
        an_api_node_that_is_told_to_end_finishes_what_it_was_asked,
    ];
    on_one_node: [a_node_that_is_told_to_end_keeps_everything_and_clients_come_back_to_it];
}

/// Sends one text after the other until it is told to stop.
async fn talk(
    device: &Client,
    id: protocol::ConversationId,
    who: usize,
    mut stop: watch::Receiver<bool>,
) -> Result<Vec<Message>> {
    let mut sent = Vec::new();
    while !*stop.borrow_and_update() {
        sent.push(device.send(id, &format!("{} of {who}", sent.len())).await?);
        // People think between two messages.
        let _ = tokio::time::timeout(Duration::from_millis(20), stop.changed()).await;
    }
    Ok(sent)
}

/// Everything that was acknowledged is there, and everybody sees it once.
async fn ensure_kept(
    person: &starling_tests::cluster::Person,
    id: protocol::ConversationId,
    sent: Vec<Vec<Message>>,
    all: &[Client],
) -> Result<()> {
    let truth = agree(person, id, all).await?;
    let sent: Vec<_> = sent.into_iter().flatten().collect();
    for message in &sent {
        ensure!(truth.get(&message.seq) == Some(message), "acknowledged and not there: {message:?}");
    }
    ensure!(texts(&truth).len() == sent.len(), "{} sent, {} there", sent.len(), texts(&truth).len());
    for device in all {
        ensure!(device.view().repeats == 0, "{}", device.summary());
        let codes = device.closes();
        ensure!(codes.iter().all(|code| [MOVED, 4000].contains(code)), "not a clean move: {}", device.summary());
    }
    Ok(())
}

async fn a_gateway_that_is_told_to_end_moves_its_clients_and_nobody_misses_anything(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    all.extend(try_join_all((0..6).map(|_| ben.connect_to(&cluster.gateways[0]))).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let url = cluster.url();
    for device in &all {
        device.reaches(id, 1).await?;
        device.next_node(&url);
    }
    let (stop, stopped) = watch::channel(false);
    let talking = try_join_all(all.iter().enumerate().map(|(who, device)| talk(device, id, who, stopped.clone())));
    let node = &mut cluster.gateways[0];
    let ending = async {
        all[0].reaches(id, 10).await?;
        node.terminate()?;
        eventually("readiness fails", SOON, async || match node.admin_get("/readyz").await {
            Ok((503, body)) if body.contains("draining") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        let left = node.metric("starling_connections").await?;
        ensure!(left > 0.0, "clients were moved before readiness failed");
        let bearer = format!("Bearer {}", ann.token);
        let upgrade = async |base: &str| Socket::open(base, "/v1/ws", &[("authorization", &bearer)]).await;
        let refused = upgrade(node.url()).await?.err().map(|status| status.as_u16());
        ensure!(refused == Some(503), "an upgrade on the node itself: {refused:?}");
        // Whoever comes by way of the load balancer meets the other one, all the while.
        let mut came = 0;
        let ended = loop {
            let mut socket = upgrade(&url).await?.ok().context("the load balancer refused an upgrade")?;
            socket.until("connected").await?;
            socket.close().await?;
            came += 1;
            if let Ok(ended) = node.ended(Duration::from_millis(20)).await {
                break ended;
            }
            ensure!(came < 2_000, "the node does not end");
        };
        ensure!(ended.code() == Some(0), "it ended with {ended}");
        stop.send_replace(true);
        anyhow::Ok(came)
    };
    let (sent, came) = tokio::try_join!(talking, ending)?;
    ensure!(came > 1, "it ended before anybody could come");
    let moved = all.iter().filter(|device| device.connections() == 2).count();
    ensure!(moved >= 8, "only {moved} clients moved: {all:?}");
    ensure_kept(&ben, id, sent, &all).await
}

async fn an_api_node_that_is_told_to_end_finishes_what_it_was_asked(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all = devices(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let path = format!("conversations/{id}/messages");
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (rest, path) = (ann.rest.at(cluster.apis[0].url()), path.clone());
        let body = serde_json::json!({"content": format!("text {number}"), "client_id": number.to_string()});
        asked.spawn(async move { rest.post(&path, body).await });
    }
    // Some are answered, some under way, some not yet there.
    let first = asked.join_next().await.context("nothing was asked")???;
    cluster.apis[0].terminate()?;
    let mut sent = vec![first.ok::<Message>()?];
    while let Some(answer) = asked.join_next().await {
        // A connection that comes too late is refused; one that was accepted is answered.
        if let Ok(answer) = answer? {
            sent.push(answer.ok()?);
        }
    }
    let ended = cluster.apis[0].ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}");
    let answer = ann.rest.get("me").await?;
    ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
    ensure!(answer.headers.contains_key("retry-after"), "{answer:?}");
    for device in &all {
        for message in &sent {
            device.sees(id, &message.content).await?;
        }
        ensure!(device.connections() == 1, "{}", device.summary());
        device.check()?;
    }
    Ok(())
}

async fn a_node_that_is_told_to_end_keeps_everything_and_clients_come_back_to_it(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let (stop, stopped) = watch::channel(false);
    let talking = try_join_all(all.iter().enumerate().map(async |(who, device)| {
        device.reaches(id, 1).await?;
        talk(device, id, who, stopped.clone()).await
    }));
    let node = &mut cluster.gateways[0];
    let ending = async {
        all[0].reaches(id, 10).await?;
        node.terminate()?;
        let ended = node.ended(SOON).await?;
        ensure!(ended.code() == Some(0), "it ended with {ended}");
        node.restart().await?;
        node.ready().await?;
        for device in &all {
            device.live().await?;
        }
        stop.send_replace(true);
        Ok(())
    };
    let (sent, ()) = tokio::try_join!(talking, ending)?;
    ensure_kept(&ben, id, sent, &all).await
}
