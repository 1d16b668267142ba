//! kill -9: what was acknowledged is there, what was missed comes once and in order, on any node.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use protocol::{Change, ChangeType, Changes, ConversationId, Message};
use serde_json::json;
use sqlx::Row;
use starling_tests::{
    client::{Client, SOON},
    cluster::{Cluster, Person},
    process::eventually,
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::world::{agree, committed, devices, on_each_gateway, people, scenarios, texts};

scenarios! {
    on_a_cluster: [
        what_was_acknowledged_before_kill_9_is_committed_and_the_rest_is_there_once_after_a_retry,
        a_resume_after_kill_9_brings_exactly_what_was_missed_once_and_in_order,
        a_node_that_is_killed_again_and_again_loses_nobody_anything,
    ];
    on_one_node: [
        what_was_acknowledged_before_kill_9_is_committed_and_the_rest_is_there_once_after_a_retry,
        a_resume_after_kill_9_brings_exactly_what_was_missed_once_and_in_order,
        a_node_that_is_killed_again_and_again_loses_nobody_anything,
    ];
}

/// Kills the first gateway; an embedded node is started again on its data.
async fn crash(cluster: &mut Cluster) -> Result<()> {
    cluster.gateways[0].kill()?;
    if cluster.is_embedded() { come_back(cluster).await } else { Ok(()) }
}

async fn come_back(cluster: &mut Cluster) -> Result<()> {
    cluster.gateways[0].restart().await?;
    cluster.gateways[0].ready().await
}

/// The `client_id`s of a conversation as they are in the database, in the order of their places.
async fn rows(cluster: &Cluster, person: &Person, id: ConversationId) -> Result<Vec<String>> {
    if cluster.is_embedded() {
        let (messages, _) = committed(person, id).await?;
        return Ok(messages.into_values().filter_map(|message| message.client_id).collect());
    }
    let sql = "SELECT client_id FROM messages WHERE conversation_id = $1 AND client_id IS NOT NULL ORDER BY seq";
    let rows = sqlx::query(sql).bind(id.0).fetch_all(&mut cluster.rows().await?).await?;
    Ok(rows.iter().map(|row| row.try_get("client_id")).collect::<Result<_, _>>()?)
}

async fn what_was_acknowledged_before_kill_9_is_committed_and_the_rest_is_there_once_after_a_retry(
    cluster: &mut Cluster,
) -> Result<()> {
    const SENDS: usize = 600;
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let mut readers = on_each_gateway(cluster, &cleo).await?;
    let mut senders = Vec::new();
    for person in [&ann, &ben, &ann, &ben] {
        senders.push(Arc::new(person.connect_to(&cluster.gateways[0]).await?));
    }
    readers.push(cleo.connect().await?);
    let id = ann.group("plans", &[&ben, &cleo]).await?;
    for device in readers.iter().chain(senders.iter().map(AsRef::as_ref)) {
        device.reaches(id, 1).await?;
        device.next_node(&cluster.url());
    }

    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let (count, mut counted) = watch::channel(0);
    let count = Arc::new(count);
    let mut sending = JoinSet::new();
    for number in 0..SENDS {
        let sender = Arc::clone(&senders[number % senders.len()]);
        let (acknowledged, count) = (Arc::clone(&acknowledged), Arc::clone(&count));
        sending.spawn(async move {
            let client_id = format!("send-{number}");
            let send = json!({"conversation_id": id, "content": client_id, "client_id": client_id});
            let answered = sender.command("message.send", send).await.is_ok_and(|reply| reply.ok);
            if answered {
                acknowledged.lock().insert(client_id.clone());
                count.send_modify(|count| *count += 1);
            }
            (number, client_id, answered)
        });
    }
    timeout(SOON, counted.wait_for(|count| *count >= SENDS / 6)).await.context("sends are not acknowledged")??;
    cluster.gateways[0].kill()?;
    let promised = acknowledged.lock().clone();
    ensure!(promised.len() < SENDS, "everything was acknowledged before the end, so this proves nothing");
    if cluster.is_embedded() {
        come_back(cluster).await?;
    }
    let there: HashSet<_> = rows(cluster, &ann, id).await?.into_iter().collect();
    let lost: Vec<_> = promised.difference(&there).collect();
    ensure!(lost.is_empty(), "acknowledged and not committed: {lost:?}");

    // Commands that were not on their way yet go out on the next connection; the others are sent again.
    let mut unanswered = Vec::new();
    while let Some(sent) = sending.join_next().await {
        let (number, client_id, answered) = sent?;
        if !answered {
            unanswered.push((number, client_id));
        }
    }
    ensure!(!unanswered.is_empty(), "nothing was on its way when the node was killed, so this proves nothing");
    let retries = unanswered
        .iter()
        .map(async |(number, client_id)| senders[number % senders.len()].send_as(id, client_id, client_id).await);
    try_join_all(retries).await?;

    let there = rows(cluster, &ann, id).await?;
    let once: BTreeSet<_> = there.iter().collect();
    ensure!(there.len() == SENDS && once.len() == SENDS, "{} rows, {} of them different", there.len(), once.len());
    let truth = agree(&cleo, id, readers.iter().chain(senders.iter().map(AsRef::as_ref))).await?;
    ensure!(texts(&truth) == there, "the order of places is not the order that everybody sees");
    ensure!(truth.keys().copied().eq(1..=1 + SENDS as u64), "not dense: {:?}", truth.keys());
    for device in readers.iter().chain(senders.iter().map(AsRef::as_ref)) {
        ensure!(device.view().repeats == 0, "{}", device.summary());
    }
    Ok(())
}

/// What a client must be told after a cursor.
async fn missed(person: &Person, id: ConversationId, after: u64) -> Result<Vec<Change>> {
    let page: Changes = person.rest.get(&format!("conversations/{id}/changes?after={after}")).await?.ok()?;
    ensure!(!page.more, "too much for one page");
    Ok(page.changes)
}

async fn a_resume_after_kill_9_brings_exactly_what_was_missed_once_and_in_order(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let anns = ann.connect_to(cluster.gateways.last().context("no gateway")?).await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let (id, lost) = (ann.group("plans", &[&ben]).await?, ann.group("left", &[&ben]).await?);
    for client in [&anns, &bens] {
        client.reaches(id, 1).await?;
        client.reaches(lost, 1).await?;
    }
    let mut old = Vec::new();
    for number in 0..4 {
        old.push(anns.send(id, &format!("old {number}")).await?);
    }
    anns.send(lost, "still for ben").await?;
    agree(&ben, id, [&bens]).await?;
    agree(&ben, lost, [&bens]).await?;

    // Nowhere to go: so that nothing is heard before the resume.
    bens.next_node("http://127.0.0.1:1");
    crash(cluster).await?;
    eventually(
        "the client loses its node",
        SOON,
        async || {
            if bens.closes() == [1006] { Ok(()) } else { Err(bens.closes()) }
        },
    )
    .await;
    let (cursor, known) = (bens.view().cursor(id).context("no cursor")?, bens.view().events.len());
    anns.live().await?;

    let first = anns.send(id, "new 0").await?;
    let second = anns.send(id, "new 1").await?;
    anns.edit(old[0].id, "old 0, edited").await?;
    anns.edit(old[0].id, "old 0, edited twice").await?;
    anns.delete(old[1].id).await?;
    anns.edit(first.id, "new 0, edited").await?;
    anns.delete(second.id).await?;
    let path = format!("conversations/{id}");
    ann.rest.post(&format!("{path}/participants"), json!({"user_ids": [cleo.id]})).await?.done()?;
    ann.rest.patch(&path, json!({"title": "other plans"})).await?.done()?;
    anns.send(id, "new 2").await?;
    anns.send(lost, "the last for ben").await?;
    ann.rest.delete(&format!("conversations/{lost}/participants/{}", ben.id)).await?.done()?;
    anns.send(lost, "a secret").await?;
    let made = ann.group("made meanwhile", &[&ben]).await?;
    anns.reaches(made, 1).await?;
    anns.send(made, "in the new one").await?;

    bens.next_node(&cluster.url());
    bens.live().await?;
    agree(&ben, id, [&bens, &anns]).await?;
    agree(&ben, made, [&bens, &anns]).await?;
    let out = bens.until("the client learns that it is out", |view| view.timelines.get(&lost)?.gone.then_some(()));
    out.await?;

    let view = bens.view();
    let wanted: Vec<_> = missed(&ben, id, cursor).await?.iter().map(|c| (c.seq, c.kind, c.data.id)).collect();
    let applied: Vec<_> = view.timelines[&id].applied.iter().filter(|(seq, ..)| *seq > cursor).copied().collect();
    ensure!(applied == wanted, "not exactly what was missed:\n{applied:?}\n{wanted:?}");
    let kinds: Vec<_> = wanted.iter().map(|(_, kind, _)| *kind).collect();
    ensure!(kinds.contains(&ChangeType::Updated) && kinds.contains(&ChangeType::Deleted), "{kinds:?}");
    let events = &view.events[known..];
    for (kind, about) in [("conversation.created", made), ("participant.removed", lost)] {
        let told = events.iter().filter(|event| event["type"] == kind && event["conversation_id"] == json!(about));
        ensure!(told.count() == 1, "not told once of `{kind}`; {}", bens.summary());
    }
    ensure!(!format!("{events:?}").contains("secret"), "a removed participant hears; {}", bens.summary());
    ensure!(view.repeats == 0 && view.resyncs.is_empty(), "{}", bens.summary());
    anns.send(id, "live again").await?;
    bens.send(made, "live again").await?;
    agree(&ben, id, [&bens, &anns]).await?;
    agree(&ben, made, [&bens, &anns]).await.map(drop)
}

async fn a_node_that_is_killed_again_and_again_loses_nobody_anything(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all: Vec<_> = [devices(cluster, &ann).await?, devices(cluster, &ben).await?].into_iter().flatten().collect();
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
        device.next_node(&cluster.url());
    }
    let talk = async |device: &Client, mut stop: watch::Receiver<bool>, who: usize| {
        let mut sent: Vec<Message> = Vec::new();
        while !*stop.borrow_and_update() {
            sent.push(device.send(id, &format!("{} of {who}", sent.len())).await?);
        }
        anyhow::Ok(sent)
    };
    let (stop, stopped) = watch::channel(false);
    let killing = async {
        for _ in 0..3 {
            let before = committed(&ann, id).await?.1;
            all[0].reaches(id, before + 20).await?;
            cluster.gateways[0].kill()?;
            come_back(cluster).await?;
        }
        stop.send_replace(true);
        Ok(())
    };
    let talking = all.iter().enumerate().map(|(who, device)| talk(device, stopped.clone(), who));
    let (sent, ()) = timeout(Duration::from_mins(2), async { tokio::try_join!(try_join_all(talking), killing) })
        .await
        .context("the talk does not go on")??;
    let truth = agree(&ben, id, &all).await?;
    let sent: Vec<_> = sent.into_iter().flatten().collect();
    for message in &sent {
        ensure!(truth.get(&message.seq) == Some(message), "acknowledged and not there: {message:?}");
    }
    ensure!(texts(&truth).len() == sent.len(), "{} sent, {} there", sent.len(), texts(&truth).len());
    ensure!(all.iter().all(|device| device.view().repeats == 0), "{all:?}");
    Ok(())
}
