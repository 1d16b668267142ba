//! Reactions, pins, replies and threads from many hands at once: everybody ends with the same, on every node.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{Message, Page, Reactor};
use serde_json::{Value, json};
use starling_tests::{
    client::Client,
    cluster::{Cluster, Person},
};

use crate::world::{agree, all_hear, ensure_each_once, on_each_gateway, people, refusal, say, scenarios, tell, told};

scenarios! {
    on_a_cluster_of_two_apis: [
        reactions_that_race_end_the_same_for_everybody,
        replies_and_threads_follow_what_they_belong_to,
        pins_are_the_same_for_everybody,
    ];
    on_one_node: [
        reactions_that_race_end_the_same_for_everybody,
        replies_and_threads_follow_what_they_belong_to,
        pins_are_the_same_for_everybody,
    ];
}

const THUMB: &str = "👍";
const PARTY: &str = "🎉";
/// In a path.
const THUMB_IN_PATH: &str = "%F0%9F%91%8D";

async fn react(device: &Client, message: &Message, emoji: &str, on: bool) -> Result<Value> {
    let command = if on { "reaction.add" } else { "reaction.remove" };
    tell(device, command, json!({"message_id": message.id, "emoji": emoji})).await
}

async fn reactions_that_race_end_the_same_for_everybody(cluster: &mut Cluster) -> Result<()> {
    let everybody = people(cluster, ["ann", "ben", "cleo"]).await?;
    let [ann, ben, cleo] = &everybody;
    let mut all = Vec::new();
    for person in &everybody {
        all.push(on_each_gateway(cluster, person).await?);
    }
    let away = ben.connect_to(&cluster.gateways[0]).await?;
    let id = ann.group("plans", &[ben, cleo]).await?;
    let message = say(ann, id, "who comes?", json!({})).await?;
    for device in all.iter().flatten().chain([&away]) {
        device.reaches(id, message.seq).await?;
    }
    away.offline().await?;
    // Each on each of their devices and by REST at once, on and off again; at last all but cleo have a thumb.
    let toggled = all.iter().zip(&everybody).map(async |(devices, person)| {
        for _ in 0..3 {
            try_join_all(devices.iter().map(|device| react(device, &message, THUMB, true))).await?;
            react(&devices[0], &message, PARTY, true).await?;
            try_join_all(devices.iter().map(|device| react(device, &message, THUMB, false))).await?;
        }
        for node in cluster.rest_nodes() {
            let path = format!("messages/{}/reactions/{THUMB_IN_PATH}", message.id);
            person.rest.at(node.url()).put(&path).await?.done()?;
        }
        anyhow::Ok(())
    });
    try_join_all(toggled).await?;
    let path = format!("messages/{}/reactions/{THUMB_IN_PATH}", message.id);
    cleo.rest.delete(&path).await?.done()?;
    away.next_node(cluster.gateways.last().context("no gateway")?.url());
    away.online().await?;
    let truth = agree(ann, id, all.iter().flatten().chain([&away])).await?;
    let reactions = &truth[&message.seq].reactions;
    let counts: Vec<_> = reactions.iter().map(|reaction| (reaction.emoji.as_str(), reaction.count)).collect();
    ensure!(counts.len() == 2 && counts.contains(&(THUMB, 2)) && counts.contains(&(PARTY, 3)), "{counts:?}");
    for devices in &all {
        ensure_each_once(&devices[0], id)?;
        // Each event says who did what, and never whether it was the reader.
        for event in told(&devices[0].view(), "reaction.added") {
            ensure!(event["reaction"]["user_id"].is_string() && event["reaction"]["emoji"].is_string(), "{event}");
            ensure!(!event["reactions"].to_string().contains("\"mine\":true"), "an event is for one reader: {event}");
        }
    }
    // A reader's own are marked in answers to them alone.
    for (person, mine) in [(ben, true), (cleo, false)] {
        let seen: Message = person.rest.get(&format!("messages/{}", message.id)).await?.ok()?;
        let thumb = seen.reactions.iter().find(|reaction| reaction.emoji == THUMB).context("no thumb")?;
        ensure!(thumb.mine == Some(mine), "{}: {thumb:?}", person.name);
    }
    let path = format!("messages/{}/reactions?emoji={THUMB_IN_PATH}", message.id);
    let who: Page<Reactor> = cleo.rest.get(&path).await?.ok()?;
    let who: Vec<_> = who.items.iter().map(|reactor| reactor.user.id).collect();
    ensure!(who.len() == 2 && who.contains(&ann.id) && who.contains(&ben.id), "{who:?}");
    // The same again changes nothing and takes no step.
    let before = agree(ann, id, []).await?;
    react(&all[1][0], &message, THUMB, true).await?;
    react(&all[2][0], &message, THUMB, false).await?;
    ensure!(agree(ann, id, []).await? == before, "a reaction that was there took a step");
    Ok(())
}

async fn replies_and_threads_follow_what_they_belong_to(cluster: &mut Cluster) -> Result<()> {
    let everybody = people(cluster, ["ann", "ben", "cleo", "dan"]).await?;
    let [ann, ben, cleo, dan] = &everybody;
    let mut all = on_each_gateway(cluster, ann).await?;
    all.extend(on_each_gateway(cluster, ben).await?);
    let away = cleo.connect_to(&cluster.gateways[0]).await?;
    let id = ann.group("plans", &[ben, cleo, dan]).await?;
    let root = say(ann, id, "where do we meet?", json!({})).await?;
    for device in all.iter().chain([&away]) {
        device.reaches(id, root.seq).await?;
    }
    away.offline().await?;
    // Everybody answers in the thread at once.
    let answers = everybody.iter().enumerate().map(async |(at, person)| {
        let nodes = cluster.rest_nodes();
        let rest = person.rest.at(nodes[at % nodes.len()].url());
        for number in 0..4 {
            let body = json!({"content": format!("{} {number}", person.name), "thread_root_id": root.id});
            rest.post(&format!("conversations/{id}/messages"), body).await?.done()?;
        }
        anyhow::Ok(())
    });
    try_join_all(answers).await?;
    let quote = say(dan, id, "I know one", json!({"reply_to_id": root.id})).await?;
    ensure!(quote.reply_to.as_ref().is_some_and(|quote| quote.content == "where do we meet?"), "{quote:?}");
    ann.rest.patch(&format!("messages/{}", root.id), json!({"content": "where shall we meet?"})).await?.done()?;
    let truth = agree(ann, id, &all).await?;
    let told = truth[&quote.seq].reply_to.as_ref().context("no quote")?;
    ensure!(told.content == "where shall we meet?", "{told:?}");
    let thread = truth[&root.seq].thread.as_ref().context("no thread")?;
    ensure!(thread.reply_count == 16 && thread.last_repliers.len() == 3, "{thread:?}");
    // A reply that is deleted stays in its place; the quoted one that is deleted has no text any more.
    let page: Value = ben.rest.get(&format!("messages/{}/thread?limit=100", root.id)).await?.ok()?;
    let replies = page["items"].as_array().context("no items")?;
    ensure!(replies.len() == 16 && page["root"]["id"] == json!(root.id), "{page}");
    let last = &replies[15];
    let writer = everybody.iter().find(|person| last["sender"]["id"] == json!(person.id)).context("nobody's")?;
    let last = last["id"].as_str().context("no id")?;
    writer.rest.delete(&format!("messages/{last}")).await?.done()?;
    ann.rest.delete(&format!("messages/{}", root.id)).await?.done()?;
    away.next_node(cluster.gateways.last().context("no gateway")?.url());
    away.online().await?;
    let truth = agree(ann, id, all.iter().chain([&away])).await?;
    let told = truth[&quote.seq].reply_to.as_ref().context("no quote")?;
    ensure!(told.content.is_empty() && told.deleted_at.is_some(), "{told:?}");
    // To what is gone nobody replies; a reply is no root.
    let fields = json!({"conversation_id": id, "content": "?", "client_id": "late", "reply_to_id": root.id});
    let reply = all[0].command("message.send", fields).await?;
    refusal(&reply)?;
    all.iter().try_for_each(|device| ensure_each_once(device, id))
}

async fn pins_are_the_same_for_everybody(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    all_hear(&ann, id, anns.iter().chain(&bens)).await?;
    let mut messages = Vec::new();
    for number in 0..3 {
        messages.push(say(&ben, id, &format!("text {number}"), json!({})).await?);
    }
    let reply = bens[0].command("message.pin", json!({"message_id": messages[0].id})).await?;
    refusal(&reply)?;
    for message in &messages {
        tell(&anns[0], "message.pin", json!({"message_id": message.id})).await?;
        ann.rest.put(&format!("messages/{}/pin", message.id)).await?.done()?;
    }
    tell(&anns[0], "message.unpin", json!({"message_id": messages[1].id})).await?;
    ben.rest.delete(&format!("messages/{}", messages[2].id)).await?.done()?;
    let truth = agree(&ann, id, anns.iter().chain(&bens)).await?;
    let pinned: Vec<_> = truth.values().filter(|message| message.pinned_at.is_some()).map(|m| m.id).collect();
    ensure!(pinned == [messages[0].id], "{truth:?}");
    for person in [&ann, &ben] {
        ensure!(pins(person, id).await? == pinned, "{} sees other pins", person.name);
    }
    bens.iter().try_for_each(|device| ensure_each_once(device, id))
}

async fn pins(person: &Person, id: protocol::ConversationId) -> Result<Vec<protocol::MessageId>> {
    let page: Page<Message> = person.rest.get(&format!("conversations/{id}/pins")).await?.ok()?;
    Ok(page.items.into_iter().map(|message| message.id).collect())
}
