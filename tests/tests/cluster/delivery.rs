//! Messages get to everybody: on every node, on every device, in one order, in conversations old and new.

use std::{collections::HashSet, sync::Arc};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use protocol::{Conversation, ConversationId};
use serde_json::{Value, json};
use starling_tests::cluster::{Cluster, Person};
use tokio::task::JoinSet;

use crate::world::{agree, devices, ensure_each_once, on_each_gateway, people, scenarios, texts};

scenarios! {
    on_a_cluster: [
        a_message_arrives_at_every_device_of_both_on_every_node,
        the_load_balancer_spreads_devices_over_the_gateways_and_they_all_hear,
        fifty_concurrent_senders_are_seen_in_one_dense_order_by_every_reader,
        a_gateway_that_is_started_late_serves_a_resume_and_what_follows,
        a_conversation_made_after_the_sockets_connected_is_followed_on_every_device,
        a_direct_conversation_that_both_open_at_once_is_one,
    ];
    on_one_node: [
        a_message_arrives_at_every_device_of_both_on_every_node,
        fifty_concurrent_senders_are_seen_in_one_dense_order_by_every_reader,
        a_conversation_made_after_the_sockets_connected_is_followed_on_every_device,
        a_direct_conversation_that_both_open_at_once_is_one,
    ];
}

async fn a_message_arrives_at_every_device_of_both_on_every_node(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let all = || anns.iter().chain(&bens);
    for (number, device) in all().enumerate() {
        let text = format!("from device {number}");
        device.reaches(id, 1).await?;
        let sent = device.send(id, &text).await?;
        for other in all() {
            ensure!(other.sees(id, &text).await? == sent, "what arrives is not what was acknowledged");
        }
    }
    let truth = agree(&ben, id, all()).await?;
    ensure!(texts(&truth).len() == anns.len() + bens.len(), "{truth:?}");
    all().try_for_each(|device| ensure_each_once(device, id))
}

async fn the_load_balancer_spreads_devices_over_the_gateways_and_they_all_hear(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let mut all = try_join_all((0..8).map(|_| ann.connect())).await?;
    all.extend(try_join_all((0..8).map(|_| ben.connect())).await?);
    for node in &cluster.gateways {
        let connections = node.metric("starling_connections").await?;
        ensure!(connections > 0.0, "{} has no connection, so this proves nothing", node.url());
    }
    for device in &all {
        device.load(id).await?;
    }
    let sending = all.iter().enumerate().map(async |(number, device)| device.send(id, &format!("text {number}")).await);
    try_join_all(sending).await?;
    let truth = agree(&ben, id, &all).await?;
    ensure!(texts(&truth).len() == all.len(), "{truth:?}");
    all.iter().try_for_each(|device| ensure_each_once(device, id))
}

/// So many people in one group.
async fn crowd(cluster: &Cluster, count: usize) -> Result<(Vec<Person>, ConversationId)> {
    let mut crowd = Vec::new();
    for number in 0..count {
        crowd.push(cluster.person(&format!("person-{number}")).await?);
    }
    let others: Vec<_> = crowd[1..].iter().collect();
    let id = crowd[0].group("a crowd", &others).await?;
    Ok((crowd, id))
}

async fn fifty_concurrent_senders_are_seen_in_one_dense_order_by_every_reader(cluster: &mut Cluster) -> Result<()> {
    const EACH: usize = 4;
    let (crowd, id) = crowd(cluster, 50).await?;
    let readers = [on_each_gateway(cluster, &crowd[0]).await?, on_each_gateway(cluster, &crowd[1]).await?].concat_all();
    let senders: Vec<_> = try_join_all(crowd.iter().map(Person::connect)).await?.into_iter().map(Arc::new).collect();
    for device in readers.iter().chain(senders.iter().map(AsRef::as_ref)) {
        device.load(id).await?;
    }
    let mut sending = JoinSet::new();
    for (number, sender) in senders.iter().enumerate() {
        for turn in 0..EACH {
            let sender = Arc::clone(sender);
            sending.spawn(async move { sender.send(id, &format!("{turn} of {number}")).await });
        }
    }
    let mut acknowledged = HashSet::new();
    while let Some(sent) = sending.join_next().await {
        acknowledged.insert(sent??.id);
    }
    let all = || readers.iter().chain(senders.iter().map(AsRef::as_ref));
    let truth = agree(&crowd[0], id, all()).await?;
    let seqs: Vec<_> = truth.keys().copied().collect();
    ensure!(seqs == (1..=1 + (50 * EACH) as u64).collect::<Vec<_>>(), "not dense: {seqs:?}");
    ensure!(truth.values().skip(1).all(|message| acknowledged.contains(&message.id)), "{truth:?}");
    let numbers: Vec<_> = truth.values().skip(1).map(|message| message.number).collect();
    ensure!(numbers == (1..=(50 * EACH) as u64).collect::<Vec<_>>(), "not dense: {numbers:?}");
    all().try_for_each(|device| ensure_each_once(device, id))
}

/// Puts lists of devices together.
trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T, const N: usize> ConcatAll<T> for [Vec<T>; N] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

async fn a_gateway_that_is_started_late_serves_a_resume_and_what_follows(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, ben.connect().await?);
    let id = ann.group("plans", &[&ben]).await?;
    agree(&ben, id, [&bens]).await?;
    bens.offline().await?;
    for (number, device) in anns.iter().cycle().take(20).enumerate() {
        device.reaches(id, 1).await?;
        device.send(id, &format!("missed {number}")).await?;
    }
    let late = cluster.add_gateway().await?;
    bens.next_node(cluster.gateways[late].url());
    bens.online().await?;
    agree(&ben, id, [&bens]).await?;
    let another = ann.connect_to(&cluster.gateways[late]).await?;
    another.load(id).await?;
    anns[0].send(id, "from an old node").await?;
    bens.send(id, "from the late node").await?;
    let truth = agree(&ben, id, anns.iter().chain([&bens, &another])).await?;
    ensure!(texts(&truth).len() == 22, "{truth:?}");
    ensure!(bens.view().repeats == 0, "{}", bens.summary());
    anns.iter().try_for_each(|device| ensure_each_once(device, id))
}

async fn a_conversation_made_after_the_sockets_connected_is_followed_on_every_device(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let all = [devices(cluster, &ann).await?, devices(cluster, &ben).await?, devices(cluster, &cleo).await?];
    let everybody: Vec<_> = all.iter().flatten().collect();
    let say = async |id: ConversationId, text: &str| -> Result<()> {
        ann.rest.post(&format!("conversations/{id}/messages"), json!({"content": text})).await?.done()
    };

    // Said at once, while nodes are still hearing of the conversation.
    let group = ann.group("a group", &[&ben, &cleo]).await?;
    for number in 0..5 {
        say(group, &format!("at once {number}")).await?;
    }
    let direct = ann.direct(&ben).await?;
    say(direct, "just us").await?;
    let room = cleo.room("a room").await?;
    for person in [&ann, &ben] {
        person.rest.post(&format!("conversations/{room}/join"), Value::Null).await?.done()?;
    }
    say(room, "hello all").await?;
    let later = ann.group("added later", &[]).await?;
    say(later, "before they came").await?;
    let them = json!({"user_ids": [ben.id, cleo.id]});
    ann.rest.post(&format!("conversations/{later}/participants"), them).await?.done()?;
    say(later, "after they came").await?;

    for id in [group, room, later] {
        agree(&ann, id, everybody.iter().copied()).await?;
    }
    agree(&ann, direct, all[0].iter().chain(&all[1])).await?;
    for device in &everybody {
        let view = device.view();
        ensure!(view.repeats == 0, "{}", device.summary());
        for id in [group, room, later] {
            let told = view.events_of("conversation.created").filter(|event| event["data"]["id"] == json!(id)).count();
            ensure!(told == 1, "{id} was announced {told} times; {}", device.summary());
        }
    }
    ensure!(all[2].iter().all(|device| device.view().cursor(direct).is_none()), "cleo hears of a conversation of two");
    Ok(())
}

async fn a_direct_conversation_that_both_open_at_once_is_one(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all = [devices(cluster, &ann).await?, devices(cluster, &ben).await?].concat_all();
    let open = async |from: &Person, to: &Person, round: usize| {
        let subject = json!({"type": "listing", "id": round.to_string(), "title": format!("Flat {round}")});
        let body = json!({"kind": "direct", "participant_ids": [to.id], "subject": subject});
        from.rest.post("conversations", body).await
    };
    for round in 0..10 {
        let answers = tokio::try_join!(
            open(&ann, &ben, round),
            open(&ben, &ann, round),
            open(&ann, &ben, round),
            open(&ben, &ann, round)
        )?;
        let answers: [_; 4] = answers.into();
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        ensure!(made == 1, "made {made} times: {answers:?}");
        let ids: Vec<_> =
            answers.into_iter().map(|answer| Ok(answer.ok::<Conversation>()?.id)).collect::<Result<_>>()?;
        ensure!(ids.iter().all(|id| *id == ids[0]), "not one conversation: {ids:?}");
        let (one, other) = (&all[round % all.len()], &all[(round + 1) % all.len()]);
        for device in [one, other] {
            device.reaches(ids[0], 1).await?;
        }
        tokio::try_join!(one.send(ids[0], "hi"), other.send(ids[0], "hi back"))?;
        agree(&ben, ids[0], &all).await?;
    }
    for device in &all {
        let announced = device.view().events_of("conversation.created").count();
        ensure!(announced == 10, "announced {announced} times; {}", device.summary());
    }
    Ok(())
}
