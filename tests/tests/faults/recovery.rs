//! After kill -9 of a gateway its clients are back with everything, soon, on the nodes that are left.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::stage::{Stage, on_a_cluster, post, recovered, says};

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
