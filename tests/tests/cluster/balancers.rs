//! HAProxy and Caddy where nginx is else: people chat by way of them, a gateway drains and a node dies, and nobody misses
//! anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::{Conversation, Message, Ticket};
use reqwest::Method;
use serde_json::json;
use starling_tests::{
    caddy::Caddy,
    client::{Client, EventStream, MOVED, Pass, Rest, SOON, Socket},
    cluster::{Cluster, Person},
    haproxy::Haproxy,
    node::{Node, Role},
    process::{eventually, free_port},
};

use crate::world::{agree, people, scenarios};

scenarios! {
    on_a_cluster_of_two_apis: [people_chat_by_way_of_haproxy_while_nodes_go];
    on_a_cluster: [people_chat_by_way_of_caddy_while_nodes_go];
}

async fn people_chat_by_way_of_haproxy_while_nodes_go(cluster: &mut Cluster) -> Result<()> {
    let haproxy = Haproxy::start(&cluster.gateways, &cluster.apis).await?;
    let url = haproxy.url();
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let ticket = chat(&url, [&ann, &ben], &mut cluster.gateways).await.with_context(|| haproxy.log())?;
    // What never reached a node is sent to another one: a POST too.
    cluster.apis[0].kill()?;
    for number in 0..10 {
        let rest = Rest::new(&url, Some(&ann.token))?;
        rest.post("conversations", json!({"kind": "public", "title": format!("room {number}")})).await?.done()?;
    }
    cluster.gateways[1].kill()?;
    nobody_answers(&url, &ann).await?;
    told(|| haproxy.log(), &ticket).await
}

async fn people_chat_by_way_of_caddy_while_nodes_go(cluster: &mut Cluster) -> Result<()> {
    let health = free_port()?;
    let mut nodes = Vec::new();
    for (number, role) in (0..).zip([Role::Gateway, Role::Gateway, Role::Api]) {
        let place = Caddy::place(number, health);
        let place: Vec<_> = place.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut node = cluster.start_node_with(role, &place).await?;
        node.ready().await?;
        nodes.push(node);
    }
    let (gateways, apis) = nodes.split_at_mut(2);
    let caddy = Caddy::start(gateways, apis, health).await?;
    let url = caddy.url();
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let ticket = chat(&url, [&ann, &ben], gateways).await.with_context(|| caddy.log())?;
    gateways[1].kill()?;
    nobody_answers(&url, &ann).await?;
    told(|| caddy.log(), &ticket).await
}

/// They chat, and the first gateway is told to end meanwhile. Gives the ticket of a stream of events.
async fn chat(url: &str, [ann, ben]: [&Person; 2], gateways: &mut [Node]) -> Result<String> {
    let (rest, bens) = (ann.rest.at(url), ben.rest.at(url));
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::connect(url, &ben.token).await?);
    }
    let group = json!({"kind": "group", "title": "plans", "participant_ids": [ben.id]});
    let id = rest.post("conversations", group).await?.ok::<Conversation>()?.id;
    let say = async |content: &str| -> Result<Message> {
        rest.post(&format!("conversations/{id}/messages"), json!({"content": content})).await?.ok()
    };
    let ticket = bens.post("tickets", json!({"for": "events"})).await?.ok::<Ticket>()?.ticket;
    let mut stream = EventStream::open(url, &Pass::Ticket(ticket.clone()), None).await?.ok().context("refused")?;
    ensure!(stream.header("content-encoding").is_empty(), "compressed: {}", stream.header("content-encoding"));
    stream.until("reply").await?;
    for number in 0..10 {
        // It comes before the next one is said, and so not when a buffer is full.
        let sent = say(&format!("text {number}")).await?;
        let item = stream.until("message.created").await?;
        ensure!(item.data["seq"] == sent.seq, "{item:?}");
    }
    passes_on(&rest).await?;

    let (mut on_first, mut on_other) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let before = gateways[0].metric("starling_connections").await?;
        let mut socket = Socket::with_token(url, &ben.token).await?;
        socket.send(&json!({"type": "hello", "ref": "1"})).await?;
        socket.until("reply").await?;
        let came = gateways[0].metric("starling_connections").await? > before;
        if came { &mut on_first } else { &mut on_other }.push(socket);
    }
    ensure!(!on_first.is_empty() && !on_other.is_empty(), "{} of 4 sockets are on one gateway", on_first.len());
    let node = &mut gateways[0];
    node.terminate()?;
    eventually("readiness fails", SOON, async || match node.admin_get("/readyz").await {
        Ok((503, body)) if body.contains("draining") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    for socket in on_first.iter_mut().chain(&mut on_other) {
        socket.send(&json!({"type": "ping", "ref": "2"})).await?;
        socket.until("reply").await?;
    }
    let mut came = 0;
    let ended = loop {
        let mut socket = Socket::with_token(url, &ann.token).await.context("a new socket while a gateway drains")?;
        socket.until("connected").await?;
        socket.close().await?;
        came += 1;
        if let Ok(ended) = node.ended(Duration::from_millis(20)).await {
            break ended;
        }
        ensure!(came < 2_000, "the node does not end");
    };
    ensure!(ended.code() == Some(0) && came > 1, "it ended with {ended}, and {came} came meanwhile");
    // What was open went on until its gateway closed it, and what is open on the other one still does.
    for socket in &mut on_first {
        ensure!(socket.close_code().await? == 4000, "a socket ended before its gateway had done with it");
    }
    for socket in &mut on_other {
        socket.send(&json!({"type": "ping", "ref": "3"})).await?;
        socket.until("reply").await?;
    }
    say("after it").await?;
    agree(ben, id, &clients).await?;
    let moved = clients.iter().filter(|client| client.connections() == 2).count();
    ensure!((1..6).contains(&moved), "{moved} of 6 clients moved");
    for client in &clients {
        let codes = client.closes();
        ensure!(codes.iter().all(|code| [MOVED, 4000].contains(code)), "not a clean move: {}", client.summary());
    }
    Ok(ticket)
}

/// A request's id and a node's own errors go through as they are.
async fn passes_on(rest: &Rest) -> Result<()> {
    for (id, kept) in [("mine-1.a_B", true), ("not:kept", false)] {
        let answer = rest.call(Method::GET, "me", None, &[("x-request-id", id)]).await?;
        let ids: Vec<_> = answer.headers.get_all("x-request-id").iter().collect();
        ensure!(ids.len() == 1 && (ids[0] == id) == kept, "{id} became {ids:?}");
    }
    let answer = rest.get("nothing/of/this/name").await?;
    ensure!(answer.problem()? == (404, "no_such_route".into()), "{answer:?}");
    Ok(())
}

/// Without any gateway the load balancer says what a node would.
async fn nobody_answers(url: &str, person: &Person) -> Result<()> {
    let answer = person.rest.at(url).call(Method::GET, "events", None, &[("x-request-id", "alone")]).await?;
    ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    ensure!(header("retry-after") == Some("1") && header("x-request-id") == Some("alone"), "{answer:?}");
    ensure!(answer.body["request_id"] == "alone" && answer.body["status"] == 503, "{answer:?}");
    Ok(())
}

/// Requests are in the log, and what opens a connection is not.
async fn told(log: impl Fn() -> String, ticket: &str) -> Result<()> {
    let log = eventually("the log tells of requests", SOON, async || match log() {
        log if log.contains("/v1/ws") && log.contains("/v1/events") && log.contains("alone") => Ok(log),
        log => Err(log),
    })
    .await;
    ensure!(!log.contains(ticket) && !log.contains("ticket="), "a ticket is in the log:\n{log}");
    Ok(())
}
