//! Who is out hears nothing more, and who was never in cannot tell that there is anything to hear.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use protocol::{ConversationId, ErrorCode, MessageId, SystemChange};
use reqwest::Method;
use serde_json::{Value, json};
use starling_tests::{
    client::{Client, Frame, Socket},
    cluster::{Cluster, Person},
};

use crate::world::{agree, devices, done, on_each_gateway, people, refusal, scenarios, texts};

scenarios! {
    on_a_cluster: [
        a_removed_participant_hears_nothing_more_on_any_device,
        a_removal_that_races_with_messages_cuts_the_stream_at_one_place,
        a_conversation_that_is_closed_for_all_is_over_for_those_here_and_those_away,
        an_outsider_cannot_tell_a_conversation_from_none,
        a_resume_that_names_a_foreign_conversation_gets_nothing_of_it,
    ];
    on_one_node: [
        a_removed_participant_hears_nothing_more_on_any_device,
        a_removal_that_races_with_messages_cuts_the_stream_at_one_place,
        a_conversation_that_is_closed_for_all_is_over_for_those_here_and_those_away,
        an_outsider_cannot_tell_a_conversation_from_none,
        a_resume_that_names_a_foreign_conversation_gets_nothing_of_it,
    ];
}

async fn remove(by: &Person, id: ConversationId, whom: &Person) -> Result<()> {
    by.rest.delete(&format!("conversations/{id}/participants/{}", whom.id)).await?.done()
}

async fn add(by: &Person, id: ConversationId, whom: &Person) -> Result<()> {
    by.rest.post(&format!("conversations/{id}/participants"), json!({"user_ids": [whom.id]})).await?.done()
}

async fn gone(device: &Client, id: ConversationId) -> Result<()> {
    device.until("the device learns that it is out", |view| view.timelines.get(&id)?.gone.then_some(())).await
}

async fn a_removed_participant_hears_nothing_more_on_any_device(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let (anns, bens, cleos) =
        (devices(cluster, &ann).await?, devices(cluster, &ben).await?, devices(cluster, &cleo).await?);
    let (id, fence) = (ann.group("plans", &[&ben, &cleo]).await?, ann.group("a fence", &[&ben]).await?);
    anns[0].reaches(id, 1).await?;
    let before = anns[0].send(id, "for all three").await?;
    agree(&cleo, id, anns.iter().chain(&bens).chain(&cleos)).await?;

    remove(&ann, id, &ben).await?;
    for device in &anns {
        device.send(id, "a secret").await?;
    }
    anns[0].edit(before.id, "an edited secret").await?;
    agree(&cleo, id, anns.iter().chain(&cleos)).await?;
    // What comes after everything else, on every device.
    anns[0].reaches(fence, 1).await?;
    anns[0].send(fence, "the fence").await?;
    for device in &bens {
        gone(device, id).await?;
        device.sees(fence, "the fence").await?;
    }
    // Nor by coming back, nor by asking.
    bens[0].break_connection().await?;
    bens[0].live().await?;
    for device in &bens {
        let ask = json!({"conversation_id": id, "after": 0});
        ensure!(refusal(&device.command("changes.get", ask).await?)? == ErrorCode::NotFound);
        let send = json!({"conversation_id": id, "content": "let me in", "client_id": "x"});
        ensure!(refusal(&device.command("message.send", send).await?)? == ErrorCode::NotFound);
    }
    for path in ["", "/messages", "/changes", "/participants"] {
        let answer = ben.rest.get(&format!("conversations/{id}{path}")).await?;
        ensure!(answer.problem()? == (404, "not_found".into()), "{answer:?}");
    }
    ensure!(ben.rest.get(&format!("messages/{}", before.id)).await?.status == 404);
    for device in &bens {
        let view = device.view();
        let told = view.events_of("participant.removed").count();
        ensure!(told == 1, "told {told} times; {}", device.summary());
        ensure!(!format!("{:?}", view.events).contains("secret"), "a removed participant hears: {}", device.summary());
        device.check()?;
    }

    // Back in: everything is there again.
    add(&ann, id, &ben).await?;
    for device in &bens {
        device.until("the device learns that it is in again", |view| view.cursor(id)).await?;
    }
    anns[0].send(id, "welcome back").await?;
    bens[0].send(id, "thanks").await?;
    let truth = agree(&ben, id, anns.iter().chain(&bens).chain(&cleos)).await?;
    ensure!(texts(&truth).ends_with(&["welcome back", "thanks"]), "{truth:?}");
    Ok(())
}

async fn a_removal_that_races_with_messages_cuts_the_stream_at_one_place(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let (anns, bens, cleos) =
        (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?, devices(cluster, &cleo).await?);
    for round in 0..12 {
        let id = ann.group(&format!("round {round}"), &[&ben, &cleo]).await?;
        for device in anns.iter().chain(&bens).chain(&cleos) {
            device.reaches(id, 1).await?;
        }
        // From every node at once, the removal in between; ben talks on as long as he is let.
        let talk = async |device: &Client, who: &str| {
            let mut accepted = Vec::new();
            for number in 0..10 {
                let text = format!("{who} {number}");
                let send = json!({"conversation_id": id, "content": text, "client_id": text});
                let reply = device.command("message.send", send).await?;
                if reply.ok {
                    accepted.push(serde_json::from_value::<protocol::Message>(done(reply)?)?);
                } else {
                    ensure!(refusal(&reply)? == ErrorCode::NotFound, "{reply:?}");
                }
            }
            anyhow::Ok(accepted)
        };
        let removal = async {
            cleos[0].sees(id, &format!("ann {}", round % 8)).await?;
            remove(&ann, id, &ben).await
        };
        let (said, (), others, bens_own) = tokio::try_join!(
            talk(&anns[0], "ann"),
            removal,
            talk(&cleos[1 % cleos.len()], "cleo"),
            try_join_all(bens.iter().enumerate().map(async |(at, device)| talk(device, &format!("ben {at}")).await)),
        )?;
        ensure!(said.len() == 10 && others.len() == 10, "somebody else was refused");
        let truth = agree(&cleo, id, anns.iter().chain(&cleos)).await?;
        let removed = truth.values().find_map(|message| match &message.system {
            Some(SystemChange::ParticipantRemoved { user }) if user.id == ben.id => Some(message.seq),
            _ => None,
        });
        let removed = removed.unwrap_or_default();
        for message in bens_own.iter().flatten() {
            ensure!(message.seq < removed, "ben sent {} after his removal at {removed}", message.seq);
            ensure!(truth.get(&message.seq) == Some(message), "what ben sent is not there: {message:?}");
        }
        for device in &bens {
            gone(device, id).await?;
            let view = device.view();
            let heard = view.events.iter().filter(|event| event["conversation_id"] == json!(id));
            let last = heard.filter_map(|event| event["seq"].as_u64()).max().unwrap_or_default();
            ensure!(last <= removed, "ben heard {last} after his removal at {removed}; {}", device.summary());
        }
    }
    bens.iter().try_for_each(Client::check)
}

async fn a_conversation_that_is_closed_for_all_is_over_for_those_here_and_those_away(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens, away) =
        (devices(cluster, &ann).await?, devices(cluster, &ben).await?, ben.connect_to(&cluster.gateways[0]).await?);
    for round in 0..4 {
        let id = ann.group(&format!("round {round}"), &[&ben]).await?;
        agree(&ben, id, anns.iter().chain(&bens).chain([&away])).await?;
        away.offline().await?;
        // Closed in the middle of a talk.
        let talking = bens.iter().enumerate().map(async |(who, device)| {
            let mut last = 0;
            for number in 0.. {
                let text = format!("{number} of {who}");
                let send = json!({"conversation_id": id, "content": text, "client_id": text});
                let reply = device.command("message.send", send).await?;
                if !reply.ok {
                    ensure!(refusal(&reply)? == ErrorCode::NotFound, "{reply:?}");
                    break;
                }
                last = done(reply)?["seq"].as_u64().unwrap_or(u64::MAX);
            }
            Ok(last)
        });
        let closing = async {
            anns[0].sees(id, "3 of 0").await?;
            ann.rest.delete(&format!("conversations/{id}")).await?.done()
        };
        let (said, ()) = tokio::try_join!(try_join_all(talking), closing)?;
        let mut places = Vec::new();
        for device in anns.iter().chain(&bens) {
            let closed = device.until("the device learns that it is over", |view| {
                let messages = view.timelines.get(&id)?.messages.values();
                let mut closed = messages.filter(|message| message.system == Some(SystemChange::ConversationDeleted));
                closed.next().map(|message| message.seq)
            });
            places.push(closed.await?);
        }
        let over = places[0];
        ensure!(places.iter().all(|place| *place == over), "over at different places: {places:?}");
        ensure!(said.iter().all(|last| *last < over), "acknowledged after the end at {over}: {said:?}");
        for device in anns.iter().chain(&bens) {
            let at = device.look(|view| view.timelines.get(&id).map(|timeline| timeline.cursor));
            ensure!(at == Some(over), "something came after the end: {}", device.summary());
        }
        for person in [&ann, &ben] {
            let answer = person.rest.get(&format!("conversations/{id}/messages")).await?;
            ensure!(answer.problem()? == (404, "not_found".into()), "{answer:?}");
        }
        away.online().await?;
        gone(&away, id).await?;
        let heard = away.view().events_of("participant.removed").filter(|e| e["conversation_id"] == json!(id)).count();
        ensure!(heard == 1, "told {heard} times; {}", away.summary());
    }
    anns.iter().chain(&bens).chain([&away]).try_for_each(Client::check)
}

async fn an_outsider_cannot_tell_a_conversation_from_none(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, mallory] = people(cluster, ["ann", "ben", "mallory"]).await?;
    let anns = devices(cluster, &ann).await?;
    let (mallorys, nothing) = (devices(cluster, &mallory).await?, ConversationId::generate());
    let (group, direct) = (ann.group("plans", &[&ben]).await?, ann.direct(&ben).await?);
    for id in [group, direct] {
        anns[0].reaches(id, 1).await?;
        let message = anns[0].send(id, "a secret").await?;
        let there = refusals(&mallory, &mallorys, id, message.id, ann.id).await?;
        let none = refusals(&mallory, &mallorys, nothing, MessageId::generate(), ann.id).await?;
        for (there, none) in there.iter().zip(&none) {
            ensure!(there == none, "an outsider can tell the two apart:\n{there}\n{none}");
        }
    }
    for device in &mallorys {
        let heard = device.view().events.iter().filter(|event| !event["conversation_id"].is_null()).count();
        ensure!(heard == 0, "an outsider hears: {}", device.summary());
    }
    let truth = agree(&ben, group, &anns).await?;
    ensure!(texts(&truth) == ["a secret"], "an outsider changed something: {truth:?}");
    Ok(())
}

/// Everything that somebody may try on a conversation and a message in it, and what they are told.
async fn refusals(
    who: &Person,
    devices: &[Client],
    id: ConversationId,
    message: MessageId,
    participant: protocol::UserId,
) -> Result<Vec<String>> {
    let (conversation, message_path) = (format!("conversations/{id}"), format!("messages/{message}"));
    let sub = |path: &str| format!("{conversation}/{path}");
    let calls = [
        (Method::GET, conversation.clone(), None),
        (Method::PATCH, conversation.clone(), Some(json!({"title": "mine"}))),
        (Method::DELETE, conversation.clone(), None),
        (Method::POST, sub("join"), None),
        (Method::POST, sub("leave"), None),
        (Method::GET, sub("messages"), None),
        (Method::GET, sub("messages?around=1"), None),
        (Method::POST, sub("messages"), Some(json!({"content": "let me in"}))),
        (Method::GET, sub("changes?after=0"), None),
        (Method::GET, sub("participants"), None),
        (Method::POST, sub("participants"), Some(json!({"user_ids": [who.id]}))),
        (Method::PATCH, sub(&format!("participants/{participant}")), Some(json!({"role": "member"}))),
        (Method::DELETE, sub(&format!("participants/{participant}")), None),
        (Method::POST, sub("read"), Some(json!({"seq": 1}))),
        (Method::POST, sub("delivered"), Some(json!({"seq": 1}))),
        (Method::GET, message_path.clone(), None),
        (Method::PATCH, message_path.clone(), Some(json!({"content": "mine"}))),
        (Method::DELETE, message_path.clone(), None),
    ];
    let mut told = Vec::new();
    for (method, path, body) in calls {
        let mut answer = who.rest.call(method, &path, body, &[]).await?;
        ensure!(answer.problem()? == (404, "not_found".into()), "{answer:?}");
        answer.body["request_id"] = Value::Null;
        told.push(format!("{}", answer.body));
    }
    let commands = [
        ("message.send", json!({"conversation_id": id, "content": "let me in", "client_id": "x"})),
        ("message.edit", json!({"message_id": message, "content": "mine"})),
        ("message.delete", json!({"message_id": message})),
        ("receipt.read", json!({"conversation_id": id, "seq": 1})),
        ("receipt.delivered", json!({"conversation_id": id, "seq": 1})),
        ("changes.get", json!({"conversation_id": id, "after": 0})),
    ];
    for device in devices {
        for (kind, fields) in &commands {
            let reply = device.command(kind, fields.clone()).await?;
            ensure!(refusal(&reply)? == ErrorCode::NotFound, "{kind}: {reply:?}");
            told.push(format!("{kind}: {:?}", reply.error));
        }
    }
    Ok(told)
}

async fn a_resume_that_names_a_foreign_conversation_gets_nothing_of_it(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, mallory] = people(cluster, ["ann", "ben", "mallory"]).await?;
    let (foreign, own) = (ann.group("plans", &[&ben]).await?, mallory.group("my own", &[]).await?);
    let secret = json!({"content": "a secret"});
    ann.rest.post(&format!("conversations/{foreign}/messages"), secret).await?.done()?;
    for node in &cluster.gateways {
        let mut told = Vec::new();
        for id in [foreign, ConversationId::generate()] {
            let mut socket = Socket::with_token(node.url(), &mallory.token).await?;
            let connected = socket.until("connected").await?;
            let (epoch, user_seq) = (&connected["data"]["epoch"], &connected["data"]["user_seq"]);
            let cursors = json!({id.to_string(): 0, own.to_string(): 0});
            let resume = json!({"epoch": epoch, "user_seq": user_seq, "cursors": cursors});
            socket.send(&json!({"type": "hello", "ref": "hello", "resume": resume})).await?;
            let mut frames = Vec::new();
            loop {
                match socket.recv().await? {
                    Frame::Json(frame) if frame["type"] == "reply" => {
                        ensure!(frame["ok"] == true, "{frame}");
                        frames.push(frame["data"].clone());
                        break;
                    }
                    Frame::Json(frame) => frames.push(frame),
                    ended => anyhow::bail!("{ended:?} after {frames:?}"),
                }
            }
            let frames = serde_json::to_string(&frames)?;
            ensure!(frames.contains(&own.to_string()), "the resume of the own conversation is missing: {frames}");
            ensure!(!frames.contains("secret"), "{frames}");
            told.push(frames.replace(&id.to_string(), "the conversation"));
        }
        ensure!(told[0] == told[1], "an outsider can tell the two apart:\n{}\n{}", told[0], told[1]);
    }
    Ok(())
}
