//! A retry is the same message, however and wherever it comes.

use anyhow::{Context, Result, ensure};
use protocol::{ErrorCode, Message};
use reqwest::Method;
use serde_json::json;
use starling_tests::cluster::Cluster;

use crate::world::{agree, devices, done, ensure_each_once, people, refusal, scenarios, texts};

scenarios! {
    on_a_cluster: [
        the_same_client_id_over_rest_and_sockets_at_once_is_one_message,
        the_same_client_id_with_another_text_is_a_conflict,
        of_two_texts_under_one_client_id_at_once_one_wins,
    ];
    on_one_node: [
        the_same_client_id_over_rest_and_sockets_at_once_is_one_message,
        the_same_client_id_with_another_text_is_a_conflict,
        of_two_texts_under_one_client_id_at_once_one_wins,
    ];
}

async fn the_same_client_id_over_rest_and_sockets_at_once_is_one_message(cluster: &mut Cluster) -> Result<()> {
    const ROUNDS: usize = 30;
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let path = format!("conversations/{id}/messages");
    let last = anns.len() - 2;
    for round in 0..ROUNDS {
        let client_id = format!("round-{round}");
        let body = json!({"content": "once", "client_id": client_id});
        let send = json!({"conversation_id": id, "content": "once", "client_id": client_id});
        let keyed = [("idempotency-key", client_id.as_str())];
        let (rest, key, here, there) = tokio::try_join!(
            ann.rest.post(&path, body),
            ann.rest.call(Method::POST, &path, Some(json!({"content": "once"})), &keyed),
            anns[0].command("message.send", send.clone()),
            anns[last].command("message.send", send),
        )?;
        let made = [&rest, &key].iter().filter(|answer| answer.status == 201).count();
        ensure!(made <= 1, "made {made} times: {rest:?} {key:?}");
        let answers: [Message; 4] =
            [rest.ok()?, key.ok()?, serde_json::from_value(done(here)?)?, serde_json::from_value(done(there)?)?];
        ensure!(answers.iter().all(|answer| *answer == answers[0]), "not one message: {answers:?}");
    }
    let truth = agree(&ben, id, anns.iter().chain(&bens)).await?;
    ensure!(texts(&truth).len() == ROUNDS && truth.len() == ROUNDS + 1, "{truth:?}");
    anns.iter().chain(&bens).try_for_each(|device| ensure_each_once(device, id))
}

async fn the_same_client_id_with_another_text_is_a_conflict(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let anns = devices(cluster, &ann).await?;
    let id = ann.group("plans", &[&ben]).await?;
    anns[0].reaches(id, 1).await?;
    let sent = anns[0].send_as(id, "the first", "mine").await?;
    let other = json!({"conversation_id": id, "content": "another", "client_id": "mine"});
    for device in &anns {
        let reply = device.command("message.send", other.clone()).await?;
        ensure!(refusal(&reply)? == ErrorCode::IdempotencyConflict, "{reply:?}");
    }
    let path = format!("conversations/{id}/messages");
    let answer = ann.rest.post(&path, json!({"content": "another", "client_id": "mine"})).await?;
    ensure!(answer.problem()? == (409, "idempotency_conflict".into()), "{answer:?}");
    // What counts is what was asked for first, not what became of it; and the id is the sender's own.
    anns[0].edit(sent.id, "edited since").await?;
    let again = anns[0].send_as(id, "the first", "mine").await?;
    ensure!((again.id, again.seq) == (sent.id, sent.seq), "{again:?}");
    anns[0].delete(sent.id).await?;
    let again = anns[0].send_as(id, "the first", "mine").await?;
    ensure!(again.id == sent.id && again.deleted_at.is_some(), "{again:?}");
    let bens: Message = ben.rest.post(&path, json!({"content": "ben's", "client_id": "mine"})).await?.ok()?;
    ensure!(bens.id != sent.id, "two people have one message");
    let truth = agree(&ben, id, &anns).await?;
    ensure!(texts(&truth) == ["ben's"], "{truth:?}");
    Ok(())
}

async fn of_two_texts_under_one_client_id_at_once_one_wins(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let path = format!("conversations/{id}/messages");
    let last = anns.len() - 2;
    for round in 0..20 {
        let client_id = format!("round-{round}");
        let send = |content: &str| json!({"conversation_id": id, "content": content, "client_id": client_id});
        let (rest, here, there) = tokio::try_join!(
            ann.rest.post(&path, json!({"content": "by rest", "client_id": client_id})),
            anns[0].command("message.send", send("here")),
            anns[last].command("message.send", send("there")),
        )?;
        let mut winners = Vec::new();
        match rest.status.as_u16() {
            409 => ensure!(rest.problem()?.1 == "idempotency_conflict", "{rest:?}"),
            _ => winners.push(rest.ok::<Message>()?),
        }
        for reply in [here, there] {
            if reply.ok {
                winners.push(serde_json::from_value(done(reply)?)?);
            } else {
                ensure!(refusal(&reply)? == ErrorCode::IdempotencyConflict, "{reply:?}");
            }
        }
        ensure!(winners.len() == 1, "not one winner: {winners:?}");
        let winner = winners.pop().context("one winner")?;
        let truth = agree(&ben, id, anns.iter().chain(&bens)).await?;
        ensure!(truth.get(&winner.seq) == Some(&winner) && texts(&truth).len() == round + 1, "{truth:?}");
    }
    Ok(())
}
