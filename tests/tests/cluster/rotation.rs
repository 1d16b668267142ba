//! `STARLING_JWT_SECRET` is changed as docs/operations.md says, in three rolling restarts: whatever either secret signed
//! is good on every node at every moment in between, and nobody is sent away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use protocol::{Ticket, TokenResponse};
use serde_json::{Value, json};
use starling_tests::{
    client::{Client, EventStream, MOVED, Pass, Rest, Socket},
    cluster::{Cluster, Person, sign_with},
    node::Node,
};
use tokio::time::sleep;

use crate::{
    rolling::restart,
    world::{agree, people, scenarios},
};

scenarios! {
    on_a_cluster_of_two_apis: [a_secret_is_changed_node_by_node_and_no_client_is_lost];
}

const SECRET: &str = "STARLING_JWT_SECRET";
const PREVIOUS: &str = "STARLING_JWT_SECRETS_PREVIOUS";

/// A token of somebody, as an app that has this secret would sign it.
fn token_by(secret: &str, name: &str) -> Result<String> {
    let exp = (SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_hours(1)).as_secs();
    sign_with(secret, &json!({"sub": name, "preferred_username": name, "name": name, "exp": exp}))
}

/// Every api node and every gateway takes each of these tokens.
async fn all_take(cluster: &Cluster, tokens: &[String]) -> Result<()> {
    for (number, token) in tokens.iter().enumerate() {
        for node in &cluster.apis {
            let me = Rest::new(node.url(), Some(token))?.get("me").await?;
            me.done().with_context(|| format!("token {number}"))?;
        }
        for node in &cluster.gateways {
            let mut socket = Socket::with_token(node.url(), token).await?;
            socket.until("connected").await.with_context(|| format!("token {number} at a gateway"))?;
        }
    }
    Ok(())
}

/// What every api node signs for itself (access tokens, also in exchange for another node's refresh token, and tickets
/// for streams) is taken by all nodes.
async fn all_take_what_each_signs(cluster: &Cluster, guest: &mut TokenResponse) -> Result<()> {
    for node in &cluster.apis {
        let refresh = json!({"refresh_token": guest.refresh_token});
        *guest = Rest::new(node.url(), None)?.post("auth/refresh", refresh).await?.ok()?;
        all_take(cluster, std::slice::from_ref(&guest.access_token)).await.context("a token of Starling's own")?;
        let rest = Rest::new(node.url(), Some(&guest.access_token))?;
        let ticket: Ticket = rest.post("tickets", json!({"for": "events"})).await?.ok()?;
        stream_opens(cluster, &ticket.ticket).await?;
    }
    Ok(())
}

async fn stream_opens(cluster: &Cluster, ticket: &str) -> Result<()> {
    for node in &cluster.gateways {
        let opened = EventStream::open(node.url(), &Pass::Ticket(ticket.to_owned()), None).await?;
        let mut stream = opened.map_err(|status| anyhow::anyhow!("a ticket was refused with {status}"))?;
        stream.until("connected").await?;
    }
    Ok(())
}

async fn a_secret_is_changed_node_by_node_and_no_client_is_lost(cluster: &mut Cluster) -> Result<()> {
    let old = cluster.secret().to_owned();
    let new = format!("{old}: the next one");
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (ann.connect().await?, ben.connect().await?);
    let id = ann.group("plans", &[&ben]).await?;
    let mut guest: TokenResponse =
        Rest::new(&cluster.url(), None)?.post("auth/guest", json!({"username": "guest"})).await?.ok()?;
    let (by_old, by_new) = (token_by(&old, "ann")?, token_by(&new, "ann")?);
    let rest = Rest::new(&cluster.url(), Some(&by_old))?;
    let old_ticket: Ticket = rest.post("tickets", json!({"for": "events"})).await?.ok()?;

    for (step, secret, previous, before, after) in [
        ("the new one is accepted", &old, new.as_str(), vec![by_old.clone()], vec![by_old.clone(), by_new.clone()]),
        ("the new one signs", &new, old.as_str(), vec![by_old.clone(), by_new.clone()], vec![by_old, by_new.clone()]),
        ("the old one is gone", &new, "", vec![by_new.clone()], vec![by_new.clone()]),
    ] {
        if previous.is_empty() {
            // The longest life of a token is over, as far as this test goes: everybody has a newer one.
            for (device, name) in [(&anns, "ann"), (&bens, "ben")] {
                device.next_token(&token_by(&new, name)?);
            }
        }
        for number in 0..cluster.apis.len() + cluster.gateways.len() {
            let about = format!("{step}, node {number}");
            let node = nth(cluster, number)?;
            node.configure(SECRET, secret);
            node.configure(PREVIOUS, previous);
            restart(node).await.with_context(|| about.clone())?;
            // The load balancer asks a node that was away again after a second.
            sleep(Duration::from_millis(1_200)).await;
            all_take(cluster, &before).await.with_context(|| about.clone())?;
            all_take_what_each_signs(cluster, &mut guest).await.with_context(|| about.clone())?;
            let said: Value = serde_json::to_value(anns.send(id, &about).await?)?;
            ensure!(said["content"] == about, "{said}");
            bens.sees(id, &about).await?;
        }
        all_take(cluster, &after).await.with_context(|| format!("after: {step}"))?;
        if !previous.is_empty() {
            stream_opens(cluster, &old_ticket.ticket).await.with_context(|| format!("after: {step}"))?;
        }
    }

    // It is over: what the old one signed opens nothing, anywhere.
    let by_old = token_by(&old, "ann")?;
    for node in &cluster.apis {
        let answer = Rest::new(node.url(), Some(&by_old))?.get("me").await?;
        ensure!(answer.problem()? == (401, "not_authenticated".into()), "{answer:?}");
    }
    for node in &cluster.gateways {
        let mut socket = Socket::with_token(node.url(), &by_old).await?;
        ensure!(socket.close_code().await? == 4500, "the old secret still opens sockets");
        let opened = EventStream::open(node.url(), &Pass::Ticket(old_ticket.ticket.clone()), None).await?;
        ensure!(opened.err() == Some(401), "the old secret still opens streams");
    }
    let ben = renewed(cluster, &new, ben)?;
    agree(&ben, id, [&anns, &bens]).await?;
    for device in [&anns, &bens] {
        ensure!(moved_only(device), "not a clean move: {}", device.summary());
        ensure!(device.connections() >= 2, "it never moved, so this proves nothing: {}", device.summary());
    }
    let logs = cluster.logs();
    ensure!(!logs.contains(&old) && !logs.contains(&new), "a secret is in a log");
    Ok(())
}

/// The same person with a token by this secret.
fn renewed(cluster: &Cluster, secret: &str, mut person: Person) -> Result<Person> {
    person.token = token_by(secret, &person.name)?;
    person.rest = Rest::new(&cluster.url(), Some(&person.token))?;
    Ok(person)
}

/// The node of this number: api nodes first.
fn nth(cluster: &mut Cluster, number: usize) -> Result<&mut Node> {
    cluster.apis.iter_mut().chain(&mut cluster.gateways).nth(number).context("there is no such node")
}

fn moved_only(device: &Client) -> bool {
    device.closes().iter().all(|code| [MOVED, 4000].contains(code))
}
