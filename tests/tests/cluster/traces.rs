//! Traces of real nodes at a real collector: what one message leaves, whose trace it is, and what a collector that is of
//! no use costs.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{ConversationId, Message};
use reqwest::Method;
use serde_json::json;
use starling_tests::{
    client::{Client, Frame, SOON, Socket},
    cluster::{Cluster, Person},
    collector::{Collector, Manner, Traced},
    node::Node,
    process::eventually,
};
use tokio::time::Instant;

use crate::world::{self, people, tell, told};

const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";

/// On a cluster whose nodes send this share of their traces there.
async fn traced(endpoint: &str, share: &str, scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    // A future of several kilobytes: not on the stack.
    Box::pin(world::on_a_cluster_traced_to(endpoint, share, scenario)).await;
}

/// Ann on the first gateway and Ben on the second, in a group that both follow.
async fn apart(cluster: &Cluster) -> Result<([Person; 2], [Client; 2], ConversationId)> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let devices = [ann.connect_to(&cluster.gateways[0]).await?, ben.connect_to(&cluster.gateways[1]).await?];
    let id = ann.group("plans", &[&ben]).await?;
    for device in &devices {
        device.reaches(id, 1).await?;
    }
    let [anns, bens] = &devices;
    hears(anns, bens, id).await;
    hears(bens, anns, id).await;
    Ok(([ann, ben], devices, id))
}

/// Types until the other shows it: that comes to who follows live alone. Who still reads the store gets a message later, and
/// no trace of it shows that.
async fn hears(speaker: &Client, listener: &Client, id: ConversationId) {
    eventually("that typing is heard", SOON, async || {
        for command in ["typing.start", "typing.stop"] {
            tell(speaker, command, json!({"conversation_id": id})).await?;
        }
        ensure!(!told(&listener.view(), "typing").is_empty(), "nothing was heard");
        anyhow::Ok(())
    })
    .await;
}

/// POST of a message with these headers, straight to the api node.
async fn post(
    cluster: &Cluster,
    person: &Person,
    id: ConversationId,
    content: &str,
    headers: &[(&str, &str)],
) -> Result<Message> {
    let rest = person.rest.at(cluster.apis[0].url());
    let path = format!("conversations/{id}/messages");
    rest.call(Method::POST, &path, Some(json!({"content": content})), headers).await?.ok()
}

fn named<'a>(spans: &'a [Traced], name: &str) -> Vec<&'a Traced> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn one<'a>(spans: &'a [Traced], name: &str) -> Result<&'a Traced> {
    let [span] = named(spans, name)[..] else { anyhow::bail!("not one span {name}: {spans:#?}") };
    Ok(span)
}

/// The whole trace of one message that `entry` (a command or a request) asked for, with one device on each of two nodes:
/// waits until its last span is there, and looks at how they hang together.
async fn whole(collector: &Collector, entry: &str, trace: &str, id: ConversationId, seq: u64) -> Result<Vec<Traced>> {
    collector
        .until("the trace of a message, to its sockets", |spans| {
            let writes = spans.iter().filter(|span| span.trace == trace && span.name == "socket.write").count();
            let begun = spans.iter().any(|span| span.trace == trace && span.name == entry);
            (writes == 2 && begun).then_some(())
        })
        .await;
    let spans = collector.trace(trace);
    let (entry, change, commit) = (one(&spans, entry)?, one(&spans, "change")?, one(&spans, "commit")?);
    ensure!(change.parent.as_ref() == Some(&entry.id), "the change is not below what asked for it: {spans:#?}");
    ensure!(commit.parent.as_ref() == Some(&change.id), "the commit is not below the change: {spans:#?}");
    ensure!(change.field("kind") == "send" && change.field("conversation.id") == id.to_string(), "{change:?}");
    ensure!(change.field("waited_ms").parse::<u64>().is_ok(), "{change:?}");
    ensure!(commit.field("changes") == "1" && commit.field("lane").parse::<u64>().is_ok(), "{commit:?}");
    let within = |inner: &Traced, outer: &Traced| inner.time.0 >= outer.time.0 && inner.time.1 <= outer.time.1;
    ensure!(within(change, entry), "who asked is answered after the commit: {spans:#?}");
    let deliveries = named(&spans, "deliver");
    ensure!(deliveries.len() == 2 && deliveries[0].field("node.id") != deliveries[1].field("node.id"), "{spans:#?}");
    for delivery in deliveries {
        ensure!(delivery.parent.as_ref() == Some(&change.id), "{spans:#?}");
        ensure!(delivery.field("conversation.id") == id.to_string(), "{delivery:?}");
        ensure!(delivery.field("seq") == seq.to_string() && delivery.field("connections") == "1", "{delivery:?}");
        let below: Vec<_> = spans.iter().filter(|span| span.parent.as_ref() == Some(&delivery.id)).collect();
        let [write] = below[..] else { anyhow::bail!("one connection on each node: {spans:#?}") };
        ensure!(write.name == "socket.write" && write.field("written") == "true", "{write:?}");
        ensure!(write.time.0 >= delivery.time.0 && !write.field("connection.id").is_empty(), "{spans:#?}");
    }
    ensure!(spans.len() == 7, "a span that nobody knows of: {spans:#?}");
    Ok(spans)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_one_trace_from_the_command_to_the_sockets_of_each_node() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        let (_, [ann, ben], id) = apart(cluster).await?;
        let sent = ann.send(id, "here").await?;
        ben.sees(id, "here").await?;
        let trace = collector
            .until("the span of a command", |spans| {
                let sends = |span: &&Traced| span.name == "command" && span.field("kind") == "message.send";
                spans.iter().find(sends).map(|span| span.trace.clone())
            })
            .await;
        let spans = whole(&collector, "command", &trace, id, sent.seq).await?;
        let command = one(&spans, "command")?;
        ensure!(command.parent.is_none() && command.field("outcome") == "ok", "{command:?}");
        ensure!(command.links.is_empty(), "nobody opened this socket in a trace: {command:?}");
        for node in cluster.gateways.iter().chain(&cluster.apis) {
            ensure!(node.metric("starling_spans_dropped_total").await? == 0.0, "{}", node.url());
            ensure!(node.metric("starling_spans_exported_total").await? > 0.0, "{}", node.url());
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_a_caller_goes_on_and_one_that_is_none_is_as_if_it_were_not_there() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        // Both stay connected.
        let ([ann, _], devices, id) = apart(cluster).await?;
        let ben = &devices[1];
        // That the caller does not record it says nothing of us.
        let header = format!("00-{CALLER}-{CALLERS_SPAN}-00");
        let sent = post(cluster, &ann, id, "by REST", &[("traceparent", &header)]).await?;
        ben.sees(id, "by REST").await?;
        let spans = whole(&collector, "request", CALLER, id, sent.seq).await?;
        ensure!(one(&spans, "request")?.parent.as_deref() == Some(CALLERS_SPAN), "{spans:#?}");

        let wrong = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let request = "with-a-wrong-header";
        let sent = post(cluster, &ann, id, "again", &[("traceparent", wrong), ("x-request-id", request)]).await?;
        ben.sees(id, "again").await?;
        let trace = collector
            .until("the span of a request", |spans| {
                spans.iter().find(|span| span.field("request.id") == request).map(|span| span.trace.clone())
            })
            .await;
        let spans = whole(&collector, "request", &trace, id, sent.seq).await?;
        ensure!(one(&spans, "request")?.parent.is_none(), "{spans:#?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_has_a_link_to_the_trace_in_which_its_socket_was_opened() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        let ann = cluster.person("ann").await?;
        let (bearer, trace) = (format!("Bearer {}", ann.token), format!("00-{CALLER}-{CALLERS_SPAN}-01"));
        let headers = [("authorization", bearer.as_str()), ("traceparent", &trace)];
        let opened = Socket::open(cluster.gateways[0].url(), "/v1/ws", &headers).await?;
        let mut socket = opened.map_err(|status| anyhow::anyhow!("the upgrade was refused with {status}"))?;
        socket.send(&json!({"type": "ping", "ref": "1"})).await?;
        eventually("the answer to a ping", SOON, async || match socket.next().await {
            Frame::Json(frame) if frame["ref"] == "1" => Ok(()),
            other => Err(other),
        })
        .await;
        let command = collector
            .until("the span of a command", |spans| spans.iter().find(|span| span.name == "command").cloned())
            .await;
        ensure!(command.field("kind") == "ping" && command.trace != CALLER && command.parent.is_none(), "{command:?}");
        ensure!(command.links == [(CALLER.to_owned(), CALLERS_SPAN.to_owned())], "{command:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_links_to_the_changes_that_it_commits_and_they_to_it() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        let (_, [ann, _ben], id) = apart(cluster).await?;
        // Whether two are committed together is chance; of so many at once some are.
        let texts: Vec<_> = (0..60).map(|number| format!("message {number}")).collect();
        try_join_all(texts.iter().map(|text| ann.send(id, text))).await?;
        let spans = collector
            .until("the changes of all messages, and a batch of several", |spans| {
                let sent = spans.iter().filter(|span| span.name == "change" && span.field("kind") == "send").count();
                let together = spans.iter().any(|span| span.name == "commit" && span.links.len() > 1);
                let committed: usize = named(spans, "commit").iter().map(|commit| commit.links.len().max(1)).sum();
                // The group's own change, if it is one, is among the commits and the changes.
                let all = named(spans, "change").len();
                (sent == texts.len() && together && committed >= all).then(|| spans.to_vec())
            })
            .await;
        let by_id: HashMap<_, _> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
        for commit in named(&spans, "commit").into_iter().filter(|commit| commit.links.len() > 1) {
            ensure!(commit.parent.is_none() && commit.field("changes") == commit.links.len().to_string(), "{commit:?}");
            for (trace, link) in &commit.links {
                let change = by_id.get(link.as_str()).context("a link to a span that is not there")?;
                ensure!(change.name == "change" && change.trace == *trace && *trace != commit.trace, "{change:?}");
                ensure!(change.links == [(commit.trace.clone(), commit.id.clone())], "{change:?}, {commit:?}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_for_many_has_sixteen_of_their_sockets_in_its_trace() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        let node = &cluster.gateways[0];
        let ann = cluster.person("ann").await?;
        let others: Vec<_> = (0..19).map(|number| format!("person-{number}")).collect();
        let others = try_join_all(others.iter().map(|name| cluster.person(name))).await?;
        let id = ann.group("many", &others.iter().collect::<Vec<_>>()).await?;
        let device = ann.connect_to(node).await?;
        let devices = try_join_all(others.iter().map(|person| person.connect_to(node))).await?;
        device.reaches(id, 1).await?;
        for other in &devices {
            hears(&device, other, id).await;
        }
        hears(&devices[0], &device, id).await;
        device.send(id, "to all").await?;
        let (delivery, writes) = collector
            .until("the delivery to twenty, and its sockets", |spans| {
                let delivery = spans.iter().find(|span| span.name == "deliver" && span.field("connections") == "20")?;
                let writes = spans.iter().filter(|span| span.parent.as_ref() == Some(&delivery.id)).count();
                let sent = spans.iter().any(|span| span.trace == delivery.trace && span.name == "command");
                (writes >= 16 && sent).then(|| (delivery.clone(), writes))
            })
            .await;
        for other in &devices {
            other.sees(id, "to all").await?;
        }
        // What was written later is exported by the end of its node.
        cluster.gateways[0].terminate()?;
        cluster.gateways[0].ended(SOON).await?;
        let spans = collector.trace(&delivery.trace);
        ensure!(writes == 16 && named(&spans, "socket.write").len() == 16, "{spans:#?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_nothing_exports_nothing_whatever_callers_say() {
    let collector = Collector::start().await.expect("a collector listens");
    traced(collector.url(), "0", async |cluster| {
        let ([ann, _], [anns, bens], id) = apart(cluster).await?;
        for number in 0..20 {
            anns.send(id, &format!("command {number}")).await?;
            let header = format!("00-{CALLER}-{CALLERS_SPAN}-01");
            post(cluster, &ann, id, &format!("request {number}"), &[("traceparent", &header)]).await?;
        }
        bens.sees(id, "request 19").await?;
        for node in &cluster.gateways {
            ensure!(node.metric("starling_spans_dropped_total").await? == 0.0, "{}", node.url());
        }
        // What waits is exported at the end.
        for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
            node.terminate()?;
            node.ended(SOON).await?;
        }
        ensure!(collector.spans().is_empty(), "{:#?}", collector.spans());
        Ok(())
    })
    .await;
}

/// How long so many messages take from one node to the other, one after the other.
async fn messages(ann: &Client, ben: &Client, id: ConversationId, count: usize) -> Result<Duration> {
    let began = Instant::now();
    for number in 0..count {
        let text = format!("{number} at {began:?}");
        ann.send(id, &text).await?;
        ben.sees(id, &text).await?;
    }
    Ok(began.elapsed())
}

async fn loses_spans(node: &Node, reason: &str) {
    eventually("spans that are counted as dropped", SOON * 2, async || {
        let dropped = node.metric("starling_spans_dropped_total").await?;
        let exported = node.metric("starling_spans_exported_total").await?;
        ensure!(dropped > 0.0 && exported == 0.0, "{dropped} were dropped and {exported} exported, {reason}");
        anyhow::Ok(())
    })
    .await;
}

async fn is_of_no_use(manner: Manner) {
    let collector = Collector::that(manner).await.expect("a collector listens");
    traced(collector.url(), "1", async |cluster| {
        let (_, [ann, ben], id) = apart(cluster).await?;
        // Each of these exports takes 3 s where nobody answers: who waited for one would be seen here.
        let took = messages(&ann, &ben, id, 200).await?;
        ensure!(took < Duration::from_secs(20), "200 messages took {took:?}");
        for node in &cluster.gateways {
            loses_spans(node, &format!("{manner:?}")).await;
        }
        messages(&ann, &ben, id, 20).await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_delays_nothing_and_is_counted() {
    is_of_no_use(Manner::Silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_delays_nothing_and_is_counted() {
    is_of_no_use(Manner::Refuses).await;
}
