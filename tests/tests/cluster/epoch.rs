//! A restore from a backup under running nodes: what was delivered of the lost future is forgotten, by nodes and by
//! clients, and what takes its places is delivered.

use anyhow::{Context, Result, ensure};
use protocol::ConversationId;
use serde_json::{Value, json};
use starling_tests::{client::Socket, cluster::Cluster, node};

use crate::{
    bus_input::{counted, made, publish},
    world::{agree, devices, people, scenarios},
};

scenarios! {
    on_a_cluster_that_is_tampered_with: [
        after_a_restore_everybody_starts_anew_and_hears_what_takes_the_places_of_what_is_lost,
        where_the_store_lost_what_was_delivered_and_nobody_said_so_clients_start_anew_all_the_same,
    ];
}

/// As a restore leaves a conversation: what has its place after the second never was.
async fn lose(cluster: &mut Cluster, id: ConversationId) -> Result<()> {
    let mut rows = cluster.rows().await?;
    for sql in [
        "UPDATE participants SET read_seq = least(read_seq, 2), read_number = least(read_number, 1), \
         delivered_seq = least(delivered_seq, 2) WHERE conversation_id = $1",
        "DELETE FROM messages WHERE conversation_id = $1 AND seq > 2",
        "UPDATE conversations SET last_seq = 2, last_number = 1 WHERE id = $1",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).execute(&mut rows).await.context(sql)?;
    }
    Ok(())
}

async fn after_a_restore_everybody_starts_anew_and_hears_what_takes_the_places_of_what_is_lost(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    all[0].send(id, "in the backup").await?;
    for (number, device) in all.iter().take(5).enumerate() {
        device.send(id, &format!("lost {number}")).await?;
    }
    agree(&ben, id, &all).await?;
    let mut raw = Socket::with_token(cluster.gateways[0].url(), &ben.token).await?;
    let connected = raw.until("connected").await?;
    raw.send(&json!({"type": "hello", "ref": "1"})).await?;
    raw.until("reply").await?;

    lose(cluster, id).await?;
    let database = cluster.database_url()?;
    let (code, out, log) = node::run(&["admin", "new-epoch"], [("DATABASE_URL", &*database)]).await?;
    ensure!(code == Some(0), "`starling admin new-epoch` ended with {code:?}: {out}{log}");

    ensure!(raw.close_code().await? == 4000, "closed with another code");
    for device in &all {
        let anew = |view: &starling_tests::client::View| {
            view.resyncs.iter().any(|resync| resync["reason"] == "epoch_changed").then_some(())
        };
        device.until("the client is told to start anew", anew).await?;
        device.live().await?;
    }
    let (epoch, user_seq) = (&connected["data"]["epoch"], &connected["data"]["user_seq"]);
    let mut raw = Socket::with_token(cluster.gateways[0].url(), &ben.token).await?;
    let now = raw.until("connected").await?["data"]["epoch"].clone();
    ensure!(now != *epoch, "the old epoch");
    let resume = json!({"epoch": epoch, "user_seq": user_seq, "cursors": {id.to_string(): 7}});
    raw.send(&json!({"type": "hello", "ref": "1", "resume": resume})).await?;
    let told = raw.until("resync_required").await?;
    ensure!(told["data"] == json!({"conversation_id": null, "reason": "epoch_changed"}), "{told}");
    let reply = raw.until("reply").await?;
    ensure!(reply["data"]["heads"][id.to_string()] == 2, "{reply}");

    // An event of the lost future that came late would take the place of what comes now.
    let lost = epoch.as_str().context("an epoch is text")?;
    publish(cluster, &format!("c:{id}"), &made(id, 3, lost, &json!({"content": "lost"}))?).await?;
    counted(cluster, "other_epoch", 1.0).await?;
    // That has places that were taken once; it reaches everybody all the same.
    for (number, device) in all.iter().take(5).enumerate() {
        let message = device.send(id, &format!("anew {number}")).await?;
        ensure!(message.seq == 3 + number as u64, "{message:?}");
        let event: Value = raw.until("message.created").await?;
        ensure!(event["data"]["content"] == format!("anew {number}"), "{event}");
    }
    for device in &all {
        device.load(id).await?;
    }
    agree(&ben, id, &all).await?;
    for node in &cluster.gateways {
        let log = node.log();
        let told = log.lines().filter(|line| line.contains("another epoch")).count();
        ensure!(told == 1, "told {told} times:\n{log}");
    }
    Ok(())
}

async fn where_the_store_lost_what_was_delivered_and_nobody_said_so_clients_start_anew_all_the_same(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for text in ["kept", "lost", "lost as well"] {
        all[0].send(id, text).await?;
    }
    agree(&ben, id, &all).await?;
    let mut raw = Socket::with_token(cluster.gateways[0].url(), &ben.token).await?;
    let connected = raw.until("connected").await?;
    raw.send(&json!({"type": "hello", "ref": "1"})).await?;
    raw.until("reply").await?;
    lose(cluster, id).await?;

    ensure!(raw.close_code().await? == 4000, "closed with another code");
    for device in &all {
        let anew = |view: &starling_tests::client::View| {
            view.resyncs.iter().any(|resync| resync["reason"] == "cursor_ahead").then_some(())
        };
        device.until("the client is told to fetch the conversation anew", anew).await?;
        device.live().await?;
    }
    // Nobody is kept out by what a node remembers, and who comes with a place that is lost is told so.
    for node in &cluster.gateways {
        let mut raw = Socket::with_token(node.url(), &ben.token).await?;
        let now = raw.until("connected").await?;
        ensure!(now["data"]["epoch"] == connected["data"]["epoch"], "nobody changed the epoch: {now}");
        let resume = json!({"epoch": now["data"]["epoch"], "user_seq": now["data"]["user_seq"],
            "cursors": {id.to_string(): 4}});
        raw.send(&json!({"type": "hello", "ref": "1", "resume": resume})).await?;
        let told = raw.until("resync_required").await?;
        ensure!(told["data"] == json!({"conversation_id": id, "reason": "cursor_ahead"}), "{told}");
        let reply = raw.until("reply").await?;
        ensure!(reply["data"]["heads"][id.to_string()] == 2, "{reply}");
    }
    for (number, device) in all.iter().enumerate() {
        let message = device.send(id, &format!("anew {number}")).await?;
        ensure!(message.seq == 3 + number as u64, "{message:?}");
    }
    for device in &all {
        device.load(id).await?;
    }
    agree(&ben, id, &all).await?;
    for node in &cluster.gateways {
        let log = node.log();
        ensure!(
            log.contains("the store has less of a conversation than was delivered"),
            "nothing told an operator:\n{log}"
        );
    }
    // Likewise a user's feed: then everything is to be fetched.
    let mut raw = Socket::with_token(cluster.gateways[0].url(), &ben.token).await?;
    raw.until("connected").await?;
    raw.send(&json!({"type": "hello", "ref": "1"})).await?;
    raw.until("reply").await?;
    let mut rows = cluster.rows().await?;
    sqlx::query("UPDATE users SET feed_seq = feed_seq - 1 WHERE id = $1").bind(ben.id.0).execute(&mut rows).await?;
    let told = raw.until("resync_required").await?;
    ensure!(told["data"] == json!({"conversation_id": null, "reason": "cursor_ahead"}), "{told}");
    ensure!(raw.close_code().await? == 4000, "closed with another code");
    Ok(())
}
