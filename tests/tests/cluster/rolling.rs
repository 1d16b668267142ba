//! A rolling restart of every node while people chat and call: nobody sees an error, nobody comes back with the crowd,
//! and no message is later on a device than the time that the device was without a connection.

mod lateness;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{ConversationId, Message};
use serde_json::{Value, json};
use starling_tests::{
    client::{Client, MOVED, SOON},
    cluster::{Cluster, Person},
    node::Node,
    stalls,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::world::{agree, people, scenarios, texts};

scenarios! {
    on_a_cluster_that_drains_slowly: [a_rolling_restart_under_load_is_noticed_by_nobody];
}

/// Devices of each of the two people.
const DEVICES: usize = 15;
/// The histogram's unit.
const SLOT: Duration = Duration::from_secs(1);

/// Says something now and then until it is told to stop.
async fn talk(
    device: &Client,
    id: ConversationId,
    who: usize,
    mut stop: watch::Receiver<bool>,
) -> Result<Vec<Message>> {
    let mut sent = Vec::new();
    while !*stop.borrow_and_update() {
        sent.push(device.send(id, &format!("{} of {who}", sent.len())).await?);
        let _ = timeout(Duration::from_millis(200), stop.changed()).await;
    }
    Ok(sent)
}

/// Calls by way of the load balancer; what was sent, and how often an answer was one to try again.
async fn call(person: &Person, id: ConversationId, mut stop: watch::Receiver<bool>) -> Result<(Vec<Message>, usize)> {
    let (mut sent, mut again) = (Vec::new(), 0);
    while !*stop.borrow_and_update() {
        let number = sent.len();
        let body = json!({"content": format!("rest {number}"), "client_id": format!("{}-{number}", person.name)});
        let answer = person.rest.post(&format!("conversations/{id}/messages"), body).await?;
        if answer.status.as_u16() == 503 {
            ensure!(answer.headers.contains_key("retry-after"), "{answer:?}");
            again += 1;
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        sent.push(answer.ok()?);
        person.rest.get("conversations").await?.ok::<Value>()?;
        let _ = timeout(Duration::from_millis(50), stop.changed()).await;
    }
    Ok((sent, again))
}

/// How many connections were made in each slot of time; per [`SLOT`], where one took longer.
async fn watch_reconnects(all: &[Client], mut stop: watch::Receiver<bool>) -> Vec<usize> {
    let made = || all.iter().map(Client::connections).sum::<usize>();
    let (mut before, mut slots) = (made(), Vec::new());
    while !*stop.borrow_and_update() {
        let start = Instant::now();
        let _ = timeout(SLOT, stop.wait_for(|stop| *stop)).await;
        let (now, length) = (made(), start.elapsed().div_duration_f64(SLOT).max(1.0));
        slots.push(((now - before) as f64 / length).ceil() as usize);
        before = now;
    }
    slots
}

/// Has one node end and start again; how long the end took.
pub(crate) async fn restart(node: &mut Node) -> Result<Duration> {
    let told = Instant::now();
    node.terminate()?;
    let ended = node.ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}:\n{}", node.log());
    let took = told.elapsed();
    node.restart().await?;
    node.ready().await?;
    Ok(took)
}

async fn a_rolling_restart_under_load_is_noticed_by_nobody(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    stalls::watch();
    let (mut all, url, start) = (Vec::new(), cluster.url(), Instant::now());
    for person in [&ann, &ben] {
        for _ in 0..DEVICES {
            all.push(Client::recording(&url, &person.token, start));
        }
    }
    for device in &all {
        device.live().await?;
    }
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
    }
    let (stop, stopped) = watch::channel(false);
    let talking = try_join_all(all.iter().enumerate().map(|(who, device)| talk(device, id, who, stopped.clone())));
    let calling = try_join_all([&ann, &ben].map(|person| call(person, id, stopped.clone())));
    let restarts = AtomicUsize::new(0);
    let rolling = async {
        for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
            let took = restart(node).await.with_context(|| format!("restart {restarts:?}"))?;
            println!("  {:?} ended after {:.1} s", node.role(), took.as_secs_f64());
            restarts.fetch_add(1, Ordering::Relaxed);
        }
        stop.send_replace(true);
        anyhow::Ok(())
    };
    let watching = async { Ok(watch_reconnects(&all, stopped.clone()).await) };
    let (sent, called, (), slots) =
        timeout(Duration::from_secs(150), async { tokio::try_join!(talking, calling, rolling, watching) })
            .await
            .context("the restart does not end")??;
    ensure!(restarts.into_inner() == 4, "not every node was restarted");

    println!("  reconnects per second:");
    for (second, count) in slots.iter().enumerate().filter(|(_, count)| **count > 0) {
        println!("  {second:>4} s {count:>3} {}", "#".repeat(*count));
    }
    let reconnects: usize = slots.iter().sum();
    ensure!(reconnects >= DEVICES, "only {reconnects} clients moved, so this proves nothing");
    // A node with all of them moves a window's share per second; thrice that allows for the granularity of both.
    let most = slots.iter().copied().max().unwrap_or_default();
    ensure!(most <= 3 * (2 * DEVICES).div_ceil(5), "{most} came back within one second: {slots:?}");

    let truth = agree(&ben, id, &all).await?;
    let again: usize = called.iter().map(|(_, again)| again).sum();
    let sent: Vec<_> = sent.into_iter().chain(called.into_iter().map(|(sent, _)| sent)).flatten().collect();
    println!("  {} sent, {again} answers of REST were to try again", sent.len());
    ensure!(again == 0, "{again} answers of REST were 503");
    for message in &sent {
        ensure!(truth.get(&message.seq) == Some(message), "acknowledged and not there: {message:?}");
    }
    ensure!(texts(&truth).len() == sent.len(), "{} sent, {} there", sent.len(), texts(&truth).len());
    lateness::ensure_none(id, &truth, &all, start.into_std())?;
    for device in &all {
        device.check()?;
        device.look(|view| {
            ensure!(view.repeats == 0 && view.resyncs.is_empty(), "{} repeated, {:?}", view.repeats, view.resyncs);
            Ok(())
        })?;
        let codes = device.closes();
        ensure!(codes.iter().all(|code| [MOVED, 4000].contains(code)), "not a clean move: {}", device.summary());
    }
    Ok(())
}
