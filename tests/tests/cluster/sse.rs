//! Streams of events: the same news as on a socket, by way of nginx, resumed on any node with nothing but the last id.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::{ConversationId, TokenResponse};
use serde_json::json;
use starling_tests::{
    client::{Client, EventStream, Pass, Rest, SOON, SseClient},
    cluster::{Cluster, Person},
    process::eventually,
};
use tokio::{sync::watch, time::timeout};

use crate::world::{committed, people, say, scenarios};

scenarios! {
    on_a_cluster: [
        a_stream_tells_what_a_socket_tells,
        who_types_who_has_read_and_who_is_notified_is_told_on_a_stream,
        after_kill_9_a_stream_goes_on_with_exactly_what_was_missed,
        a_node_that_is_told_to_end_ends_its_streams_and_nobody_misses_anything,
        a_session_that_is_revoked_ends_its_streams_and_its_ticket,
        an_id_of_another_database_asks_for_a_resync,
    ];
    on_one_node: [
        a_stream_tells_what_a_socket_tells,
        who_types_who_has_read_and_who_is_notified_is_told_on_a_stream,
        after_kill_9_a_stream_goes_on_with_exactly_what_was_missed,
        a_session_that_is_revoked_ends_its_streams_and_its_ticket,
    ];
    on_a_cluster_that_compares_often: [
        the_id_of_a_quiet_stream_moves_and_what_the_bus_lost_comes_before_it,
    ];
}

/// A ticket for events, as a page buys it.
async fn ticket(rest: &Rest) -> Result<Pass> {
    let ticket: protocol::Ticket = rest.post("tickets", json!({"for": "events"})).await?.ok()?;
    Ok(Pass::Ticket(ticket.ticket))
}

async fn stream(person: &Person, base: &str) -> Result<SseClient> {
    SseClient::connect(base, ticket(&person.rest).await?, &person.rest).await
}

/// Waits until each stream shows the conversation exactly as it is committed.
async fn agree(person: &Person, id: ConversationId, streams: &[&SseClient]) -> Result<()> {
    let (truth, head) = committed(person, id).await?;
    for stream in streams {
        stream.reaches(id, head).await?;
        let what = "the stream shows what is committed";
        stream.until(what, |view| (view.timelines.get(&id)?.messages == truth).then_some(())).await?;
        stream.check()?;
    }
    Ok(())
}

async fn a_stream_tells_what_a_socket_tells(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let socket: Client = ben.connect().await?;
    let client = stream(&ben, &cluster.url()).await?;
    // Opened raw as well: each event must come while the stream stays open, not when a buffer is full.
    let mut raw = EventStream::open(&cluster.url(), &Pass::Token(ben.token.clone()), None).await?.ok().context("no")?;
    ensure!(raw.header("content-type") == "text/event-stream", "{}", raw.header("content-type"));
    ensure!(raw.header("content-encoding").is_empty(), "compressed: {}", raw.header("content-encoding"));
    raw.until("reply").await?;
    let id = ann.group("plans", &[&ben]).await?;
    raw.until("conversation.created").await?;
    // What is sent while a connection still joins may come to it as `changes`: from here on all three are past that.
    let first = say(&ann, id, "first", json!({})).await?.seq;
    let told = async {
        while let Some(item) = raw.next().await {
            let seq = item.data["seq"].as_u64().or(item.data["to"].as_u64());
            if item.data["conversation_id"] == json!(id) && seq >= Some(first) {
                return true;
            }
        }
        false
    };
    ensure!(timeout(SOON, told).await.context("the first message does not come")?, "the stream ended");
    client.reaches(id, first).await?;
    socket.reaches(id, first).await?;
    for number in 0..20 {
        let sent = say(&ann, id, &format!("text {number}"), json!({})).await?;
        let item = raw.until("message.created").await?;
        ensure!(item.data["seq"] == sent.seq, "{item:?}");
        if number % 3 == 0 {
            let path = format!("messages/{}", sent.id);
            ann.rest.patch(&path, json!({"content": "edited"})).await?.done()?;
            raw.until("message.updated").await?;
            ann.rest.put(&format!("{path}/reactions/%F0%9F%91%8D")).await?.done()?;
            raw.until("reaction.added").await?;
            ann.rest.delete(&path).await?.done()?;
            raw.until("message.deleted").await?;
        }
    }
    agree(&ben, id, &[&client]).await?;
    let head = committed(&ben, id).await?.1;
    socket.reaches(id, head).await?;
    // Frame by frame, but for those that belong to one connection.
    let durable = |events: Vec<serde_json::Value>| -> Vec<_> {
        let here =
            |event: &serde_json::Value| event["seq"].as_u64() > Some(first) && event["conversation_id"] == json!(id);
        events.into_iter().filter(here).collect()
    };
    let (on_stream, on_socket) = (durable(client.view().events), durable(socket.view().events));
    ensure!(on_stream == on_socket, "{} events on the stream, {} on the socket", on_stream.len(), on_socket.len());
    ensure!(on_stream.len() >= 40, "only {} events", on_stream.len());
    Ok(())
}

/// What has no place in the conversation's order, as it happens.
async fn who_types_who_has_read_and_who_is_notified_is_told_on_a_stream(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut raw = EventStream::open(&cluster.url(), &Pass::Token(ben.token.clone()), None).await?.ok().context("no")?;
    raw.until("reply").await?;
    let id = ann.group("plans", &[&ben]).await?;
    raw.until("conversation.created").await?;
    // From the first one that comes by itself on it follows the conversation: what is not kept comes too.
    for number in 0.. {
        let seq = say(&ann, id, &format!("hello {number}"), json!({})).await?.seq;
        let told = async {
            loop {
                let item = raw.next().await.context("the stream ended")?;
                let reached = item.data["seq"].as_u64().or(item.data["to"].as_u64());
                if item.data["conversation_id"] == json!(id) && reached >= Some(seq) {
                    return anyhow::Ok(item.data["type"] == "message.created");
                }
            }
        };
        if timeout(SOON, told).await.context("the message does not come")?? {
            break;
        }
    }
    ann.rest.post(&format!("conversations/{id}/typing"), json!({"typing": true})).await?.done()?;
    let typing = raw.until("typing").await?;
    ensure!(typing.data["data"]["user"]["id"] == json!(ann.id) && typing.data["data"]["typing"] == true, "{typing:?}");

    let own = say(&ben, id, "have you seen this?", json!({})).await?;
    ann.rest.post(&format!("conversations/{id}/read"), json!({"seq": own.seq})).await?.done()?;
    let anns = async {
        loop {
            let receipt = raw.until("receipt.updated").await?.data["data"].clone();
            if receipt["user_id"] == json!(ann.id) && receipt["read_seq"] == own.seq {
                return anyhow::Ok(());
            }
        }
    };
    timeout(SOON, anns).await.context("that ann has read it is not told")??;

    let mention = say(&ann, id, "@ben yes", json!({})).await?;
    let notified = raw.until("notification.created").await?;
    ensure!(notified.data["data"]["message_id"] == json!(mention.id), "{notified:?}");
    Ok(())
}

async fn after_kill_9_a_stream_goes_on_with_exactly_what_was_missed(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let client = stream(&ben, cluster.gateways[0].url()).await?;
    let (id, lost) = (ann.group("plans", &[&ben]).await?, ann.group("left", &[&ben]).await?);
    let quiet = ann.group("quiet", &[&ben]).await?;
    for place in [id, lost, quiet] {
        client.reaches(place, 1).await?;
    }
    let mut old = Vec::new();
    for number in 0..4 {
        old.push(say(&ann, id, &format!("old {number}"), json!({})).await?);
    }
    agree(&ben, id, &[&client]).await?;
    // Nowhere to go: so that nothing is heard before the resume.
    client.next_node("http://127.0.0.1:1");
    cluster.gateways[0].kill()?;
    eventually(
        "the stream breaks",
        SOON,
        async || {
            if client.closes() == [1006] { Ok(()) } else { Err(client.closes()) }
        },
    )
    .await;
    if cluster.is_embedded() {
        cluster.gateways[0].restart().await?;
        cluster.gateways[0].ready().await?;
    }
    let path = |message: &protocol::Message| format!("messages/{}", message.id);
    let new = say(&ann, id, "new", json!({})).await?;
    ann.rest.patch(&path(&old[0]), json!({"content": "old 0, edited"})).await?.done()?;
    ann.rest.put(&format!("{}/reactions/%F0%9F%91%8D", path(&old[1]))).await?.done()?;
    ann.rest.delete(&path(&old[2])).await?.done()?;
    ann.rest.delete(&path(&new)).await?.done()?;
    let plans = format!("conversations/{id}");
    ann.rest.post(&format!("{plans}/participants"), json!({"user_ids": [cleo.id]})).await?.done()?;
    ann.rest.patch(&plans, json!({"title": "other plans"})).await?.done()?;
    say(&ann, lost, "the last for ben", json!({})).await?;
    ann.rest.delete(&format!("conversations/{lost}/participants/{}", ben.id)).await?.done()?;
    say(&ann, lost, "a secret", json!({})).await?;
    let made = ann.group("made meanwhile", &[&ben]).await?;
    say(&ann, made, "in the new one", json!({})).await?;

    client.next_node(&cluster.url());
    eventually(
        "the stream goes on",
        SOON,
        async || {
            if client.connections() == 2 { Ok(()) } else { Err(format!("{client:?}")) }
        },
    )
    .await;
    agree(&ben, id, &[&client]).await?;
    agree(&ben, made, &[&client]).await?;
    agree(&ben, quiet, &[&client]).await?;
    client.until("it learns that it is out", |view| view.timelines.get(&lost)?.gone.then_some(())).await?;
    let view = client.view();
    ensure!(view.resyncs.is_empty(), "{client:?}");
    let told = |kind: &str, about: ConversationId| {
        view.events_of(kind).filter(|event| event["conversation_id"] == json!(about)).count()
    };
    ensure!(told("conversation.created", made) == 1 && told("participant.removed", lost) == 1, "{client:?}");
    ensure!(!format!("{:?}", view.events).contains("a secret"), "a removed participant hears");
    for place in [id, made, quiet] {
        say(&ann, place, "live again", json!({})).await?;
        agree(&ben, place, &[&client]).await?;
    }
    Ok(())
}

async fn a_node_that_is_told_to_end_ends_its_streams_and_nobody_misses_anything(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(stream(&ben, cluster.gateways[0].url()).await?);
    }
    let id = ann.group("plans", &[&ben]).await?;
    for client in &clients {
        client.reaches(id, 1).await?;
        client.next_node(&cluster.url());
    }
    let (stop, mut stopped) = watch::channel(false);
    let talking = async {
        let mut count = 0;
        while !*stopped.borrow_and_update() {
            say(&ann, id, &format!("text {count}"), json!({})).await?;
            count += 1;
            let _ = timeout(Duration::from_millis(20), stopped.changed()).await;
        }
        anyhow::Ok(count)
    };
    let node = &mut cluster.gateways[0];
    let ending = async {
        clients[0].reaches(id, 5).await?;
        node.terminate()?;
        eventually("the node opens no streams", SOON, async || {
            match EventStream::open(node.url(), &Pass::Token(ben.token.clone()), None).await {
                Ok(Err(503)) => Ok(()),
                Ok(other) => Err(format!("{:?}", other.err())),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await;
        let ended = node.ended(SOON).await?;
        ensure!(ended.code() == Some(0), "it ended with {ended}");
        for client in &clients {
            client.live().await?;
        }
        stop.send_replace(true);
        Ok(())
    };
    let (count, ()) = tokio::try_join!(talking, ending)?;
    ensure!(count >= 5, "only {count} were said");
    for client in &clients {
        agree(&ben, id, &[client]).await?;
        ensure!(client.closes() == [4000] && client.connections() == 2, "{client:?}");
        ensure!(client.view().events_of("reconnect").count() == 1, "{client:?}");
    }
    Ok(())
}

async fn a_session_that_is_revoked_ends_its_streams_and_its_ticket(cluster: &mut Cluster) -> Result<()> {
    let rest = Rest::new(&cluster.url(), None)?;
    let tokens: TokenResponse = rest.post("auth/guest", json!({"username": "ben"})).await?.ok()?;
    let bens = Rest::new(&cluster.url(), Some(&tokens.access_token))?;
    let node = cluster.gateways.last().context("no gateway")?;
    let client = SseClient::connect(node.url(), ticket(&bens).await?, &bens).await?;
    bens.post("auth/logout", json!({})).await?.done()?;
    ensure!(client.refused().await? == 401, "{client:?}");
    ensure!(client.closes() == [4501], "{client:?}");
    ensure!(client.view().events_of("session.revoked").count() == 1, "{client:?}");
    Ok(())
}

async fn an_id_of_another_database_asks_for_a_resync(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let pass = ticket(&ben.rest).await?;
    for (last, reason) in [("garbage", "bad_cursor"), ("0123456789abcdef0123456789abcdef.1.0.2f1", "epoch_changed")] {
        let mut stream = EventStream::open(&cluster.url(), &pass, Some(last)).await?.ok().context("refused")?;
        let resync = stream.until("resync_required").await?.data;
        ensure!(resync["data"]["reason"] == reason, "{resync}");
        let reply = stream.until("reply").await?.data;
        ensure!(reply["data"]["heads"][id.to_string()].is_u64(), "{reply}");
        let sent = say(&ann, id, "all the same", json!({})).await?;
        let event = stream.until("message.created").await?.data;
        ensure!(event["seq"] == sent.seq, "{event}");
    }
    Ok(())
}

async fn the_id_of_a_quiet_stream_moves_and_what_the_bus_lost_comes_before_it(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let client = stream(&ben, cluster.gateways[0].url()).await?;
    client.reaches(id, 1).await?;
    let first = client.id_after(None).await?;
    let watermark = |id: &str| id.rsplit('.').next().map(str::to_owned);
    // What others write elsewhere moves it with the next event that there is.
    let elsewhere = ann.group("elsewhere", &[]).await?;
    let mut number = 0;
    loop {
        number += 1;
        ensure!(number < 200, "the id does not move: {client:?}");
        say(&ann, elsewhere, "not for ben", json!({})).await?;
        let seq = say(&ann, id, &format!("for ben {number}"), json!({})).await?.seq;
        client.reaches(id, seq).await?;
        if client.ids().last().is_some_and(|id| watermark(id) != watermark(&first)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It stands for what came before it, so nothing of that comes again.
    let last = client.ids().last().cloned().context("no id")?;
    let mut stream = EventStream::open(&cluster.url(), &ticket(&ben.rest).await?, Some(&last)).await?.ok();
    let stream = stream.as_mut().context("refused")?;
    let mut told = Vec::new();
    while let Some(item) = timeout(SOON, stream.next()).await? {
        if item.event == "reply" {
            break;
        }
        told.extend(item.data["changes"].as_array().into_iter().flatten().filter_map(|c| c["seq"].as_u64()));
    }
    let head = committed(&ben, id).await?.1;
    ensure!(!told.contains(&2), "the whole conversation is told again: {told:?} of {head}");
    Ok(())
}
