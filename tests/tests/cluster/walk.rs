//! An operator's afternoon, on one cluster and under load: three gateways behind HAProxy, a fourth comes, one is
//! drained, one is killed, all are restarted as for a new version, the secret is changed, Redis goes and comes back; and
//! after each step what the operator would look at says what happened. Nobody misses a message, or has to sign in again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use protocol::ConversationId;
use serde_json::Value;
use starling_tests::{
    client::{Client, SOON},
    cluster::{Cluster, Person},
    haproxy::Haproxy,
    node::Node,
    process::eventually,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    operators::{all_ready, call, get, id_of, until},
    rolling::restart,
    world::{agree, people, scenarios},
};

scenarios! {
    on_four_gateways: [an_operator_scales_drains_rolls_and_repairs_under_load];
}

/// Between two messages.
const PACE: Duration = Duration::from_millis(40);
/// Clients that listen.
const DEVICES: usize = 8;

/// Somebody who writes all the time, and how much is written.
struct Load {
    stop: watch::Sender<bool>,
    /// Messages that were acknowledged.
    sent: watch::Receiver<usize>,
    task: JoinHandle<Result<()>>,
}

impl Load {
    fn begin(writer: Arc<Client>, room: ConversationId) -> Self {
        let ((stop, stopped), (told, sent)) = (watch::channel(false), watch::channel(0));
        let task = tokio::spawn(async move {
            while !*stopped.borrow() {
                let number = *told.borrow();
                // A client of the tests tries again until it is answered, as any good client does.
                writer.send(room, &format!("number {number}")).await?;
                told.send_replace(number + 1);
                sleep(PACE).await;
            }
            Ok(())
        });
        Self { stop, sent, task }
    }

    /// Waits until so many more were acknowledged.
    async fn goes_on(&mut self, more: usize) -> Result<()> {
        let enough = *self.sent.borrow() + more;
        let reached = timeout(SOON, self.sent.wait_for(|sent| *sent >= enough)).await;
        let is_over = reached.with_context(|| format!("not {more} more messages within {SOON:?}"))?.is_err();
        if is_over {
            (&mut self.task).await??;
            bail!("nobody writes any more");
        }
        Ok(())
    }

    async fn end(self) -> Result<usize> {
        self.stop.send_replace(true);
        self.task.await??;
        let sent = *self.sent.borrow();
        Ok(sent)
    }
}

/// The gateways that an operator sees, by address, each with its connections.
fn gateways_of(answer: &Value) -> Vec<(String, u64)> {
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let connections = |node: &Value| node["gateway"]["connections"].as_u64();
    let listen = |node: &Value| node["listen"].as_str().map(ToOwned::to_owned);
    nodes.filter_map(|node| Some((listen(node)?, connections(node)?))).collect()
}

async fn an_operator_scales_drains_rolls_and_repairs_under_load(cluster: &mut Cluster) -> Result<()> {
    for node in cluster.apis.iter_mut().chain(&mut cluster.gateways) {
        // As an operator would set it: where the load balancer asks how it is.
        let admin = node.admin().trim_start_matches("http://").to_owned();
        node.configure("STARLING_ADMIN_LISTEN", &admin);
    }
    // The fourth is known to the load balancer, and not there yet.
    cluster.gateways[3].terminate()?;
    cluster.gateways[3].ended(SOON).await?;
    let haproxy = Haproxy::start(&cluster.gateways, &cluster.apis).await?;
    haproxy.down(&cluster.gateways[3]).await?;
    let url = haproxy.url();
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let room = ann.group("the afternoon", &[&ben]).await?;
    let writer = Arc::new(Client::connect(&url, &ann.token).await?);
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(Client::connect(&url, &ben.token).await?);
    }
    for device in &devices {
        device.live().await?;
        device.load(room).await?;
    }
    let mut load = Load::begin(Arc::clone(&writer), room);
    let everybody = (DEVICES + 1) as u64;

    // A fourth comes, and is seen.
    until(&cluster.apis[0], "nodes", |answer| gateways_of(answer).len() == 3).await?;
    cluster.gateways[3].restart().await?;
    cluster.gateways[3].ready().await?;
    haproxy.up(&cluster.gateways[3]).await?;
    until(&cluster.apis[0], "nodes", |answer| gateways_of(answer).len() == 4 && all_ready(answer, 6)).await?;

    // One is drained: its connections are on others, then it is stopped and comes back.
    let address = cluster.gateways[0].address().to_owned();
    let id = id_of(&cluster.gateways[0]).await?;
    let (status, drained) = call(&cluster.apis[0], "POST", &format!("nodes/{id}/drain")).await?;
    ensure!(status == 200 && drained["others_ready"] == 3, "{status} {drained}");
    until(&cluster.apis[0], "nodes", |answer| {
        let gateways = gateways_of(answer);
        let rest: u64 = gateways.iter().filter(|(other, _)| *other != address).map(|(_, count)| count).sum();
        gateways.contains(&(address.clone(), 0)) && rest == everybody
    })
    .await?;
    let node = &mut cluster.gateways[0];
    node.terminate()?;
    ensure!(node.ended(SOON).await?.code() == Some(0), "a drained node ends cleanly");
    node.restart().await?;
    node.ready().await?;

    // One is killed: the others have everybody, and it is missing.
    cluster.gateways[1].kill()?;
    until(&cluster.apis[0], "nodes", |answer| {
        let gateways = gateways_of(answer);
        gateways.len() == 3 && gateways.iter().map(|(_, count)| count).sum::<u64>() == everybody
    })
    .await?;
    cluster.gateways[1].restart().await?;
    cluster.gateways[1].ready().await?;

    // A new version with the next secret accepted, then one that signs with it.
    let old = cluster.secret().to_owned();
    let new = format!("{old}: the next one");
    for (secret, previous) in [(&old, &new), (&new, &old)] {
        for node in cluster.apis.iter_mut().chain(&mut cluster.gateways) {
            node.configure("STARLING_JWT_SECRET", secret);
            node.configure("STARLING_JWT_SECRETS_PREVIOUS", previous);
            restart(node).await?;
            haproxy.up(node).await?;
        }
    }

    // Redis goes and comes back: nobody is closed, and what was sent meanwhile comes from the store.
    cluster.redis()?.kill()?;
    let degraded = async |node: &Node| Ok::<_, anyhow::Error>(node.metric("starling_degraded").await? > 0.0);
    eventually("the nodes say that events come late", SOON, async || {
        ensure!(degraded(&cluster.gateways[2]).await?, "not degraded");
        anyhow::Ok(())
    })
    .await;
    load.goes_on(20).await?;
    cluster.redis()?.up().await?;
    eventually("events flow again", SOON, async || {
        for node in &cluster.gateways {
            ensure!(!degraded(node).await?, "still degraded");
        }
        anyhow::Ok(())
    })
    .await;

    let sent = load.end().await.with_context(|| haproxy.log())?;
    ensure!(sent > 50, "{sent} messages are no load");
    agree(&ben, room, &devices).await?;
    what_is_left_to_see(cluster, &writer, &ben, room, everybody).await?;
    for device in devices.iter().chain([&*writer]) {
        // Moved, gone with its node, or broken off with it: never refused.
        let refused: Vec<_> = device.closes().into_iter().filter(|code| (4_400..4_600).contains(code)).collect();
        ensure!(refused.is_empty(), "refused with {refused:?}: {}", device.summary());
    }
    Ok(())
}

/// Afterwards: metrics of every node, and why somebody got a message.
async fn what_is_left_to_see(
    cluster: &Cluster,
    writer: &Client,
    ben: &Person,
    room: ConversationId,
    everybody: u64,
) -> Result<()> {
    until(&cluster.apis[0], "nodes", |answer| {
        let gateways = gateways_of(answer);
        gateways.len() == 4 && gateways.iter().map(|(_, count)| count).sum::<u64>() == everybody
    })
    .await?;
    let (mut connections, mut resumes) = (0.0, 0.0);
    for node in &cluster.gateways {
        connections += node.metric("starling_connections").await?;
        resumes += node.metric("starling_resume_distance_count").await?;
        ensure!(node.metric("starling_connections_behind").await? == 0.0, "somebody is behind");
    }
    ensure!(connections as u64 == everybody && resumes > 0.0, "{connections} connections, {resumes} resumes");
    let last = writer.send(room, "the last one").await?;
    let path = format!("trace?user={}&message={}", ben.id, last.id);
    let all = |trace: &Value| trace["nodes"].as_array().is_some_and(|nodes| nodes.len() == 6);
    until(&cluster.gateways[2], &path, |trace| trace["verdict"]["code"] == "written" && all(trace)).await?;
    get(&cluster.apis[1], &format!("conversations/{room}/heads")).await?;
    Ok(())
}
