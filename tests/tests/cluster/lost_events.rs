//! What was committed and never published is found all the same: by the hole that the next event shows, or by
//! comparing heads with the store. The events are lost for good here: the node that commits publishes where nobody
//! listens, as one does that dies between the two.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use starling_tests::{
    client::Client,
    cluster::{Cluster, Person},
    node::{Node, Role},
};

use crate::world::{agree, on_each_gateway, people, scenarios, texts};

scenarios! {
    on_a_cluster_that_compares_often: [
        a_last_message_that_nobody_heard_of_is_found,
        a_hole_in_the_stream_is_filled_in_order,
        a_removal_that_nobody_heard_of_still_comes_before_the_next_message,
        a_conversation_that_nobody_heard_of_is_followed,
    ];
}

/// An api node that commits and is heard by nobody.
async fn mute(cluster: &mut Cluster) -> Result<usize> {
    let mut node = cluster.start_node_with(Role::Api, &[("STARLING_REDIS_PREFIX", "nobody-listens:")]).await?;
    node.ready().await?;
    cluster.apis.push(node);
    Ok(cluster.apis.len() - 1)
}

async fn say(person: &Person, at: &Node, id: protocol::ConversationId, text: &str) -> Result<protocol::Message> {
    person.rest.at(at.url()).post(&format!("conversations/{id}/messages"), json!({"content": text})).await?.ok()
}

async fn a_last_message_that_nobody_heard_of_is_found(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mute = mute(cluster).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben]).await?;
    say(&ann, &cluster.apis[0], id, "heard").await?;
    agree(&ben, id, &bens).await?;
    let unheard = say(&ann, &cluster.apis[mute], id, "unheard").await?;
    let path = format!("messages/{}", unheard.id);
    agree(&ben, id, &bens).await?;
    // A change of a message that everybody has is found as well.
    let rest = ann.rest.at(cluster.apis[mute].url());
    rest.patch(&path, json!({"content": "unheard and changed"})).await?.done()?;
    let truth = agree(&ben, id, &bens).await?;
    ensure!(texts(&truth) == ["heard", "unheard and changed"], "{truth:?}");
    bens.iter().try_for_each(once)
}

fn once(device: &Client) -> Result<()> {
    ensure!(device.view().repeats == 0 && device.connections() == 1, "{}", device.summary());
    Ok(())
}

async fn a_hole_in_the_stream_is_filled_in_order(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mute = mute(cluster).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben]).await?;
    agree(&ben, id, &bens).await?;
    for number in 0..30 {
        let node = if number % 3 == 2 { &cluster.apis[0] } else { &cluster.apis[mute] };
        say(&ann, node, id, &format!("text {number}")).await?;
    }
    let truth = agree(&ben, id, &bens).await?;
    ensure!(texts(&truth).len() == 30, "{truth:?}");
    for (device, node) in bens.iter().zip(&cluster.gateways) {
        once(device)?;
        ensure!(node.metric("starling_gap_fills_total").await? > 0.0, "no hole was filled, so this proves nothing");
    }
    Ok(())
}

async fn a_removal_that_nobody_heard_of_still_comes_before_the_next_message(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let mute = mute(cluster).await?;
    let (bens, cleos) = (on_each_gateway(cluster, &ben).await?, on_each_gateway(cluster, &cleo).await?);
    for round in 0..5 {
        let id = ann.group(&format!("round {round}"), &[&ben, &cleo]).await?;
        agree(&cleo, id, bens.iter().chain(&cleos)).await?;
        let rest = ann.rest.at(cluster.apis[mute].url());
        rest.delete(&format!("conversations/{id}/participants/{}", ben.id)).await?.done()?;
        let secret = say(&ann, &cluster.apis[0], id, "a secret").await?;
        agree(&cleo, id, &cleos).await?;
        for device in &bens {
            device
                .until("the device learns that it is out", |view| view.timelines.get(&id)?.gone.then_some(()))
                .await?;
            let view = device.view();
            ensure!(!format!("{:?}", view.events).contains("secret"), "ben hears: {}", device.summary());
            let heard = view.events.iter().filter(|event| event["conversation_id"] == json!(id));
            let last = heard.filter_map(|event| event["seq"].as_u64().max(event["to"].as_u64())).max();
            ensure!(last < Some(secret.seq), "ben's cursor is past his removal: {}", device.summary());
        }
    }
    bens.iter().chain(&cleos).try_for_each(|device| device.check().and_then(|()| once(device)))
}

async fn a_conversation_that_nobody_heard_of_is_followed(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mute = mute(cluster).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let rest = ann.rest.at(cluster.apis[mute].url());
    let body = json!({"kind": "group", "title": "quietly made", "participant_ids": [ben.id]});
    let id = rest.post("conversations", body).await?.ok::<protocol::Conversation>()?.id;
    say(&ann, &cluster.apis[mute], id, "unheard").await?;
    say(&ann, &cluster.apis[0], id, "heard").await?;
    let truth = agree(&ben, id, &bens).await.context("the conversation")?;
    ensure!(texts(&truth) == ["unheard", "heard"], "{truth:?}");
    bens.iter().try_for_each(once)
}
