//! A COMMIT whose answer is lost: whoever sends the same again under the same `client_id` finds the message, over
//! sockets and by REST, and there is never a second one.

use anyhow::{Context, Result, ensure};
use protocol::{ErrorCode, Message};
use serde_json::{Value, json};
use starling_tests::{client::Client, cluster::Cluster, proxy::CommitFault};

use crate::{
    stage::{Stage, on_a_cluster, post},
    world::{done, refusal},
};

/// How somebody sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Socket,
    Rest,
}

/// Sends once. The inner error is the code of a refusal that says when to try again.
async fn send(way: Way, stage: &Stage, device: &Client, text: &str) -> Result<Result<Message, ErrorCode>> {
    let body = json!({"conversation_id": stage.id, "content": text, "client_id": text});
    if way == Way::Socket {
        let reply = device.command("message.send", body).await?;
        if reply.ok {
            return Ok(Ok(serde_json::from_value(done(reply)?)?));
        }
        let retry = reply.error.as_ref().and_then(|error| error.retry_after_ms);
        ensure!(retry.is_some(), "no time to try again: {reply:?}");
        return Ok(Err(refusal(&reply)?));
    }
    let body: Value = json!({"content": text, "client_id": text});
    let answer = stage.ann.rest.post(&format!("conversations/{}/messages", stage.id), body).await?;
    if answer.status.is_success() {
        return Ok(Ok(answer.ok()?));
    }
    ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
    let (_, code) = answer.problem()?;
    Ok(Err(serde_json::from_value(code.into())?))
}

/// The rows of a text, past every node.
async fn rows(cluster: &Cluster, text: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM messages WHERE client_id = $1 AND content = $1";
    Ok(sqlx::query_scalar(sql).bind(text).fetch_one(&mut cluster.rows().await?).await?)
}

/// Breaks the COMMIT of a send and sends the same again until it is acknowledged.
async fn broken_send(
    cluster: &Cluster,
    stage: &Stage,
    way: Way,
    fault: CommitFault,
) -> Result<Result<Message, ErrorCode>> {
    let node = if way == Way::Socket { &cluster.gateways[0] } else { &cluster.apis[0] };
    let (proxy, device) = (cluster.postgres_proxy(node)?, &stage.devices[0]);
    let text = format!("{way:?} {fault:?}");
    let broken = proxy.counts().broken_commits;
    proxy.break_commit(1, fault);
    let first = send(way, stage, device, &text).await?;
    ensure!(proxy.counts().broken_commits == broken + 1, "no COMMIT was broken, so this proves nothing");
    let before = rows(cluster, &text).await?;
    let answer_lost = fault != CommitFault::NeverSent;
    ensure!(before == 1 || !answer_lost && first.is_err(), "{before} rows of {text:?} after {first:?}");
    proxy.heal()?;
    // The same again: on this node, and then on every other.
    let again = if way == Way::Socket {
        device.send_as(stage.id, &text, &text).await?
    } else {
        post(&stage.ann, stage.id, &text).await?
    };
    if let Ok(first) = &first {
        ensure!((first.id, first.seq) == (again.id, again.seq), "another message: {first:?} {again:?}");
    }
    let elsewhere = stage.devices[1].send_as(stage.id, &text, &text).await?;
    ensure!((elsewhere.id, elsewhere.seq) == (again.id, again.seq), "another message: {elsewhere:?} {again:?}");
    ensure!(rows(cluster, &text).await? == 1, "not one row of {text:?}");
    Ok(first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_or_that_is_never_sent_is_one_message() {
    on_a_cluster(async |cluster| {
        let stage = Stage::set(cluster).await?;
        for way in [Way::Socket, Way::Rest] {
            for fault in [CommitFault::AnswerLost, CommitFault::NeverSent] {
                let first = broken_send(cluster, &stage, way, fault).await?;
                // The node tries again by itself: nobody hears of it.
                ensure!(first.is_ok(), "{way:?} {fault:?}: {first:?}");
            }
        }
        stage.catches_up().await?;
        stage.ensure_nobody_noticed()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_refused_although_it_was_committed_finds_it_with_the_retry() {
    on_a_cluster(async |cluster| {
        let stage = Stage::set(cluster).await?;
        for way in [Way::Socket, Way::Rest] {
            // The database is gone in that very moment: the node cannot find out either.
            let first = broken_send(cluster, &stage, way, CommitFault::AnswerLostAndDown).await?;
            let code = first.err().context("acknowledged, though nobody could know")?;
            ensure!(matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout), "{way:?}: {code}");
        }
        stage.catches_up().await?;
        for device in &stage.devices {
            device.check()?;
            ensure!(device.view().repeats == 0, "something came twice: {}", device.summary());
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_commits_are_lost_again_and_again_while_people_talk() {
    on_a_cluster(async |cluster| {
        println!("answers to COMMIT lost while people talk:");
        let stage = Stage::set(cluster).await?;
        let talk = stage.talk();
        talk.goes_on(5).await?;
        let proxies = [&cluster.gateways[0], &cluster.gateways[1], &cluster.apis[0]].map(|n| cluster.postgres_proxy(n));
        let proxies = proxies.into_iter().collect::<Result<Vec<_>>>()?;
        for round in 0..12 {
            let fault = if round % 3 == 2 { CommitFault::NeverSent } else { CommitFault::AnswerLost };
            for proxy in &proxies {
                proxy.break_commit(1 + round % 4, fault);
            }
            talk.goes_on(4).await?;
        }
        let broken: u64 = proxies.iter().map(|proxy| proxy.counts().broken_commits).sum();
        ensure!(broken >= 24, "only {broken} COMMITs were broken");
        stage.whole(talk, std::time::Duration::MAX).await?;
        println!("  {broken} COMMITs broken");
        Ok(())
    })
    .await;
}
