//! What the scenarios share: clusters whose nodes stand behind fault proxies, people who talk all the while, and the
//! clock that recovery is measured with.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::{FutureExt, future::try_join_all};
use protocol::{ConversationId, Message};
use serde_json::json;
use starling_tests::{
    client::{Client, SOON},
    cluster::{Cluster, ClusterConfig, Person},
    node::Node,
    process::eventually,
    proxy::{Faults, Proxy},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    logs::Logs,
    world::{agree, all_hear, committed, on_each_gateway, people, texts},
};

/// A scenario that takes longer is stuck.
const LIMIT: Duration = Duration::from_mins(3);
/// Clusters that run at once: each is half a dozen processes, and times are measured.
static PLACES: Semaphore = Semaphore::const_new(2);
/// Between two messages of one talker.
const PACE: Duration = Duration::from_millis(25);

/// Two gateways and an api node; each reaches Redis and Postgres through proxies of its own.
pub(crate) async fn on_a_cluster(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    on_a_cluster_with(ClusterConfig::default(), scenario).await;
}

/// The same with a Postgres that nobody else uses.
pub(crate) async fn on_a_cluster_with_its_own_postgres(scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    on_a_cluster_with(ClusterConfig { private_postgres: true, ..ClusterConfig::default() }, scenario).await;
}

/// The same with more settings.
pub(crate) async fn on_a_cluster_with(
    mut config: ClusterConfig,
    scenario: impl AsyncFnOnce(&mut Cluster) -> Result<()>,
) {
    let _place = PLACES.acquire().await;
    config.redis_proxy = true;
    config.postgres_proxy = true;
    for (name, value) in [("STARLING_COMMAND_RATE", "0"), ("STARLING_LOG_FORMAT", "json")] {
        config.env.push((name.into(), value.into()));
    }
    let mut cluster =
        Cluster::start_with(config).await.unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"));
    let scenario = AssertUnwindSafe(scenario(&mut cluster)).catch_unwind();
    let outcome = match timeout(LIMIT, scenario).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(anyhow::anyhow!("{}", words.unwrap_or("a panic without words")))
        }
        Err(_) => Err(anyhow::anyhow!("the scenario did not end within {LIMIT:?}")),
    };
    if let Err(error) = outcome {
        panic!("{error:#}\n\n{}", cluster.logs());
    }
}

/// All nodes, gateways first.
pub(crate) fn nodes(cluster: &Cluster) -> impl Iterator<Item = &Node> {
    cluster.gateways.iter().chain(&cluster.apis)
}

/// Waits until the readiness of a node has this status and says this word.
pub(crate) async fn says(node: &Node, status: u16, word: &str) {
    let what = format!("readiness of {:?} {} says {status} {word}", node.role(), node.url());
    eventually(&what, SOON, async || match node.admin_get("/readyz").await {
        Ok((seen, body)) if seen == status && body.contains(&format!("\"{word}\"")) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// The same of all nodes at once.
pub(crate) async fn all_say(cluster: &Cluster, status: u16, word: &str) {
    futures_util::future::join_all(nodes(cluster).map(|node| says(node, status, word))).await;
}

/// Waits until a gateway's gauge says whether events may be late.
pub(crate) async fn degraded(node: &Node, is: bool) {
    let what = format!("`starling_degraded` of {} is {is}", node.url());
    let wanted = if is { 1.0 } else { 0.0 };
    eventually(&what, SOON, async || match node.metric("starling_degraded").await {
        Ok(value) if (value - wanted).abs() < 0.5 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// What the proxies before one service suffer during an outage, on all nodes.
#[derive(Clone, Copy)]
pub(crate) struct ByProxies {
    /// Those of which service.
    pub(crate) of: fn(&Cluster, &Node) -> Result<Arc<Proxy>>,
    pub(crate) faults: Faults,
}

impl ByProxies {
    fn all(self, cluster: &Cluster) -> Result<Vec<Arc<Proxy>>> {
        nodes(cluster).map(|node| (self.of)(cluster, node)).collect()
    }

    /// The outage begins.
    pub(crate) fn away(self, cluster: &Cluster) -> Result<()> {
        self.all(cluster)?.iter().for_each(|proxy| proxy.set_faults(self.faults));
        Ok(())
    }

    /// It ends.
    pub(crate) fn back(self, cluster: &Cluster) -> Result<()> {
        self.all(cluster)?.iter().try_for_each(|proxy| proxy.heal())
    }
}

/// People who talk while something is away for all nodes, and what these log from its beginning.
pub(crate) struct Outage {
    pub(crate) stage: Stage,
    pub(crate) talk: Talk,
    pub(crate) logs: Logs,
}

impl Outage {
    /// Has people talk, and then it goes away.
    pub(crate) async fn begin(
        cluster: &mut Cluster,
        name: &str,
        away: impl AsyncFn(&mut Cluster) -> Result<()>,
    ) -> Result<Self> {
        println!("{name}:");
        let stage = Stage::set(cluster).await?;
        let logs = Logs::from_now(cluster);
        let talk = stage.talk();
        talk.goes_on(10).await?;
        away(cluster).await?;
        Ok(Self { stage, talk, logs })
    }
}

/// Two people with a device on each gateway each, in one conversation.
pub(crate) struct Stage {
    pub(crate) ann: Person,
    pub(crate) ben: Person,
    /// Ann's on the first gateway, hers on the second, then ben's.
    pub(crate) devices: Vec<Arc<Client>>,
    pub(crate) id: ConversationId,
}

impl Stage {
    pub(crate) async fn set(cluster: &Cluster) -> Result<Self> {
        let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
        let mut devices = on_each_gateway(cluster, &ann).await?;
        devices.extend(on_each_gateway(cluster, &ben).await?);
        let id = ann.group("plans", &[&ben]).await?;
        for device in &devices {
            device.reaches(id, 1).await?;
        }
        // Not before every device hears it live: one that is cut off while it begins to follow has to come back.
        all_hear(&ann, id, &devices).await?;
        Ok(Self { ann, ben, devices: devices.into_iter().map(Arc::new).collect(), id })
    }

    /// Everybody talks, over every socket and by REST, until [`Talk::end`].
    pub(crate) fn talk(&self) -> Talk {
        let (stop, stopped) = watch::channel(false);
        let mut talk = Talk { stop, acknowledged: Vec::new(), talkers: JoinSet::new() };
        for (who, device) in self.devices.iter().enumerate() {
            let (device, id, stopped, count) = (Arc::clone(device), self.id, stopped.clone(), talk.count());
            talk.talkers.spawn(async move {
                let mut sent = Vec::new();
                while !*stopped.borrow() {
                    let began = Instant::now();
                    let message = device.send(id, &format!("{} of {who}", sent.len())).await?;
                    sent.push(Sent { message, took: began.elapsed() });
                    count.fetch_add(1, Relaxed);
                    sleep(PACE).await;
                }
                Ok(sent)
            });
        }
        let (ann, id, count, talk_id) = (self.ann.clone(), self.id, talk.count(), uuid::Uuid::new_v4());
        talk.talkers.spawn(async move {
            let mut sent = Vec::new();
            while !*stopped.borrow() {
                let began = Instant::now();
                // New words in each talk: they are the `client_id` too.
                let message = post(&ann, id, &format!("{} by rest {talk_id}", sent.len())).await?;
                sent.push(Sent { message, took: began.elapsed() });
                count.fetch_add(1, Relaxed);
                sleep(PACE).await;
            }
            Ok(sent)
        });
        talk
    }

    /// The seq of the last change that is committed now.
    pub(crate) async fn head(&self) -> Result<u64> {
        Ok(committed(&self.ann, self.id).await?.1)
    }

    /// Waits until every device has all that is committed now, and says how long that took.
    pub(crate) async fn catches_up(&self) -> Result<Duration> {
        let start = Instant::now();
        let head = self.head().await?;
        try_join_all(self.devices.iter().map(|device| device.reaches(self.id, head))).await?;
        Ok(start.elapsed())
    }

    /// Ends the talk. Fails unless what was acknowledged is what is there, and all that is there, on every device,
    /// or when an acknowledgement took longer than `prompt`.
    pub(crate) async fn whole(&self, talk: Talk, prompt: Duration) -> Result<()> {
        self.whole_with(talk, 0, prompt).await.map(drop)
    }

    /// The same when so many more messages were acknowledged to somebody else, or earlier. Returns how many there are.
    pub(crate) async fn whole_with(&self, talk: Talk, more: usize, prompt: Duration) -> Result<usize> {
        let sent = talk.end().await?;

        let truth = agree(&self.ben, self.id, self.devices.iter().map(AsRef::as_ref)).await?;
        for Sent { message, took } in &sent {
            ensure!(*took <= prompt, "{:?} was acknowledged after {took:?}", message.content);
            ensure!(truth.get(&message.seq) == Some(message), "acknowledged and not there: {message:?}");
        }
        let there = texts(&truth).len();
        // With the question that the stage was set with.
        ensure!(there == sent.len() + more + 1, "{} + {more} + 1 acknowledged, {there} there", sent.len());
        Ok(there - 1)
    }

    /// Fails unless every socket stayed all the time and got nothing twice.
    pub(crate) fn ensure_nobody_noticed(&self) -> Result<()> {
        for device in &self.devices {
            ensure!(device.connections() == 1, "a socket did not stay: {}", device.summary());
            ensure!(device.view().repeats == 0, "something came twice: {}", device.summary());
        }
        Ok(())
    }
}

/// Sends something new from each device, without waiting between tries, until all are acknowledged. Returns how many
/// that were.
pub(crate) async fn fresh_sends_succeed(stage: &Stage) -> Result<usize> {
    let sends = stage.devices.iter().enumerate().map(async |(number, device)| {
        let text = format!("fresh {number} {}", uuid::Uuid::new_v4());
        let send = json!({"conversation_id": stage.id, "content": text, "client_id": text});
        let start = Instant::now();
        loop {
            let reply = device.command("message.send", send.clone()).await?;
            if reply.ok {
                return anyhow::Ok(());
            }
            ensure!(start.elapsed() < SOON, "a send is still refused: {reply:?}");
            sleep(Duration::from_millis(5)).await;
        }
    });
    Ok(try_join_all(sends).await?.len())
}

/// Says something by REST until it is acknowledged, always under the same `client_id`.
pub(crate) async fn post(person: &Person, id: ConversationId, text: &str) -> Result<Message> {
    let body = json!({"content": text, "client_id": text});
    let start = Instant::now();
    loop {
        let answer = person.rest.post(&format!("conversations/{id}/messages"), body.clone()).await?;
        if !matches!(answer.status.as_u16(), 429 | 502..=504) || start.elapsed() > SOON {
            return answer.ok();
        }
        ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// An acknowledged message, and how long the sender waited for that.
pub(crate) struct Sent {
    message: Message,
    took: Duration,
}

/// People who talk.
pub(crate) struct Talk {
    stop: watch::Sender<bool>,
    /// Of each talker.
    acknowledged: Vec<Arc<AtomicUsize>>,
    talkers: JoinSet<Result<Vec<Sent>>>,
}

impl Talk {
    fn count(&mut self) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        self.acknowledged.push(Arc::clone(&count));
        count
    }

    /// Waits until each talker got so many more acknowledgements, and says how long that took.
    pub(crate) async fn goes_on(&self, more: usize) -> Result<Duration> {
        let start = Instant::now();
        let goals: Vec<_> = self.acknowledged.iter().map(|count| count.load(Relaxed) + more).collect();
        loop {
            let counts: Vec<_> = self.acknowledged.iter().map(|count| count.load(Relaxed)).collect();
            if counts.iter().zip(&goals).all(|(count, goal)| count >= goal) {
                return Ok(start.elapsed());
            }
            ensure!(start.elapsed() < SOON, "the talk does not go on: {counts:?} of {goals:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends it; prints the longest wait for an acknowledgement and returns all that was acknowledged.
    pub(crate) async fn end(mut self) -> Result<Vec<Sent>> {
        self.stop.send_replace(true);
        let mut sent = Vec::new();
        while let Some(talker) = timeout(SOON, self.talkers.join_next()).await.context("a talker does not end")? {
            sent.extend(talker??);
        }
        let longest = sent.iter().map(|sent| sent.took).max().unwrap_or_default();
        println!("  {} sends, the slowest acknowledged after {}", sent.len(), seconds(longest));
        Ok(sent)
    }
}

/// For printing.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Prints a recovery time beside its target, and fails beyond five times the target: the machine is shared.
pub(crate) fn recovered(what: &str, took: Duration, target: Duration) -> Result<()> {
    println!("  {what}: {} (target {})", seconds(took), seconds(target));
    ensure!(took <= target * 5, "{what}: {took:?}, and the target is {target:?}");
    Ok(())
}
