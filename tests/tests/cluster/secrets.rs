//! What people say, and what proves who they are, is in no log, metric or refusal, however much is logged and whatever
//! goes wrong. (Every other scenario's logs are searched too: `world::check_secrets`.)

use anyhow::{Result, ensure};
use futures_util::{SinkExt, future::join_all};
use protocol::{Ticket, TokenResponse};
use serde_json::json;
use starling_tests::{
    client::{Rest, SOON},
    cluster::Cluster,
    process::eventually,
};
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::world::scenarios;

scenarios! {
    on_a_cluster_that_logs_everything: [what_is_planted_comes_out_nowhere];
}

/// In everything that is planted.
const PLANTED: &str = "planted-7f3e";

async fn what_is_planted_comes_out_nowhere(cluster: &mut Cluster) -> Result<()> {
    let url = cluster.url();
    let password = format!("{PLANTED} the password");
    let open = Rest::new(&url, None)?;
    let who = json!({"username": "ann", "password": password});
    let ann: TokenResponse = open.post("auth/register", who.clone()).await?.ok()?;
    let again: TokenResponse = open.post("auth/login", who.clone()).await?.ok()?;
    open.post("auth/login", json!({"username": "ann", "password": format!("{PLANTED} wrong")})).await?;
    let fresh: TokenResponse = open.post("auth/refresh", json!({"refresh_token": again.refresh_token})).await?.ok()?;
    // Used twice: it counts as stolen.
    open.post("auth/refresh", json!({"refresh_token": again.refresh_token})).await?;
    let ben = cluster.person("ben").await?;
    let rest = Rest::new(&url, Some(&ann.access_token))?;
    let title = format!("{PLANTED} the title");
    let wanted = json!({"kind": "group", "title": title, "participant_ids": [ben.id]});
    let room: protocol::Conversation = rest.post("conversations", wanted.clone()).await?.ok()?;
    let messages = format!("conversations/{}/messages", room.id);
    let text = |n: u32| json!({"content": format!("{PLANTED} text {n}"), "client_id": format!("{n}")});
    let sent: protocol::Message = rest.post(&messages, text(1)).await?.ok()?;
    rest.patch(&format!("messages/{}", sent.id), json!({"content": format!("{PLANTED} edited")})).await?;
    rest.get(&format!("search/messages?query={PLANTED}")).await?;
    // What is refused, by the content itself or beside it.
    rest.post(&messages, json!({"content": format!("{PLANTED} too much"), "client_id": "2", "colour": "red"})).await?;
    rest.post(&messages, json!({"content": [format!("{PLANTED} a list")], "client_id": "3"})).await?;
    rest.post(&messages, json!({"content": PLANTED.repeat(2_000), "client_id": "4"})).await?;
    rest.post(&messages, json!({"content": format!("{PLANTED} no id of the client")})).await?;
    Rest::new(&url, Some(&format!("{PLANTED}.not.a-token")))?.get("me").await?;
    rest.get(&format!("messages/{PLANTED}")).await?;
    let ticket: Ticket = rest.post("tickets", json!({"for": "events"})).await?.ok()?;

    // Sockets: a token in `hello`, texts, and frames that are wrong in every way.
    let ws = url.replace("http://", "ws://");
    let (mut socket, _) = timeout(SOON, connect_async(format!("{ws}/v1/ws?await_hello=true"))).await??;
    for frame in [
        json!({"type": "hello", "ref": "1", "token": format!("{PLANTED}.wrong.token"), "resume": 7}).to_string(),
        json!({"type": "hello", "ref": "2", "token": fresh.access_token}).to_string(),
        json!({"type": "message.send", "ref": "3", "conversation_id": room.id, "content": format!("{PLANTED} said"),
               "client_id": "5"})
        .to_string(),
        json!({"type": "message.send", "ref": "4", "conversation_id": room.id, "content": [PLANTED]}).to_string(),
        json!({"type": PLANTED, "ref": PLANTED}).to_string(),
        format!("{{\"type\": \"message.send\", \"content\": \"{PLANTED}"),
    ] {
        if timeout(SOON, socket.send(Message::text(frame))).await?.is_err() {
            break;
        }
    }
    let device = ben.connect().await?;
    device.load(room.id).await?;
    device.sees(room.id, &format!("{PLANTED} edited")).await?;
    timeout(SOON, reqwest::get(format!("{url}/v1/events?ticket={}", ticket.ticket))).await??;

    // With what they stand on gone for a moment: errors are logged with their causes.
    cluster.redis()?.kill()?;
    rest.post(&messages, text(6)).await?;
    cluster.redis()?.up().await?;
    eventually("events flow again", SOON, async || {
        ensure!(device.is_live(), "not live");
        anyhow::Ok(())
    })
    .await;

    // And with the other one gone: what was under way breaks off, what is asked then fails, and all of it has causes of
    // its own.
    cluster.postgres()?.kill().await?;
    let messages = messages.as_str();
    let posts = [
        (&open, "auth/register", json!({"username": "carl", "password": password})),
        (&open, "auth/login", who),
        (&open, "auth/refresh", json!({"refresh_token": fresh.refresh_token})),
        (&rest, "conversations", wanted),
        (&rest, messages, text(7)),
    ];
    let posts = join_all(posts.into_iter().map(|(rest, path, body)| rest.post(path, body)));
    let (edited, found) = (format!("messages/{}", sent.id), format!("search/messages?query={PLANTED}"));
    let said = json!({"conversation_id": room.id, "content": format!("{PLANTED} in vain"), "client_id": "8"});
    let stream = reqwest::get(format!("{url}/v1/events?ticket={}", ticket.ticket));
    let (answers, ..) = tokio::join!(
        posts,
        rest.patch(&edited, json!({"content": format!("{PLANTED} edited in vain")})),
        rest.get(&found),
        device.command("message.send", said),
        timeout(SOON, stream),
    );
    let refused = answers.iter().flatten().filter(|answer| answer.status.as_u16() == 503).count();
    ensure!(refused > 0, "nothing failed for want of PostgreSQL: {answers:?}");
    cluster.postgres()?.up().await?;
    eventually("messages go through again", SOON, async || rest.post(messages, text(9)).await?.done()).await;
    device.sees(room.id, &format!("{PLANTED} text 9")).await?;

    let mut out = vec![("the logs", cluster.logs())];
    for node in cluster.gateways.iter().chain(&cluster.apis) {
        out.push(("the metrics", node.admin_get("/metrics").await?.1));
        out.push(("readiness", node.admin_get("/readyz").await?.1));
    }
    ensure!(out[0].1.contains(" DEBUG "), "the nodes do not log all that they can");
    ensure!(out[0].1.contains("the store is out of reach"), "no node says why requests fail");
    let tokens = [&ann.access_token, &ann.refresh_token, &again.refresh_token, &fresh.refresh_token, &ticket.ticket];
    for (what, text) in &out {
        ensure!(text.lines().count() > 0, "{what} say nothing: this proves nothing");
        for line in text.lines() {
            ensure!(!line.contains(PLANTED), "what was planted is in {what}: {line}");
            ensure!(!tokens.iter().any(|token| line.contains(token.as_str())), "a token is in {what}: {line}");
        }
    }
    for (what, text) in out.iter().filter(|(what, _)| *what == "the metrics") {
        ensure!(!text.contains(&ben.id.to_string()), "a user is named in {what}");
        ensure!(!text.contains(&room.id.to_string()), "a conversation is named in {what}");
    }
    Ok(())
}
