//! Who is typing: shown at once on every device and node, told rarely, never kept.

use std::time::Duration;

use anyhow::{Result, ensure};
use protocol::{Conversation, ConversationId, ErrorCode};
use serde_json::json;
use starling_tests::{
    client::{Client, SOON, View},
    cluster::{Cluster, Person},
    process::eventually,
};
use tokio::time::Instant;

use crate::world::{all_hear, committed, devices, on_the_last_gateway, people, refusal, say, scenarios, tell, told};

scenarios! {
    on_a_cluster: [
        typing_is_shown_on_every_node_and_told_again_but_not_at_once,
        nobody_types_where_they_may_not_speak,
    ];
    on_one_node: [
        typing_is_shown_on_every_node_and_told_again_but_not_at_once,
        nobody_types_where_they_may_not_speak,
    ];
}

/// What a device was told of one person: true for a start.
fn shown(view: &View, person: &Person) -> Vec<bool> {
    let events = told(view, "typing");
    let theirs = events.iter().filter(|data| data["user"]["id"] == json!(person.id));
    theirs.map(|data| data["typing"] == true).collect()
}

async fn typing_is_shown_on_every_node_and_told_again_but_not_at_once(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo, dan] = people(cluster, ["ann", "ben", "cleo", "dan"]).await?;
    let (anns, away) = (devices(cluster, &ann).await?, ann.connect_to(&cluster.gateways[0]).await?);
    let (bens, dans) = (ben.connect_to(&cluster.gateways[0]).await?, dan.connect().await?);
    let id = ann.group("plans", &[&ben, &cleo]).await?;
    let head = all_hear(&ann, id, anns.iter().chain([&bens, &away])).await?;
    away.offline().await?;
    let before: Conversation = ann.rest.get(&format!("conversations/{id}")).await?.ok()?;
    let fields = json!({"conversation_id": id});
    let started = Instant::now();
    for command in ["typing.start", "typing.start", "typing.stop", "typing.stop"] {
        ensure!(tell(&bens, command, fields.clone()).await? == json!({}), "`{command}` says more than it should");
    }
    ensure!(started.elapsed() < Duration::from_millis(2500), "too slow to show that starts are throttled");
    for _ in 0..3 {
        cleo.rest.post(&format!("conversations/{id}/typing"), json!({"typing": true})).await?.done()?;
    }
    for device in &anns {
        device.until("ben and cleo are shown", |view| (shown(view, &cleo) == [true]).then_some(())).await?;
        device.until("ben is no longer shown", |view| (shown(view, &ben) == [true, false]).then_some(())).await?;
        let events = told(&device.view(), "typing");
        ensure!(events[0]["expires_in_ms"] == 5000 && events[0]["user"]["username"] == "ben", "{events:?}");
    }
    // Who begins again is told again, and who goes on, but that not for two seconds and a half.
    types_until(&bens, id, async || shown(&anns[0].view(), &ben).len() > 2).await;
    let again = Instant::now();
    types_until(&bens, id, async || shown(&anns[0].view(), &ben).len() > 3).await;
    ensure!(again.elapsed() > Duration::from_secs(2), "told again after {:?}", again.elapsed());

    // Nothing of it is kept: neither in the conversation nor for who comes back.
    let after: Conversation = ann.rest.get(&format!("conversations/{id}")).await?.ok()?;
    ensure!(after == before && committed(&ann, id).await?.1 == head, "typing changed the conversation: {after:?}");
    away.online().await?;
    let last = say(&ben, id, "done", json!({})).await?;
    for device in anns.iter().chain([&away, &bens]) {
        device.reaches(id, last.seq).await?;
        device.check()?;
    }
    for device in &anns {
        ensure!(shown(&device.view(), &cleo) == [true], "told too often: {:?}", shown(&device.view(), &cleo));
        let bens = shown(&device.view(), &ben);
        ensure!(bens == [true, false, true, true], "told too often: {bens:?}");
    }
    ensure!(shown(&away.view(), &ben).is_empty(), "who was away was told of what was long over: {}", away.summary());
    ensure!(told(&dans.view(), "typing").is_empty(), "a stranger is told: {}", dans.summary());
    Ok(())
}

/// Says "I am typing" again and again.
async fn types_until(device: &Client, id: ConversationId, enough: impl AsyncFn() -> bool) {
    eventually("typing is told again", SOON, async || {
        tell(device, "typing.start", json!({"conversation_id": id})).await.map_err(|error| error.to_string())?;
        if enough().await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
}

async fn nobody_types_where_they_may_not_speak(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, dan] = people(cluster, ["ann", "ben", "dan"]).await?;
    let (anns, bens) = (on_the_last_gateway(cluster, &ann).await?, ben.connect_to(&cluster.gateways[0]).await?);
    let dans = dan.connect().await?;
    let old = ann.group("over", &[&ben]).await?;
    ann.rest.patch(&format!("conversations/{old}"), json!({"archived": true})).await?.done()?;
    let news = ann.group("news", &[&ben]).await?;
    ann.rest.patch(&format!("conversations/{news}"), json!({"posting": "admins"})).await?.done()?;
    let direct = ben.direct(&ann).await?;
    ann.rest.put(&format!("users/{}/block", ben.id)).await?.done()?;
    all_hear(&ann, news, [&anns, &bens]).await?;
    let refused = [
        (&bens, &ben, old, (409, ErrorCode::Archived)),
        (&bens, &ben, news, (403, ErrorCode::PostingRestricted)),
        (&bens, &ben, direct, (403, ErrorCode::Blocked)),
        (&anns, &ann, direct, (403, ErrorCode::Blocked)),
        (&dans, &dan, news, (404, ErrorCode::NotFound)),
    ];
    for (device, person, id, (status, code)) in refused {
        let reply = device.command("typing.start", json!({"conversation_id": id})).await?;
        ensure!(refusal(&reply)? == code, "{}: {reply:?}", person.name);
        let answer = person.rest.post(&format!("conversations/{id}/typing"), json!({"typing": true})).await?;
        ensure!(answer.problem()? == (status, code.as_str().into()), "{}: {answer:?}", person.name);
    }
    // Who may speak may type, and both hear what comes later: nothing of the above came before it.
    tell(&anns, "typing.start", json!({"conversation_id": news})).await?;
    bens.until("ann is shown", |view| told(view, "typing").first().cloned()).await?;
    ensure!(shown(&bens.view(), &ann) == [true], "{}", bens.summary());
    ensure!(told(&anns.view(), "typing").iter().all(|data| data["user"]["id"] == json!(ann.id)), "{}", anns.summary());
    [&anns, &bens, &dans].into_iter().try_for_each(Client::check)
}
