//! What scenarios share: the kinds of clusters they run on, people and their devices, and the one question that is
//! asked after everything: does everybody see exactly what is committed?

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::FutureExt;
use protocol::{Changes, ConversationId, ErrorCode, Message, Reply, Seq};
use serde_json::Value;
use starling_tests::{
    client::{Client, View, shared},
    cluster::{Cluster, ClusterConfig, Person},
    redis::RedisKind,
    secrets::first_told,
};
use tokio::{sync::Semaphore, time::timeout};

/// A scenario that takes longer is stuck.
const LIMIT: Duration = Duration::from_mins(3);

/// Clusters that run at once: each is half a dozen processes.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Variables of every node: scenarios send faster than people do, and sign in as people do.
const ENV: &[(&str, &str)] = &[
    ("STARLING_COMMAND_RATE", "0"),
    ("STARLING_GUEST_SIGN_IN", "true"),
    ("STARLING_DRAIN_WINDOW", "2s"),
    ("STARLING_ADMIN_TOKEN", ADMIN_TOKEN),
];

/// What operators show.
pub(crate) const ADMIN_TOKEN: &str = "token-of-the-operators";

/// Makes a test of each scenario for each kind of cluster: the kinds are functions of [`crate::world`].
macro_rules! scenarios {
    ($($kind:ident: [$($name:ident),+ $(,)?];)+) => {$(
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::world::$kind(super::$name).await;
                }
            )+
        }
    )+};
}
pub(crate) use scenarios;

/// What log lines a scenario may leave behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// Nothing is broken in it, so no node may say so.
    None,
    /// It breaks what nodes stand on.
    Some,
}

/// One node with nothing beside it.
pub(crate) async fn on_one_node(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::embedded_with(ENV), Errors::None, scenario).await;
}

/// Two gateways and an api node behind nginx.
pub(crate) async fn on_a_cluster(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(config()), Errors::None, scenario).await;
}

/// The same with two api nodes.
pub(crate) async fn on_a_cluster_of_two_apis(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(ClusterConfig { apis: 2, ..config() }), Errors::None, scenario).await;
}

/// A cluster whose nodes compare heads with the store every second: for what only that finds.
pub(crate) async fn on_a_cluster_that_compares_often(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = config();
    config.env.push(("STARLING_SWEEP_INTERVAL".into(), "1s".into()));
    run(Cluster::start_with(config), Errors::None, scenario).await;
}

/// Three gateways that believe a dead node for 8 s: longer than a busy machine keeps one from renewing its lease.
pub(crate) async fn on_a_cluster_of_three(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = ClusterConfig { gateways: 3, ..config() };
    config.env.push(("STARLING_PRESENCE_LEASE".into(), "8s".into()));
    run(Cluster::start_with(config), Errors::Some, scenario).await;
}

/// A cluster that compares heads every second, and whose database or bus the scenario tampers with: nodes say so.
pub(crate) async fn on_a_cluster_that_is_tampered_with(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = config();
    config.env.push(("STARLING_SWEEP_INTERVAL".into(), "1s".into()));
    run(Cluster::start_with(config), Errors::Some, scenario).await;
}

/// A cluster of two gateways and two api nodes that spread a drain over 5 s.
pub(crate) async fn on_a_cluster_that_drains_slowly(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = ClusterConfig { apis: 2, ..config() };
    config.env.retain(|(name, _)| name != "STARLING_DRAIN_WINDOW");
    config.env.push(("STARLING_DRAIN_WINDOW".into(), "5s".into()));
    config.env.push(("STARLING_USER_CONNECTIONS".into(), "0".into()));
    run(Cluster::start_with(config), Errors::None, scenario).await;
}

/// One gateway whose connections may have 64 KiB each waiting, and an api node.
pub(crate) async fn on_a_node_with_small_outboxes(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = ClusterConfig { gateways: 1, ..config() };
    for (name, value) in [("STARLING_OUTBOX_BYTES", "64KiB"), ("STARLING_USER_CONNECTIONS", "0")] {
        config.env.push((name.into(), value.into()));
    }
    run(Cluster::start_with(config), Errors::None, scenario).await;
}

/// A cluster whose nodes send this share of their traces there, five times a second.
pub(crate) async fn on_a_cluster_traced_to(
    endpoint: &str,
    share: &str,
    scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>,
) {
    let mut config = config();
    let traced = [("OTLP_ENDPOINT", endpoint), ("TRACE_SAMPLE", share)];
    config.env.extend(traced.map(|(name, value)| (format!("STARLING_{name}"), value.to_owned())));
    config.env.push(("OTEL_BSP_SCHEDULE_DELAY".into(), "200".into()));
    run(Cluster::start_with(config), Errors::None, scenario).await;
}

/// A cluster whose nodes log all that they can, and whose Redis and Postgres, one of its own, the scenario breaks.
pub(crate) async fn on_a_cluster_that_logs_everything(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = ClusterConfig { private_postgres: true, ..config() };
    let log = "trace";
    config.env.push(("STARLING_LOG".into(), log.into()));
    run(Cluster::start_with(config), Errors::Some, scenario).await;
}

/// Four gateways and two api nodes, to which the scenario does all that operators and misfortune do.
pub(crate) async fn on_four_gateways(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let mut config = ClusterConfig { gateways: 4, apis: 2, ..config() };
    config.env.push(("STARLING_SWEEP_INTERVAL".into(), "1s".into()));
    run(Cluster::start_with(config), Errors::Some, scenario).await;
}

/// A cluster whose Redis the scenario breaks.
pub(crate) async fn on_a_cluster_that_loses_redis(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(config()), Errors::Some, scenario).await;
}

/// A cluster over a Sentinel set, whose master the scenario kills.
pub(crate) async fn on_a_cluster_with_sentinels(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(ClusterConfig { redis: RedisKind::Sentinel, ..config() }), Errors::Some, scenario).await;
}

/// A cluster over a Redis Cluster, of which the scenario kills a master.
pub(crate) async fn on_a_redis_cluster(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(ClusterConfig { redis: RedisKind::Cluster, ..config() }), Errors::Some, scenario).await;
}

/// A cluster with a Postgres of its own, which the scenario breaks.
pub(crate) async fn on_a_cluster_that_loses_postgres(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    run(Cluster::start_with(ClusterConfig { private_postgres: true, ..config() }), Errors::Some, scenario).await;
}

fn config() -> ClusterConfig {
    let env = ENV.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ClusterConfig { env, ..ClusterConfig::default() }
}

async fn run(
    starting: impl Future<Output = Result<Cluster>>,
    errors: Errors,
    scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>,
) {
    let _place = PLACES.acquire().await;
    let mut cluster = starting.await.unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"));
    let scenario = AssertUnwindSafe(scenario(&mut cluster)).catch_unwind();
    let outcome = match timeout(LIMIT, scenario).await {
        Ok(Ok(result)) => result.and_then(|()| check_logs(&cluster, errors)),
        Ok(Err(panic)) => Err(anyhow::anyhow!("{}", words(panic.as_ref()))),
        Err(_) => Err(anyhow::anyhow!("the scenario did not end within {LIMIT:?}")),
    };
    if let Err(error) = outcome {
        panic!("{error:#}\n\n{}", cluster.logs());
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

/// No input and no outage makes a node panic, and nodes call for an operator only when there is something to mend.
fn check_logs(cluster: &Cluster, errors: Errors) -> Result<()> {
    for node in cluster.gateways.iter().chain(&cluster.apis) {
        for line in node.log().lines() {
            ensure!(!line.contains("panicked at"), "a node panicked: {line}");
            let calls = line.contains(" ERROR ") || line.contains(" WARN ");
            ensure!(errors == Errors::Some || !calls, "a node calls for an operator: {line}");
            check_secrets(cluster, line)?;
        }
    }
    Ok(())
}

/// A line of a log holds nothing that proves who somebody is.
fn check_secrets(cluster: &Cluster, line: &str) -> Result<()> {
    let is_secret = first_told(line).is_some() || line.contains(cluster.secret()) || line.contains(ADMIN_TOKEN);
    ensure!(!is_secret, "a secret is in a log: {line}");
    Ok(())
}

// ---- people and devices

/// New people of these names.
pub(crate) async fn people<const N: usize>(cluster: &Cluster, names: [&str; N]) -> Result<[Person; N]> {
    let mut people = Vec::new();
    for name in names {
        people.push(cluster.person(name).await?);
    }
    people.try_into().map_err(|_| anyhow::anyhow!("as many people as names"))
}

/// A device of somebody on each gateway.
pub(crate) async fn on_each_gateway(cluster: &Cluster, person: &Person) -> Result<Vec<Client>> {
    let mut devices = Vec::new();
    for node in &cluster.gateways {
        devices.push(person.connect_to(node).await?);
    }
    Ok(devices)
}

/// A device on each gateway and one more by way of the load balancer.
pub(crate) async fn devices(cluster: &Cluster, person: &Person) -> Result<Vec<Client>> {
    let mut devices = on_each_gateway(cluster, person).await?;
    devices.push(person.connect().await?);
    Ok(devices)
}

/// A device on the last gateway: on a cluster another node than the first, embedded the only one.
pub(crate) async fn on_the_last_gateway(cluster: &Cluster, person: &Person) -> Result<Client> {
    person.connect_to(cluster.gateways.last().context("no gateway")?).await
}

/// Says something over REST, with more fields than the content when there are some.
pub(crate) async fn say(person: &Person, id: ConversationId, content: &str, mut fields: Value) -> Result<Message> {
    fields["content"] = content.into();
    person.rest.post(&format!("conversations/{id}/messages"), fields).await?.ok()
}

/// Waits until every device hears this conversation live, and says something for that: what is not kept is heard by
/// those alone who follow it already. Returns the seq of what was said.
pub(crate) async fn all_hear<'a>(
    person: &Person,
    id: ConversationId,
    devices: impl IntoIterator<Item = &'a Client> + Clone,
) -> Result<Seq> {
    for device in devices.clone() {
        device.reaches(id, 1).await?;
    }
    let seq = say(person, id, "can you hear me?", serde_json::json!({})).await?.seq;
    for device in devices {
        device.reaches(id, seq).await?;
    }
    Ok(seq)
}

/// Sends a command that must be done.
pub(crate) async fn tell(device: &Client, command: &str, fields: Value) -> Result<Value> {
    done(device.command(command, fields).await?)
}

/// The data of all events of a type that a client got.
pub(crate) fn told(view: &View, kind: &str) -> Vec<Value> {
    view.events_of(kind).map(|event| event["data"].clone()).collect()
}

/// The data of a reply that says yes.
pub(crate) fn done(reply: Reply<Value>) -> Result<Value> {
    ensure!(reply.ok, "the command was refused: {:?}", reply.error);
    reply.data.context("a reply without data")
}

/// The code of a reply that says no.
pub(crate) fn refusal(reply: &Reply<Value>) -> Result<ErrorCode> {
    let error = reply.error.as_ref().filter(|_| !reply.ok);
    Ok(error.with_context(|| format!("the command was not refused: {:?}", reply.data))?.code)
}

// ---- what everybody must see

/// A conversation as the database has it: every message in its present state, by place, and the head.
pub(crate) async fn committed(person: &Person, id: ConversationId) -> Result<(BTreeMap<Seq, Message>, Seq)> {
    let mut messages = BTreeMap::new();
    let mut after = 0;
    loop {
        let path = format!("conversations/{id}/changes?after={after}&limit=500");
        let page: Changes = person.rest.get(&path).await?.ok()?;
        messages.extend(page.changes.into_iter().map(|change| (change.data.seq, shared(change.data))));
        after = page.to;
        if !page.more {
            return Ok((messages, after));
        }
    }
}

/// Waits until each client shows the conversation exactly as it is committed, and returns that. To be asked when
/// nobody writes any more, of clients that had the conversation from its beginning.
pub(crate) async fn agree<'a>(
    person: &Person,
    id: ConversationId,
    clients: impl IntoIterator<Item = &'a Client>,
) -> Result<BTreeMap<Seq, Message>> {
    let (truth, head) = committed(person, id).await?;
    for (number, client) in clients.into_iter().enumerate() {
        client.reaches(id, head).await.with_context(|| format!("client {number}"))?;
        let shows = client.until("the client shows what is committed", |view| {
            (view.timelines.get(&id)?.messages == truth).then_some(())
        });
        if let Err(error) = shows.await {
            let seen = client.view().timelines.remove(&id).unwrap_or_default().messages;
            let differs = truth.iter().find(|(seq, message)| seen.get(seq) != Some(message));
            let more = seen.iter().find(|(seq, _)| !truth.contains_key(seq));
            bail!("client {number}: {error:#}\nfirst that differs: {differs:?}\nfirst too many: {more:?}");
        }
        client.check().with_context(|| format!("client {number}: {}", client.summary()))?;
    }
    Ok(truth)
}

/// Fails unless the client got the conversation's changes in their order, none missing, none twice: what a client sees
/// that never lost its connection. Where a node saw a hole, since an event was late, they came as a page of the store's.
pub(crate) fn ensure_each_once(client: &Client, id: ConversationId) -> Result<()> {
    let view = client.view();
    let timeline = view.timelines.get(&id).context("the client does not know the conversation")?;
    let seqs: Vec<_> = timeline.applied.iter().map(|(seq, ..)| *seq).collect();
    let follows = |before: Seq, seq: Seq| {
        let mut pages = timeline.pages.iter();
        seq == before + 1 || seq > before && pages.any(|(from, to)| *from <= before && *to + 1 >= seq)
    };
    let pages = &timeline.pages;
    ensure!(seqs.windows(2).all(|pair| follows(pair[0], pair[1])), "not each once: {seqs:?}, pages {pages:?}");
    ensure!(view.repeats == 0, "{} durable events came twice; {}", view.repeats, client.summary());
    Ok(())
}

/// The texts that are there, in their order.
pub(crate) fn texts(messages: &BTreeMap<Seq, Message>) -> Vec<&str> {
    let texts = messages.values().filter(|message| message.system.is_none() && message.deleted_at.is_none());
    texts.map(|message| message.content.as_str()).collect()
}
