//! SIGTERM: readiness fails, clients move, nobody misses anything, the process ends with 0.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::Message;
use serde_json::json;
use starling_tests::{
    client::{Client, EventStream, Frame, MOVED, Pass, SOON, Socket},
    cluster::Cluster,
    process::eventually,
};
use tokio::sync::watch;

use crate::world::{agree, devices, people, scenarios, texts};

scenarios! {
    on_a_cluster: [
        a_gateway_that_is_told_to_end_moves_its_clients_and_nobody_misses_anything,
        an_api_node_that_is_told_to_end_finishes_what_it_was_asked,
        a_client_that_does_not_move_is_closed_at_the_end_and_the_node_ends_in_time,
    ];
    on_a_cluster_that_drains_slowly: [
        each_connection_is_told_a_moment_of_its_own_spread_over_the_window,
    ];
    on_a_cluster_that_is_tampered_with: [a_second_signal_ends_it_at_once];
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
        draining(node).await;
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

/// Waits until a node says that it drains.
async fn draining(node: &starling_tests::node::Node) {
    eventually("readiness fails", SOON, async || match node.admin_get("/readyz").await {
        Ok((503, body)) if body.contains("draining") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// A socket on a node that is live.
async fn live(node: &starling_tests::node::Node, person: &starling_tests::cluster::Person) -> Result<Socket> {
    let mut socket = Socket::with_token(node.url(), &person.token).await?;
    socket.send(&json!({"type": "hello", "ref": "1"})).await?;
    socket.until("reply").await?;
    Ok(socket)
}

async fn a_client_that_does_not_move_is_closed_at_the_end_and_the_node_ends_in_time(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann] = people(cluster, ["ann"]).await?;
    let node = &mut cluster.gateways[0];
    let mut deaf = live(node, &ann).await?;
    node.terminate()?;
    let told = deaf.until("reconnect").await?;
    ensure!(told["data"]["after_ms"].as_u64().is_some_and(|after| after < 2_000), "{told}");
    draining(node).await;
    let refused = EventStream::open(node.url(), &Pass::Token(ann.token.clone()), None).await?.err();
    ensure!(refused == Some(503), "a stream of events: {refused:?}");
    // REST of the gateway's own kind of refusal carries when to come again.
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.get(format!("{}/v1/events", node.url())).bearer_auth(&ann.token).send().await?;
    ensure!(answer.status() == 503 && answer.headers().contains_key("retry-after"), "{answer:?}");
    // Until the very end it is served: it may still say something.
    deaf.send(&json!({"type": "ping", "ref": "2"})).await?;
    deaf.until("reply").await?;
    ensure!(deaf.close_code().await? == 4000, "closed with another code");
    let ended = node.ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}");
    Ok(())
}

async fn each_connection_is_told_a_moment_of_its_own_spread_over_the_window(cluster: &mut Cluster) -> Result<()> {
    const COUNT: u64 = 40;
    const WINDOW: u64 = 5_000;
    let [ann] = people(cluster, ["ann"]).await?;
    let node = &mut cluster.gateways[0];
    let mut sockets = Vec::new();
    for _ in 0..COUNT {
        sockets.push(live(node, &ann).await?);
    }
    node.terminate()?;
    let mut moments = Vec::new();
    for socket in &mut sockets {
        let told = socket.until("reconnect").await?;
        moments.push(told["data"]["after_ms"].as_u64().context("no moment")?);
    }
    moments.sort_unstable();
    let gaps: Vec<_> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Evenly: nobody at the same moment, and no pause that is longer than twice its share.
    ensure!(gaps.iter().all(|gap| (1..=2 * WINDOW / COUNT).contains(gap)), "{moments:?}");
    ensure!(moments[0] <= WINDOW / COUNT && moments.last() >= Some(&(WINDOW * 9 / 10)), "{moments:?}");
    // Each goes at its moment; then there is nobody left, and the node ends.
    for socket in sockets {
        socket.close().await?;
    }
    let ended = node.ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}");
    Ok(())
}

async fn a_second_signal_ends_it_at_once(cluster: &mut Cluster) -> Result<()> {
    let [ann] = people(cluster, ["ann"]).await?;
    let node = &mut cluster.gateways[0];
    let mut deaf = live(node, &ann).await?;
    node.terminate()?;
    draining(node).await;
    ensure!(deaf.until("reconnect").await.is_ok(), "not told");
    // The window is 2 s and the rest takes longer: neither is over yet.
    node.terminate()?;
    // Long before the window is over.
    let ended = node.ended(Duration::from_secs(3)).await?;
    ensure!(ended.code() == Some(143), "it ended with {ended}");
    ensure!(deaf.recv().await? == Frame::Broken, "a close frame");
    // What it held is free again: it starts anew at the same address.
    node.restart().await?;
    node.ready().await
}
