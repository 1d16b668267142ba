//! What a node that ends does not wait for: peers that never read, requests that never come to their end. And what it
//! gives back at once: its lease, so that nobody waits for its end to see who is gone.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use protocol::{ConversationId, PresenceState};
use serde_json::json;
use starling_tests::{
    client::{SOON, Socket},
    cluster::{Cluster, Person},
    node::{Node, Role},
    process::eventually,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    deaf::{self, narrow},
    world::{people, scenarios, tell},
};

scenarios! {
    on_a_cluster: [
        what_never_ends_does_not_hold_a_node_longer_than_its_deadline,
        who_was_on_a_node_that_drained_is_offline_at_once,
    ];
}

/// Of the node that is ended: its drain window, and what one request may take.
const WINDOW: Duration = Duration::from_secs(2);
const REQUEST: Duration = Duration::from_secs(3);
/// By then it has ended whatever peers do: the window and 10 s for sockets, the time of a request and 2 s for REST, and
/// as much again for a busy machine to write down the rest.
const DEADLINE: Duration = Duration::from_secs(2 + 10 + 3 + 2 + 10);
/// The lease of these nodes is 15 s, and renewed every five: what comes within this time did not wait for its end.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Other nodes count leases when they renew their own. One that is not given back counts for ten seconds at least, of
/// which some are over when the process has ended.
const COUNTED: Duration = Duration::from_secs(7);

/// Sends the beginning of a request and keeps the connection.
async fn half_a_request(node: &Node, head: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(node.address()).await?;
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// A call whose body never comes to its end.
async fn endless_post(node: &Node, person: &Person, id: ConversationId) -> Result<TcpStream> {
    let head = format!(
        "POST /v1/conversations/{id}/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"content\":",
        person.token
    );
    half_a_request(node, &head).await
}

/// A call whose answer is never read: a page of long messages to a kernel that takes in little.
async fn unread_page(node: &Node, person: &Person, id: ConversationId) -> Result<TcpStream> {
    let mut stream = narrow(node).await?;
    let head = format!(
        "GET /v1/conversations/{id}/messages?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        person.token
    );
    stream.write_all(head.as_bytes()).await?;
    // It is being answered.
    let mut first = [0; 12];
    timeout(SOON, stream.read_exact(&mut first)).await.context("no answer")??;
    ensure!(first == *b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&first));
    Ok(stream)
}

async fn what_never_ends_does_not_hold_a_node_longer_than_its_deadline(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let path = format!("conversations/{id}/messages");
    let text = "x".repeat(4_000);
    for _ in 0..100 {
        ann.rest.post(&path, json!({"content": text})).await?.done()?;
    }
    let env = [("STARLING_DRAIN_WINDOW", "2s"), ("STARLING_REQUEST_TIMEOUT", "3s")];
    let mut node = cluster.start_node_with(Role::Serve, &env).await?;
    node.ready().await?;
    let socket = deaf::socket(&node, &ann).await?;
    let stream = deaf::stream(&node, &ann).await?;
    // They have not read what came, and more of it than their kernels take in.
    for _ in 0..20 {
        ann.rest.post(&path, json!({"content": text})).await?.done()?;
    }
    let silent = TcpStream::connect(node.address()).await?;
    let head = half_a_request(&node, "GET /v1/me HTTP/1.1\r\nhost:").await?;
    let (post, page) = (endless_post(&node, &ann, id).await?, unread_page(&node, &ann, id).await?);
    node.terminate()?;
    let told = Instant::now();
    let ended: ExitStatus = node.ended(DEADLINE).await.context("what never ends holds the node")?;
    println!("  ended after {:.1?}, the deadline is {DEADLINE:?}", told.elapsed());
    ensure!(ended.code() == Some(0), "it ended with {ended}:\n{}", node.log());
    ensure!(told.elapsed() < WINDOW + REQUEST + Duration::from_secs(22), "later than its deadline");
    drop((socket, stream, silent, head, post, page));
    Ok(())
}

async fn who_was_on_a_node_that_drained_is_offline_at_once(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    ann.group("plans", &[&ben]).await?;
    let watcher = ben.connect_to(&cluster.gateways[1]).await?;
    // It does not move, so that only the end of its node ends it.
    let mut here = Socket::with_token(cluster.gateways[0].url(), &ann.token).await?;
    here.send(&json!({"type": "hello", "ref": "1"})).await?;
    here.until("reply").await?;
    let shown = async || -> Result<Option<PresenceState>> {
        let reply = tell(&watcher, "presence.watch", json!({"user_ids": [ann.id]})).await?;
        let list: protocol::PresenceList = serde_json::from_value(reply)?;
        Ok(list.items.first().map(|presence| presence.state))
    };
    let shows = async |state| {
        let what = format!("ann is {state:?} on the other node");
        eventually(&what, SOON, async || match shown().await {
            Ok(Some(seen)) if seen == state => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    shows(PresenceState::Online).await;
    eventually("the other node's lease is known", SOON, async || {
        match cluster.gateways[1].metric("starling_nodes").await {
            Ok(nodes) if nodes > 1.5 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    cluster.gateways[0].terminate()?;
    let code = here.close_code().await?;
    ensure!(code == 4000, "closed with {code}");
    let ended = cluster.gateways[0].ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}");
    let gone = Instant::now();
    shows(PresenceState::Offline).await;
    ensure!(gone.elapsed() < AT_ONCE, "ann was shown for {:?} more: until the lease ended", gone.elapsed());
    eventually("the lease is given back", COUNTED.saturating_sub(gone.elapsed()), async || {
        match cluster.gateways[1].metric("starling_nodes").await {
            Ok(nodes) if nodes < 1.5 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    Ok(())
}
