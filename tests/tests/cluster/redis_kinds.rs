//! Redis by Sentinel and Redis Cluster: people chat while a master is killed, replaced, or hands its slots on, and
//! everybody sees everything within moments of the end.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use protocol::ConversationId;
use starling_tests::{
    client::{Client, SOON},
    cluster::{Cluster, Person},
    process::eventually,
};
use tokio::time::{Duration, Instant, sleep};

use crate::world::{agree, devices, people, scenarios, texts};

scenarios! {
    on_a_cluster_with_sentinels: [people_chat_through_a_failover];
    on_a_redis_cluster: [people_chat_while_slots_move_and_a_master_dies];
}

/// Beside everything else that a busy machine does; a failover itself takes a few seconds.
const WHOLE: Duration = Duration::from_secs(30);

/// Chats until told to stop; how many messages were acknowledged.
async fn chat(devices: &[Client], ids: &[ConversationId], stop: &AtomicBool) -> Result<usize> {
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        let start = Instant::now();
        devices[sent % devices.len()].send(ids[sent % ids.len()], &format!("message {sent}")).await?;
        ensure!(start.elapsed() < SOON, "message {sent} was acknowledged after {:?}", start.elapsed());
        sent += 1;
        sleep(Duration::from_millis(10)).await;
    }
    Ok(sent)
}

/// Two people on both gateways, who share these conversations.
async fn talks(cluster: &Cluster, conversations: usize) -> Result<(Person, Vec<Client>, Vec<ConversationId>)> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let mut ids = Vec::new();
    for number in 0..conversations {
        ids.push(ann.group(&format!("talk {number}"), &[&ben]).await?);
    }
    for device in &all {
        for id in &ids {
            device.reaches(*id, 1).await?;
        }
    }
    Ok((ben, all, ids))
}

/// Everybody has everything, through sockets that stayed, and every node says that it is ready.
async fn whole(cluster: &Cluster, ben: &Person, all: &[Client], ids: &[ConversationId], sent: usize) -> Result<()> {
    for node in cluster.gateways.iter().chain(&cluster.apis) {
        eventually("every node is ready", WHOLE, async || match node.admin_get("/readyz").await {
            Ok((200, body)) if body.contains("\"ready\"") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let mut stored = 0;
    for (place, id) in ids.iter().enumerate() {
        all[place % all.len()].send(*id, "and after").await?;
        stored += texts(&agree(ben, *id, all).await?).len();
    }
    ensure!(stored == sent + ids.len(), "{stored} are stored, {sent} were acknowledged and {} after", ids.len());
    for device in all {
        ensure!(device.connections() == 1, "a socket did not stay: {}", device.summary());
    }
    Ok(())
}

async fn people_chat_through_a_failover(cluster: &mut Cluster) -> Result<()> {
    let (ben, all, ids) = talks(cluster, 3).await?;
    let stop = AtomicBool::new(false);
    let set = cluster.redis_sentinels()?;
    let faults = async {
        let before = set.kill_master().await?;
        let after = set.failed_over(before).await?;
        // The old one comes back and takes itself for the master, until the Sentinels tell it.
        set.server(before)?.up().await?;
        eventually("the old master is a replica", WHOLE, async || match set.role(before).await {
            Ok(role) if role == "slave" => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        ensure!(set.master_port().await? == after);
        stop.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let (sent, ()) = tokio::try_join!(chat(&all, &ids, &stop), faults)?;
    whole(cluster, &ben, &all, &ids, sent).await
}

async fn people_chat_while_slots_move_and_a_master_dies(cluster: &mut Cluster) -> Result<()> {
    let (ben, all, ids) = talks(cluster, 12).await?;
    let stop = AtomicBool::new(false);
    let redis = cluster.redis_cluster()?;
    let faults = async {
        for (place, id) in ids.iter().enumerate().take(6) {
            let slot = redis.slot(&format!("starling:c:{id}")).await?;
            let to = (redis.owner(slot).await? + 1 + place % 2) % 3;
            redis.move_slot(slot, to).await?;
        }
        redis.kill(1)?;
        redis.failed_over(1).await?;
        redis.up(1).await?;
        redis.whole().await?;
        stop.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let (sent, ()) = tokio::try_join!(chat(&all, &ids, &stop), faults)?;
    whole(cluster, &ben, &all, &ids, sent).await
}
