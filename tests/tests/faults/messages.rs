//! Published messages that are lost, come twice or come in another order: nobody sees a hole, a repetition or another
//! order, and nothing waits for the next sweep that the next message could show.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::{
    cluster::{Cluster, ClusterConfig},
    proxy::{Counts, MessageFaults},
};

use crate::{
    logs::Logs,
    stage::{Stage, nodes, on_a_cluster_with},
    world::ensure_each_once,
};

/// Topics of conversations and users; the probes of nodes are left alone, or every node would be degraded.
const ONLY: &str = "starling:c:";
/// With sweeps this far apart, what is found soon was found by something else.
const SWEEP: &str = "2s";
const PROMPT: Duration = Duration::from_secs(5);

/// Everybody talks while messages suffer this, on their way to Redis and from it.
async fn with(name: &str, faults: MessageFaults, met: fn(&Counts) -> u64) {
    let env = vec![("STARLING_SWEEP_INTERVAL".into(), SWEEP.into())];
    on_a_cluster_with(ClusterConfig { env, ..ClusterConfig::default() }, async |cluster| {
        println!("{name}:");
        let faults = MessageFaults { only: ONLY, ..faults };
        for published in [true, false] {
            let stage = Stage::set(cluster).await?;
            let logs = Logs::from_now(cluster);
            let before = total(cluster, met)?;
            for node in nodes(cluster) {
                let proxy = cluster.redis_proxy(node)?;
                if published {
                    proxy.publishes(faults);
                } else {
                    proxy.pushes(faults);
                }
            }
            let talk = stage.talk();
            talk.goes_on(60).await?;
            stage.whole(talk, PROMPT).await?;
            for device in &stage.devices {
                ensure_each_once(device, stage.id)?;
            }
            stage.ensure_nobody_noticed()?;
            let times = total(cluster, met)? - before;
            ensure!(times > 20, "only {times} messages met the fault, so this proves nothing");
            println!("  {times} messages, {}", if published { "as published" } else { "as pushed" });
            nodes(cluster).try_for_each(|node| cluster.redis_proxy(node)?.heal())?;
            logs.ensure_calm(cluster, 0)?;
        }
        Ok(())
    })
    .await;
}

fn total(cluster: &Cluster, met: fn(&Counts) -> u64) -> Result<u64> {
    nodes(cluster).map(|node| Ok(met(&cluster.redis_proxy(node)?.counts()))).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_third_is_lost() {
    with("messages lost", MessageFaults { drop_every: 3, ..MessageFaults::default() }, |counts| counts.dropped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_second_comes_twice() {
    let faults = MessageFaults { duplicate_every: 2, ..MessageFaults::default() };
    with("messages repeated", faults, |counts| counts.duplicated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_second_comes_after_the_next() {
    let faults = MessageFaults { reorder_every: 2, ..MessageFaults::default() };
    with("messages swapped", faults, |counts| counts.reordered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_together() {
    let faults = MessageFaults { drop_every: 7, duplicate_every: 5, reorder_every: 3, only: "" };
    with("messages lost, repeated and swapped", faults, |counts| counts.dropped + counts.reordered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_is_lost() {
    with("every message lost", MessageFaults { drop_every: 1, ..MessageFaults::default() }, |counts| counts.dropped)
        .await;
}
