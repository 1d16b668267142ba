//! After kill -9 of a gateway its clients are back with everything, soon, on the nodes that are left: straight to one
//! of them, and by way of a load balancer that has to find out.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use futures_util::future::try_join_all;
use starling_tests::cluster::ClusterConfig;
use tokio::time::Instant;

use crate::stage::{Stage, on_a_cluster, on_a_cluster_with, post, recovered, says};

/// Clients of a killed gateway have everything within this of being able to reconnect.
const BACK: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_killed_gateway_are_back_with_everything() {
    on_a_cluster(async |cluster| {
        println!("a gateway killed:");
        let stage = Stage::set(cluster).await?;
        let talk = stage.talk();
        for round in 0..3 {
            talk.goes_on(10).await?;
            let victim = round % 2;
            // Straight to the one that is left: how soon a load balancer finds out is its own affair.
            for device in &stage.devices {
                device.next_node(cluster.gateways[1 - victim].url());
            }
            let closes = || stage.devices.iter().map(|device| device.closes().len()).sum::<usize>();
            let before = closes();
            cluster.gateways[victim].kill()?;
            // They can reconnect from this moment on.
            let killed = Instant::now();
            let marker = post(&stage.ann, stage.id, &format!("said after kill {round}")).await?;
            try_join_all(stage.devices.iter().map(|device| device.reaches(stage.id, marker.seq))).await?;
            recovered("its clients have everything", killed.elapsed(), BACK)?;
            ensure!(closes() > before, "nobody was on the gateway that was killed, so this proves nothing");
            cluster.gateways[victim].restart().await?;
            cluster.gateways[victim].ready().await?;
            says(&cluster.gateways[victim], 200, "ready").await;
        }
        stage.whole_with(talk, 3, Duration::MAX).await.map(drop)
    })
    .await;
}

/// Devices of each of the two people behind the load balancer, beside those of the stage.
const DEVICES: usize = 10;
/// How often a gateway is killed behind it.
const KILLS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_killed_gateway_come_back_by_way_of_the_load_balancer() {
    let env = vec![("STARLING_USER_CONNECTIONS".into(), "0".into())];
    on_a_cluster_with(ClusterConfig { env, ..ClusterConfig::default() }, async |cluster| {
        println!("a gateway killed behind the load balancer:");
        let stage = Stage::set(cluster).await?;
        let url = cluster.url();
        let mut devices = stage.devices.clone();
        for person in [&stage.ann, &stage.ben] {
            for _ in 0..DEVICES {
                devices.push(Arc::new(person.connect().await?));
            }
        }
        for device in &devices {
            device.next_node(&url);
        }
        let talk = stage.talk();
        for round in 0..KILLS {
            talk.goes_on(10).await?;
            let victim = round % 2;
            let closes = || devices.iter().map(|device| device.closes().len()).sum::<usize>();
            let before = closes();
            cluster.gateways[victim].kill()?;
            let killed = Instant::now();
            let marker = post(&stage.ann, stage.id, &format!("said after kill {round}")).await?;
            let back = devices.iter().map(async |device| {
                device.reaches(stage.id, marker.seq).await?;
                anyhow::Ok(killed.elapsed())
            });
            // Started again at once every other time, as a supervisor does: it is found where it was.
            if round % 4 >= 2 {
                cluster.gateways[victim].restart().await?;
            }
            let took = try_join_all(back).await?;
            let slowest = took.into_iter().max().unwrap_or_default();
            recovered("its clients have everything", slowest, BACK)?;
            ensure!(closes() > before, "nobody was on the gateway that was killed, so this proves nothing");
            if round % 4 < 2 {
                cluster.gateways[victim].restart().await?;
            }
            cluster.gateways[victim].ready().await?;
            says(&cluster.gateways[victim], 200, "ready").await;
        }
        stage.whole_with(talk, KILLS, Duration::MAX).await.map(drop)
    })
    .await;
}
