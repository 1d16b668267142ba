//! Connections that the node closed for being behind, to peers that never read: after the close the kernel still has
//! what it was given, and may not keep it, and the socket, for longer than two heartbeats.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use starling_tests::{
    client::SOON,
    cluster::Cluster,
    node::{Node, Role},
    process::eventually,
};
use tokio::time::Instant;

use crate::{
    deaf,
    world::{people, scenarios},
};

scenarios! {
    on_a_node_with_small_outboxes: [a_connection_that_is_never_read_leaves_no_socket_behind];
}

/// Heartbeats of the node, and the time in which its close may find no reader.
const HEARTBEAT: Duration = Duration::from_secs(3);
const FAREWELL: Duration = Duration::from_secs(2);
/// For a machine that does other things. The kernel itself keeps such a socket for minutes.
const ALLOWANCE: Duration = Duration::from_secs(10);
/// Enough for every buffer on the way to be full, and the outbox too.
const MESSAGES: usize = 400;

/// The node's end of a connection, whether or not a process still has it: its state in the kernel's table.
fn at_the_node(node: &Node, peer: SocketAddr) -> Result<Option<String>> {
    let local: SocketAddr = node.address().parse()?;
    let pair = [local, peer].map(|end| format!("0100007F:{:04X}", end.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").context("this system does not tell its sockets")?;
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let mut found = rows.filter(|row| row.len() > 3 && row[1..3] == pair);
    Ok(found.next().map(|row| row[3].to_owned()))
}

/// Open files of a node.
fn files(node: &Node) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", node.id()))?.count())
}

async fn a_connection_that_is_never_read_leaves_no_socket_behind(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("busy", &[&ben]).await?;
    let heartbeat = format!("{}s", HEARTBEAT.as_secs());
    let mut node = cluster.start_node_with(Role::Gateway, &[("STARLING_HEARTBEAT", &heartbeat)]).await?;
    node.ready().await?;
    let socket = deaf::socket(&node, &ben).await?;
    let stream = deaf::stream(&node, &ben).await?;
    let peers = [("a socket", socket.get_ref().local_addr()?), ("a stream", stream.local_addr()?)];
    for (what, peer) in peers {
        ensure!(at_the_node(&node, peer)?.is_some(), "{what} is not in the kernel's table, so this proves nothing");
    }
    let before = files(&node)?;
    let path = format!("conversations/{id}/messages");
    let text = "x".repeat(4_000);
    for _ in 0..MESSAGES {
        if closed(&node).await? == 2 {
            break;
        }
        ann.rest.post(&path, json!({"content": text})).await?.done()?;
    }
    eventually("both are closed for being behind", SOON, async || match closed(&node).await {
        Ok(2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let given_up = Instant::now();
    let bound = HEARTBEAT * 2 + FAREWELL + ALLOWANCE;
    for (what, peer) in peers {
        eventually(&format!("{what} is gone from the kernel"), bound, async || match at_the_node(&node, peer) {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        println!("  {what}: gone after {:.1?} (bound {:?})", given_up.elapsed(), HEARTBEAT * 2 + FAREWELL);
    }
    // Others come and go: probes, and what the node stands on.
    eventually("the node has closed both", SOON, async || match files(&node) {
        Ok(after) if after < before => Ok(()),
        other => Err(format!("{before} open files before, now {other:?}")),
    })
    .await;
    node.check_running()?;
    // Their peers never read, to the very end.
    drop((socket, stream));
    Ok(())
}

/// How many connections of the node ended as slow consumers.
async fn closed(node: &Node) -> Result<usize> {
    let (_, text) = node.admin_get("/metrics").await?;
    let line = "starling_connections_closed_total{code=\"4001\"} ";
    Ok(text.lines().find_map(|metric| metric.strip_prefix(line)?.parse().ok()).unwrap_or_default())
}
