//! What people and admins do about others: felt on every node within a moment.

use std::time::Duration;

use anyhow::{Result, ensure};
use protocol::{AuditAction, AuditEntry, Page, Report, ReportStatus, User};
use serde_json::json;
use starling_tests::{
    client::{Answer, Client, SOON, Socket},
    cluster::Cluster,
    process::eventually,
    stalls,
};
use tokio::time::Instant;

use crate::world::{agree, devices, on_each_gateway, people, say, scenarios, told};

scenarios! {
    on_a_cluster_of_two_apis: [
        who_is_disabled_is_out_on_every_node_at_once_and_may_come_back,
        who_is_blocked_can_no_longer_reach_the_other,
        a_report_comes_to_the_admins_and_is_decided,
    ];
    on_one_node: [
        who_is_disabled_is_out_on_every_node_at_once_and_may_come_back,
        who_is_blocked_can_no_longer_reach_the_other,
        a_report_comes_to_the_admins_and_is_decided,
    ];
}

async fn who_is_disabled_is_out_on_every_node_at_once_and_may_come_back(cluster: &mut Cluster) -> Result<()> {
    let boss = cluster.person_with("boss", &json!({"role": "admin"})).await?;
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in anns.iter().chain(&bens) {
        device.reaches(id, 1).await?;
    }
    for node in cluster.rest_nodes() {
        ben.rest.at(node.url()).get("me").await?.done()?;
    }
    let path = format!("org/users/{}", ben.id);
    let refused = ann.rest.patch(&path, json!({"disabled": true})).await?;
    ensure!(refused.problem()? == (403, "forbidden".into()), "{refused:?}");
    stalls::watch();
    let start = Instant::now();
    let disabled: User = boss.rest.patch(&path, json!({"disabled": true})).await?.ok()?;
    ensure!(disabled.disabled_at.is_some(), "{disabled:?}");
    for device in &bens {
        ensure!(device.stopped().await? == 4504, "{}", device.summary());
    }
    // A node may know his token: it forgets it when it hears of this.
    for node in cluster.rest_nodes() {
        let rest = ben.rest.at(node.url());
        eventually("the token is refused", SOON, async || match rest.get("me").await.and_then(|a| a.problem()) {
            Ok((403, code)) if code == "user_disabled" => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let bound = Duration::from_secs(3) + stalls::since(start.into_std());
    ensure!(start.elapsed() < bound, "out after {:?}, later than {bound:?}", start.elapsed());
    for node in &cluster.gateways {
        let mut socket = Socket::with_token(node.url(), &ben.token).await?;
        ensure!(socket.close_code().await? == 4504);
    }
    anns[0].send(id, "where is ben?").await?;
    ensure!(anns.iter().all(|device| device.closes().is_empty()), "others are out too");
    let enabled: User = boss.rest.patch(&path, json!({"disabled": false})).await?.ok()?;
    ensure!(enabled.disabled_at.is_none(), "{enabled:?}");
    for node in cluster.rest_nodes() {
        let rest = ben.rest.at(node.url());
        eventually("the token is taken again", SOON, async || rest.get("me").await.and_then(Answer::done)).await;
    }
    let back = on_each_gateway(cluster, &ben).await?;
    for device in &back {
        device.load(id).await?;
    }
    agree(&ben, id, anns.iter().chain(&back)).await?;
    let audit: Page<AuditEntry> = boss.rest.get("org/audit").await?.ok()?;
    let done: Vec<_> = audit.items.iter().map(|entry| (entry.action, entry.target_id, entry.actor.id)).collect();
    let both = [AuditAction::UserEnabled, AuditAction::UserDisabled].map(|action| (action, ben.id.0, boss.id));
    ensure!(done == both, "{audit:?}");
    Ok(())
}

async fn who_is_blocked_can_no_longer_reach_the_other(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let (direct, group) = (ben.direct(&ann).await?, ben.group("plans", &[&ann]).await?);
    say(&ben, direct, "hello", json!({})).await?;
    for _ in 0..2 {
        ann.rest.put(&format!("users/{}/block", ben.id)).await?.done()?;
    }
    for device in &anns {
        let blocked = device.until("the block arrives", |view| told(view, "user.blocked").first().cloned()).await?;
        ensure!(blocked == json!({"user_id": ben.id}), "{blocked}");
    }
    let blocks: Page<User> = ann.rest.get("me/blocks").await?.ok()?;
    ensure!(blocks.items.len() == 1 && blocks.items[0].id == ben.id, "{blocks:?}");
    for node in cluster.rest_nodes() {
        for (person, other) in [(&ann, &ben), (&ben, &ann)] {
            let rest = person.rest.at(node.url());
            let answer = rest.post(&format!("conversations/{direct}/messages"), json!({"content": "?"})).await?;
            ensure!(answer.problem()? == (403, "blocked".into()), "{}: {answer:?}", person.name);
            let subject = json!({"type": "order", "id": "7", "title": "Order 7"});
            let body = json!({"kind": "direct", "participant_ids": [other.id], "subject": subject});
            let answer = rest.post("conversations", body).await?;
            ensure!(answer.problem()? == (403, "blocked".into()), "{}: {answer:?}", person.name);
        }
    }
    // In groups both go on; the one who blocked has a flag to hide the other by.
    say(&ben, group, "for all", json!({})).await?;
    let participant = async |viewer: &starling_tests::cluster::Person, of| {
        let path = format!("conversations/{group}/participants/{of}");
        viewer.rest.get(&path).await?.ok::<protocol::Participant>()
    };
    ensure!(participant(&ann, ben.id).await?.blocked && !participant(&ben, ann.id).await?.blocked, "the flag");
    for _ in 0..2 {
        ann.rest.delete(&format!("users/{}/block", ben.id)).await?.done()?;
    }
    for device in &anns {
        device.until("it is over", |view| told(view, "user.unblocked").first().cloned()).await?;
        ensure!(told(&device.view(), "user.blocked").len() == 1, "blocking twice is told twice");
    }
    say(&ben, direct, "again", json!({})).await?;
    agree(&ann, direct, anns.iter().chain(&bens)).await?;
    ensure!(bens.iter().all(|device| told(&device.view(), "user.blocked").is_empty()), "the blocked one is told");
    bens.iter().try_for_each(Client::check)
}

async fn a_report_comes_to_the_admins_and_is_decided(cluster: &mut Cluster) -> Result<()> {
    let boss = cluster.person_with("boss", &json!({"role": "admin"})).await?;
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let bad = say(&ben, id, "buy my things", json!({})).await?;
    let body = json!({"message_id": bad.id, "reason": "spam", "comment": "every day"});
    let report: Report = ann.rest.post("reports", body.clone()).await?.ok()?;
    ensure!(report.user.id == ben.id && report.content.as_deref() == Some("buy my things"), "{report:?}");
    let foreign = cleo.rest.post("reports", body).await?;
    ensure!(foreign.problem()? == (404, "not_found".into()), "{foreign:?}");
    // What was reported stays what it was, whatever its writer does.
    ben.rest.patch(&format!("messages/{}", bad.id), json!({"content": "nothing"})).await?.done()?;
    ben.rest.delete(&format!("messages/{}", bad.id)).await?.done()?;
    let refused = ann.rest.get("org/reports").await?;
    ensure!(refused.problem()? == (403, "forbidden".into()), "{refused:?}");
    let open: Page<Report> = boss.rest.get("org/reports?status=open").await?.ok()?;
    ensure!(open.items == [report.clone()], "{open:?}");
    let path = format!("org/reports/{}", report.id);
    let decided: Report = boss.rest.patch(&path, json!({"status": "resolved"})).await?.ok()?;
    ensure!(decided.status == ReportStatus::Resolved && decided.decided_by.is_some(), "{decided:?}");
    let open: Page<Report> = boss.rest.get("org/reports?status=open").await?.ok()?;
    ensure!(open.items.is_empty(), "{open:?}");
    let audit: Page<AuditEntry> = boss.rest.get("org/audit").await?.ok()?;
    ensure!(audit.items.len() == 1 && audit.items[0].action == AuditAction::ReportDecided, "{audit:?}");
    Ok(())
}
