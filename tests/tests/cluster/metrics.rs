//! What a node's metrics say while connections come, follow, are moved and resume.

use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use starling_tests::{client::SOON, cluster::Cluster, node::Node, process::eventually};

use crate::world::{people, scenarios};

scenarios! {
    on_a_cluster: [metrics_follow_what_connections_do];
}

async fn says(node: &Node, metric: &str, wanted: RangeInclusive<f64>) {
    eventually(metric, SOON, async || {
        let value = node.metric(metric).await?;
        ensure!(wanted.contains(&value), "{metric} is {value}, not {wanted:?}");
        anyhow::Ok(())
    })
    .await;
}

async fn metrics_follow_what_connections_do(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let first = &cluster.gateways[0];
    let devices = [ann.connect_to(first).await?, ben.connect_to(first).await?];
    devices[0].send(id, "here").await?;
    for device in &devices {
        device.reaches(id, 2).await?;
    }
    says(first, "starling_connections", 2.0..=2.0).await;
    says(first, "starling_active_conversations", 1.0..=1.0).await;
    says(first, "starling_connection_conversations", 2.0..=2.0).await;
    says(first, "starling_connections_behind", 0.0..=0.0).await;
    says(first, "starling_outbox_bytes", 0.0..=0.0).await;
    says(first, "starling_outbox_fullest_ratio", 0.0..=0.0).await;
    says(first, "starling_draining", 0.0..=0.0).await;
    says(first, "starling_bus_lag_seconds_count", 1.0..=f64::MAX).await;
    says(first, "starling_frames_received_total", 1.0..=f64::MAX).await;
    says(first, "starling_frames_received_bytes_total", 10.0..=f64::MAX).await;
    says(first, "starling_store_connections", 1.0..=f64::MAX).await;
    says(first, "starling_store_connections_max", 1.0..=f64::MAX).await;

    let url = cluster.url();
    for device in &devices {
        device.next_node(&url);
    }
    let [first, second] = &mut cluster.gateways[..] else { anyhow::bail!("there are two gateways") };
    let before = second.metric("starling_resume_distance_count").await?;
    first.terminate()?;
    says(first, "starling_draining", 1.0..=1.0).await;
    first.ended(SOON).await?;
    says(second, "starling_resume_distance_count", before + 2.0..=before + 2.0).await;
    says(second, "starling_connections", 2.0..=2.0).await;
    Ok(())
}
