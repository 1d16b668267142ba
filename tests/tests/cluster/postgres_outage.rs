//! Postgres is the truth: without it nothing is acknowledged, nobody is thrown out, and all goes on when it is back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::ErrorCode;
use serde_json::{Value, json};
use sqlx::Row;
use starling_tests::{
    client::{Client, Rest, SOON, Socket},
    cluster::Cluster,
    node::{Node, Role},
    process::eventually,
};

use crate::world::{agree, devices, people, refusal, scenarios, texts};

scenarios! {
    on_a_cluster_that_loses_postgres: [
        while_postgres_is_away_sockets_stay_and_sends_are_retried_when_it_is_back,
        nodes_that_start_without_postgres_wait_for_it,
    ];
}

async fn readiness(node: &Node, status: u16) {
    let what = format!("readiness of {:?} {} says {status}", node.role(), node.url());
    eventually(&what, SOON, async || match node.admin_get("/readyz").await {
        Ok((seen, _)) if seen == status => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// 503 with the time to try again, in the shape of every error.
async fn ensure_unavailable(rest: &Rest, path: &str, body: Option<Value>) -> Result<()> {
    let method = if body.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
    let answer = rest.call(method, path, body, &[]).await?;
    ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
    ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
    Ok(())
}

async fn while_postgres_is_away_sockets_stay_and_sends_are_retried_when_it_is_back(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
    }
    for (outage, crash) in [true, false].into_iter().enumerate() {
        all[0].send(id, &format!("before {outage}")).await?;
        agree(&ben, id, &all).await?;
        let log_lines: Vec<_> = cluster.gateways.iter().map(|node| node.log().lines().count()).collect();
        if crash {
            cluster.postgres()?.kill().await?;
        } else {
            cluster.postgres()?.stop().await?;
        }
        // A send from each device, under way together; each is refused in words that say: again, the same.
        let send = |number: usize| {
            let text = format!("during {outage}: {number}");
            json!({"conversation_id": id, "content": text, "client_id": text})
        };
        let refused = all.iter().enumerate().map(async |(number, device): (usize, &Client)| {
            let reply = device.command("message.send", send(number)).await?;
            let code = refusal(&reply)?;
            ensure!(matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout), "{reply:?}");
            let retry = reply.error.and_then(|error| error.retry_after_ms);
            ensure!(retry.is_some(), "no retry_after_ms with {code}");
            Ok(())
        });
        try_join_all(refused).await?;
        for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
            readiness(node, 503).await;
            ensure!(node.admin_get("/healthz").await?.0 == 200, "an outage of Postgres makes a node unhealthy");
            node.check_running()?;
        }
        ensure_unavailable(&ann.rest, "conversations", None).await?;
        ensure_unavailable(&ann.rest, &format!("conversations/{id}/messages"), None).await?;
        let body = json!({"content": "by rest", "client_id": format!("by rest {outage}")});
        ensure_unavailable(&ann.rest, &format!("conversations/{id}/messages"), Some(body.clone())).await?;
        let stranger = cluster.token("stranger", Duration::from_mins(5))?;
        let bearer = format!("Bearer {stranger}");
        let upgrade = Socket::open(&cluster.url(), "/v1/ws", &[("authorization", &bearer)]).await?;
        let status = upgrade.err().map(|status| status.as_u16());
        ensure!(status == Some(503), "an upgrade: {status:?}");
        for device in &all {
            ensure!(device.command("ping", json!({})).await?.ok, "{}", device.summary());
        }

        cluster.postgres()?.up().await?;
        for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
            node.ready().await?;
        }
        let sent = all.iter().enumerate().map(async |(number, device)| {
            let text = format!("during {outage}: {number}");
            device.send_as(id, &text, &text).await
        });
        try_join_all(sent).await?;
        ann.rest.post(&format!("conversations/{id}/messages"), body).await?.done()?;
        let truth = agree(&ben, id, &all).await?;
        ensure!(texts(&truth).len() == (outage + 1) * (all.len() + 2), "{truth:?}");
        for device in &all {
            ensure!(device.connections() == 1, "a socket did not stay: {}", device.summary());
            ensure!(device.view().repeats == 0, "{}", device.summary());
        }
        for (node, before) in cluster.gateways.iter().zip(log_lines) {
            let lines = node.log().lines().count() - before;
            ensure!(lines <= 60, "{} logged {lines} lines about one outage", node.url());
        }
    }
    let sql =
        "SELECT count(*) AS all, count(DISTINCT client_id) AS different FROM messages WHERE client_id IS NOT NULL";
    let row = sqlx::query(sql).fetch_one(&mut cluster.rows().await?).await?;
    let (rows, different): (i64, i64) = (row.try_get("all")?, row.try_get("different")?);
    ensure!(rows == different, "{rows} rows of {different} messages");
    Ok(())
}

async fn nodes_that_start_without_postgres_wait_for_it(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    cluster.postgres()?.stop().await?;
    let (gateway, api) = (cluster.start_node(Role::Gateway).await?, cluster.start_node(Role::Api).await?);
    cluster.gateways.push(gateway);
    cluster.apis.push(api);
    let late = cluster.gateways.len() - 1;
    for node in [&mut cluster.gateways[late], &mut cluster.apis[1]] {
        readiness(node, 503).await;
        ensure!(node.admin_get("/healthz").await?.0 == 200);
        node.check_running()?;
    }
    ensure_unavailable(&ann.rest.at(cluster.apis[1].url()), "me", None).await?;
    let bearer = format!("Bearer {}", ann.token);
    let upgrade = Socket::open(cluster.gateways[late].url(), "/v1/ws", &[("authorization", &bearer)]).await?;
    let status = upgrade.err().map(|status| status.as_u16());
    ensure!(status == Some(503), "an upgrade: {status:?}");

    // A client that tries all the while gets in as soon as there is something to get into.
    let anns = Client::connecting(cluster.gateways[late].url(), &ann.token);
    cluster.postgres()?.up().await?;
    for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
        node.ready().await?;
    }
    anns.live().await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let id = ann.group("plans", &[&ben]).await.context("through the load balancer")?;
    anns.reaches(id, 1).await?;
    anns.send(id, "from the late node").await?;
    bens.sees(id, "from the late node").await?;
    agree(&ben, id, [&anns, &bens]).await.map(drop)
}
