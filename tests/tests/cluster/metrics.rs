//! What a node's metrics say while connections come, follow, are moved and resume.

use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use serde_json::json;
use starling_tests::{client::SOON, cluster::Cluster, node::Node, process::eventually};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::world::{people, scenarios};

scenarios! {
    on_a_cluster: [
        metrics_follow_what_connections_do,
        what_is_counted_by_kind_is_there_before_it_happens,
        an_api_node_says_that_it_ends,
    ];
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
    says(first, "starling_command_seconds_count", 1.0..=f64::MAX).await;
    says(first, "starling_message_participants_count", 1.0..=1.0).await;
    says(first, "starling_message_participants_sum", 2.0..=2.0).await;
    says(first, "starling_messages_stored", 0.0..=f64::MAX).await;
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

/// The value of one series; none when it does not show.
async fn series(node: &Node, series: &str) -> Result<Option<f64>> {
    let (_, text) = node.admin_get("/metrics").await?;
    Ok(text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()))
}

async fn what_is_counted_by_kind_is_there_before_it_happens(cluster: &mut Cluster) -> Result<()> {
    let (gateway, api) = (&cluster.gateways[0], &cluster.apis[0]);
    for (node, name) in [
        (gateway, "starling_connections_closed_total{code=\"4001\"}"),
        (gateway, "starling_upgrades_refused_total{reason=\"4503\"}"),
        (gateway, "starling_commands_total{command=\"message.send\",outcome=\"internal\"}"),
        (gateway, "starling_bus_events_total{kind=\"other_epoch\"}"),
        (gateway, "starling_changes_total{kind=\"send\"}"),
        (api, "starling_writer_refused_total{code=\"overloaded\"}"),
        (api, "starling_http_requests_total{method=\"GET\",route=\"/v1/me\",status=\"500\"}"),
    ] {
        let value = series(node, name).await?;
        ensure!(value == Some(0.0), "{name} is {value:?}");
    }
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    ann.rest.post(&format!("conversations/{id}/messages"), json!({"content": "here"})).await?.done()?;
    ann.rest.get("conversations").await?.done()?;
    let api = &cluster.apis[0];
    for name in [
        "starling_store_seconds_count{call=\"change\"}",
        "starling_store_seconds_count{call=\"conversations\"}",
        "starling_store_seconds_count{call=\"create_conversation\"}",
    ] {
        let value = series(api, name).await?;
        ensure!(value.is_some_and(|value| value >= 1.0), "{name} is {value:?}");
    }
    Ok(())
}

/// Its connections are the requests that it has.
async fn an_api_node_says_that_it_ends(cluster: &mut Cluster) -> Result<()> {
    let api = &mut cluster.apis[0];
    says(api, "starling_draining", 0.0..=0.0).await;
    // A request whose body does not come keeps it for a while.
    let mut request = TcpStream::connect(api.address()).await?;
    let head =
        "POST /v1/auth/guest HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{";
    request.write_all(head.as_bytes()).await?;
    let inside = api.metric("starling_http_requests_total").await?;
    api.terminate()?;
    says(api, "starling_draining", 1.0..=1.0).await;
    ensure!(api.metric("starling_http_requests_total").await? <= inside, "the request is answered already");
    drop(request);
    let ended = api.ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}");
    Ok(())
}
