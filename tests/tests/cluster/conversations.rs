//! Rules of conversations that people notice: one per pair and subject, the archive, slow mode, who may post, and
//! owners who cannot just walk out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{Conversation, ErrorCode, Page, Role};
use serde_json::{Value, json};
use starling_tests::{client::SOON, cluster::Cluster, process::eventually};
use tokio::time::{Instant, sleep};

use crate::world::{agree, devices, on_each_gateway, people, refusal, say, scenarios, tell};

scenarios! {
    on_a_cluster_of_two_apis: [
        a_direct_conversation_about_a_subject_that_both_open_at_once_is_one,
        an_archived_conversation_is_quiet_until_it_is_taken_back,
        slow_mode_and_announcement_channels_hold_back_members_alone,
        the_last_owner_hands_over_before_leaving,
    ];
    on_one_node: [
        a_direct_conversation_about_a_subject_that_both_open_at_once_is_one,
        an_archived_conversation_is_quiet_until_it_is_taken_back,
        slow_mode_and_announcement_channels_hold_back_members_alone,
        the_last_owner_hands_over_before_leaving,
    ];
}

async fn a_direct_conversation_about_a_subject_that_both_open_at_once_is_one(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all = [devices(cluster, &ann).await?, devices(cluster, &ben).await?].into_iter().flatten().collect::<Vec<_>>();
    let mut ids = Vec::new();
    for round in 0..5 {
        let opened = (0..12).map(async |number| {
            let nodes = cluster.rest_nodes();
            let (from, to) = if number % 2 == 0 { (&ann, &ben) } else { (&ben, &ann) };
            // The title may differ: type and id are what it is about.
            let title = format!("as {} calls it", from.name);
            let subject =
                json!({"type": "order", "id": round.to_string(), "title": title, "url": "https://example.com"});
            let body = json!({"kind": "direct", "participant_ids": [to.id], "subject": subject});
            let answer = from.rest.at(nodes[number / 2 % nodes.len()].url()).post("conversations", body).await?;
            let made = answer.status == 201;
            anyhow::Ok((made, answer.ok::<Conversation>()?))
        });
        let opened = try_join_all(opened).await?;
        let id = opened[0].1.id;
        ensure!(opened.iter().all(|(_, conversation)| conversation.id == id), "not one: {opened:?}");
        ensure!(opened.iter().filter(|(made, _)| *made).count() == 1, "made more than once: {opened:?}");
        ids.push(id);
    }
    ids.push(ann.direct(&ben).await?);
    let before = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == before, "conversations about different things are one");
    for id in ids {
        say(&ben, id, "about this", json!({})).await?;
        agree(&ann, id, &all).await?;
    }
    Ok(())
}

async fn an_archived_conversation_is_quiet_until_it_is_taken_back(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let first = say(&ben, id, "before", json!({})).await?;
    let refused = ben.rest.patch(&format!("conversations/{id}"), json!({"archived": true})).await?;
    ensure!(refused.problem()? == (403, "forbidden".into()), "{refused:?}");
    ann.rest.patch(&format!("conversations/{id}"), json!({"archived": true})).await?.done()?;
    for (device, person) in [(&anns[0], &ann), (&bens[0], &ben)] {
        let fields = json!({"conversation_id": id, "content": "?", "client_id": "quiet"});
        let reply = device.command("message.send", fields).await?;
        ensure!(refusal(&reply)? == ErrorCode::Archived, "{reply:?}");
        let answer = person.rest.put(&format!("messages/{}/reactions/%F0%9F%91%8D", first.id)).await?;
        ensure!(answer.problem()? == (409, "archived".into()), "{answer:?}");
        for (filter, count) in [("archived=true", 1), ("archived=false", 0)] {
            let page: Page<Conversation> = person.rest.get(&format!("conversations?{filter}")).await?.ok()?;
            ensure!(page.items.len() == count, "{filter}: {page:?}");
        }
    }
    // What one said can be taken back all the same.
    ben.rest.delete(&format!("messages/{}", first.id)).await?.done()?;
    ann.rest.patch(&format!("conversations/{id}"), json!({"archived": false})).await?.done()?;
    bens[0].send(id, "after").await?;
    let truth = agree(&ann, id, anns.iter().chain(&bens)).await?;
    ensure!(crate::world::texts(&truth) == ["after"], "{truth:?}");
    Ok(())
}

async fn slow_mode_and_announcement_channels_hold_back_members_alone(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let path = format!("conversations/{id}");
    ann.rest.patch(&path, json!({"slow_mode_seconds": 3})).await?.done()?;
    let sent = Instant::now();
    bens[0].send(id, "first").await?;
    // By whatever way and node the second one comes.
    let last = bens.last().context("no device")?;
    let fields = json!({"conversation_id": id, "content": "second", "client_id": "second"});
    let reply = last.command("message.send", fields.clone()).await?;
    let error = reply.error.context("nothing holds ben back")?;
    let wait = error.retry_after_ms.context("no time to wait")?;
    ensure!(error.code == ErrorCode::SlowMode && (1..=3000).contains(&wait), "{error:?}");
    let answer = ben.rest.post(&format!("{path}/messages"), json!({"content": "second"})).await?;
    ensure!(answer.problem()? == (429, "slow_mode".into()), "{answer:?}");
    ensure!(answer.headers.contains_key("retry-after") && answer.body["retry_after_ms"].is_u64(), "{answer:?}");
    for number in 0..3 {
        anns[0].send(id, &format!("ann {number}")).await?;
    }
    // After the time that it was told, it goes.
    sleep(Duration::from_millis(wait + 20)).await;
    tell(last, "message.send", fields).await?;
    ensure!(sent.elapsed() >= Duration::from_secs(3), "after {:?}", sent.elapsed());

    ann.rest.patch(&path, json!({"slow_mode_seconds": 0, "posting": "admins"})).await?.done()?;
    let fields = json!({"conversation_id": id, "content": "third", "client_id": "third"});
    let reply = bens[0].command("message.send", fields).await?;
    ensure!(refusal(&reply)? == ErrorCode::PostingRestricted, "{reply:?}");
    let news = anns[0].send(id, "news").await?;
    ben.rest.put(&format!("messages/{}/reactions/%F0%9F%91%8D", news.id)).await?.done()?;
    ann.rest.patch(&format!("{path}/participants/{}", ben.id), json!({"role": "admin"})).await?.done()?;
    bens[0].send(id, "now I may").await?;
    let truth = agree(&ann, id, anns.iter().chain(&bens)).await?;
    ensure!(
        crate::world::texts(&truth) == ["first", "ann 0", "ann 1", "ann 2", "second", "news", "now I may"],
        "{truth:?}"
    );
    Ok(())
}

async fn the_last_owner_hands_over_before_leaving(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    let role = |person: &starling_tests::cluster::Person| format!("conversations/{id}/participants/{}", person.id);
    let leave = ann.rest.post(&format!("conversations/{id}/leave"), json!({})).await?;
    ensure!(leave.problem()? == (409, "last_owner".into()), "{leave:?}");
    let down = ann.rest.patch(&role(&ann), json!({"role": "member"})).await?;
    ensure!(down.problem()? == (409, "last_owner".into()), "{down:?}");
    let up = ben.rest.patch(&role(&ben), json!({"role": "owner"})).await?;
    ensure!(up.problem()? == (403, "forbidden".into()), "{up:?}");
    ann.rest.patch(&role(&ben), json!({"role": "owner"})).await?.done()?;
    // Both want to leave at once now: one of them stays.
    let mut nodes = cluster.rest_nodes().iter().cycle();
    let (first, second) = (nodes.next().context("no node")?, nodes.next().context("no node")?);
    let path = format!("conversations/{id}/leave");
    let (rest, other) = (ann.rest.at(first.url()), ben.rest.at(second.url()));
    let answers = tokio::try_join!(rest.post(&path, json!({})), other.post(&path, json!({})))?;
    let gone: Vec<_> = [&answers.0, &answers.1].map(|answer| answer.status.is_success()).to_vec();
    if gone == [true, true] {
        // The second one was alone by then.
        for person in [&ann, &ben] {
            ensure!(person.rest.get(&format!("conversations/{id}")).await?.problem()?.0 == 404, "still there");
        }
    } else {
        ensure!(gone.contains(&true), "neither could leave: {answers:?}");
        let stays = if gone[0] { &ben } else { &ann };
        let here: Conversation = stays.rest.get(&format!("conversations/{id}")).await?.ok()?;
        ensure!(here.role == Some(Role::Owner) && here.participant_count == 1, "{here:?}");
    }
    for (device, out) in anns.iter().map(|d| (d, gone[0])).chain(bens.iter().map(|d| (d, gone[1]))) {
        if out {
            device.until("it is over here", |view| view.timelines.get(&id)?.gone.then_some(())).await?;
        }
        device.check()?;
    }
    // A third one may be made owner by somebody who then leaves.
    let next = ann.group("again", &[&ben]).await?;
    let body = json!({"role": "owner"});
    ann.rest.patch(&format!("conversations/{next}/participants/{}", ben.id), body).await?.done()?;
    ann.rest.post(&format!("conversations/{next}/leave"), json!({})).await?.done()?;
    eventually("ann is out everywhere", SOON, async || {
        let out = anns.iter().all(|device| device.view().timelines.get(&next).is_some_and(|timeline| timeline.gone));
        if out { Ok(()) } else { Err("not yet") }
    })
    .await;
    let owner: Value = ben.rest.get(&format!("conversations/{next}")).await?.ok()?;
    ensure!(owner["role"] == "owner" && owner["participant_count"] == 1, "{owner}");
    agree(&ben, next, &bens).await.map(drop)
}
