//! A Redis Cluster: three masters, each with a replica that takes over when it is gone.
//!
//! Promises that a cluster that was started is whole, by the word of each of its six servers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};

use super::{Redis, SOON, connect};
use crate::process::free_port;

/// Hash slots of every cluster.
const SLOTS: u32 = 16_384;
/// Who does not answer the others for so long is taken for dead: longer than a server of a busy machine is held up.
const NODE_TIMEOUT: &str = "2000";
/// Longer than [`NODE_TIMEOUT`].
const MEET_AGAIN: Duration = Duration::from_secs(5);
/// Longer than a replica tries to carry out an order.
const ORDER_AGAIN: Duration = Duration::from_secs(7);
/// Far longer than gossip about a slot takes.
const TELL_AGAIN: Duration = Duration::from_secs(2);

/// A running cluster. Servers 0, 1 and 2 begin as masters, 3, 4 and 5 as their replicas, in this order.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<Redis>,
    password: Option<String>,
}

/// Which server has which slots, as one of them says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u32,
    last: u32,
    /// Port and id of the master.
    master: (u16, String),
}

impl RedisCluster {
    /// A cluster that is whole.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// The same whose servers want this password.
    pub async fn start_with_password(password: &str) -> Result<Self> {
        Self::start_with(Some(password)).await
    }

    async fn start_with(password: Option<&str>) -> Result<Self> {
        let (mut servers, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            let bus = free_port()?;
            let text = bus.to_string();
            let mut options =
                vec!["--cluster-enabled", "yes", "--cluster-port", &text, "--cluster-node-timeout", NODE_TIMEOUT];
            options.extend(["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]);
            if let Some(password) = password {
                options.extend(["--requirepass", password, "--masterauth", password]);
            }
            servers.push(Redis::start_with(&options).await?);
            buses.push(bus);
        }
        let cluster = Self { servers, password: password.map(Into::into) };
        let mut ids: Vec<String> = Vec::new();
        for place in 0..6u32 {
            let port = cluster.servers[place as usize].port();
            ids.push(cluster.command(port, &["MYID"]).await?);
            cluster.command::<()>(port, &["SET-CONFIG-EPOCH", &(place + 1).to_string()]).await?;
            if place < 3 {
                let (first, last) = (SLOTS * place / 3, SLOTS * (place + 1) / 3 - 1);
                cluster.command::<()>(port, &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await?;
            }
        }
        cluster.meet(&ids, &buses).await?;
        for place in 3..6 {
            let port = cluster.servers[place].port();
            cluster
                .until("a replica knows its master", async |cluster| {
                    cluster.command::<()>(port, &["REPLICATE", &ids[place - 3]]).await
                })
                .await?;
        }
        cluster.whole().await?;
        Ok(cluster)
    }

    /// Makes them known to each other. A server gives up on a handshake that takes longer than [`NODE_TIMEOUT`], so
    /// that they are introduced again until all know all.
    async fn meet(&self, ids: &[String], buses: &[u16]) -> Result<()> {
        let start = Instant::now();
        let mut introduced: Option<Instant> = None;
        loop {
            if introduced.is_none_or(|at| at.elapsed() > MEET_AGAIN) {
                for (server, bus) in self.servers.iter().zip(buses).skip(1) {
                    let (other, bus) = (server.port().to_string(), bus.to_string());
                    self.command::<()>(self.servers[0].port(), &["MEET", "127.0.0.1", &other, &bus]).await?;
                }
                introduced = Some(Instant::now());
            }
            let mut strangers = 0;
            for server in &self.servers {
                let known: String = self.command(server.port(), &["NODES"]).await?;
                strangers += ids.iter().filter(|id| !known.contains(*id)).count();
            }
            if strangers == 0 {
                return Ok(());
            }
            ensure!(start.elapsed() < SOON, "not within {SOON:?}: all know all; {strangers} times one does not");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// `redis+cluster://…`, with two of the six.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.servers[..2].iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+cluster://{}{}", self.user(), hosts.join(","))
    }

    /// One of the six.
    pub fn server(&mut self, place: usize) -> Result<&mut Redis> {
        self.servers.get_mut(place).context("there are six")
    }

    /// Kills one of the six.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        self.server(place)?.kill()
    }

    /// Starts it again; it knows what it was.
    pub async fn up(&mut self, place: usize) -> Result<()> {
        self.server(place)?.up().await
    }

    /// Waits until all that run agree that every slot is served, and that as many replicas as run are in sync.
    pub async fn whole(&self) -> Result<()> {
        self.until("the cluster is whole", async |cluster| {
            let mut first = None;
            for server in cluster.servers.iter().filter(|server| server.process.is_some()) {
                let info: String = cluster.command(server.port(), &["INFO"]).await?;
                ensure!(info.contains("cluster_state:ok"), "{}: {info}", server.port());
                ensure!(info.contains("cluster_known_nodes:6"), "{}: {info}", server.port());
                let slots = cluster.slots_of(server.port()).await?;
                ensure!(*first.get_or_insert_with(|| slots.clone()) == slots, "{first:?} and {slots:?}");
                let mut connection = cluster.connection(server.port()).await?;
                let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await?;
                ensure!(!info.contains("master_link_status:down"), "{}: {info}", server.port());
            }
            Ok(())
        })
        .await
    }

    /// Has a replica replace its master, which stays up and becomes a replica; waits until it did. A replica gives up
    /// when it is not elected within five seconds, so that it is told again.
    pub async fn fail_over(&self, master: usize, replica: usize) -> Result<()> {
        let (port, start) = (self.port(replica), Instant::now());
        loop {
            self.command::<()>(port, &["FAILOVER"]).await?;
            let ordered = Instant::now();
            while ordered.elapsed() < ORDER_AGAIN {
                let mut replica = self.connection(port).await?;
                let info: String = redis::cmd("INFO").arg("replication").query_async(&mut replica).await?;
                if info.contains("role:master") {
                    return self.failed_over(master).await;
                }
                ensure!(start.elapsed() < SOON, "not within {SOON:?}: the replica takes over; {info}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until no slot is served by this one any more: its replica has taken over.
    pub async fn failed_over(&self, place: usize) -> Result<()> {
        let port = self.servers[place].port();
        self.until("the replica has taken over", async |cluster| {
            for other in cluster.servers.iter().filter(|server| server.process.is_some() && server.port() != port) {
                let slots = cluster.slots_of(other.port()).await?;
                ensure!(slots.iter().all(|range| range.master.0 != port), "by {}: {slots:?}", other.port());
                let info: String = cluster.command(other.port(), &["INFO"]).await?;
                ensure!(info.contains("cluster_state:ok"), "{}: {info}", other.port());
            }
            Ok(())
        })
        .await
    }

    /// The place of the server that has this slot.
    pub async fn owner(&self, slot: u16) -> Result<usize> {
        let port = self.range(slot).await?.master.0;
        self.servers.iter().position(|server| server.port() == port).context("somebody else has the slot")
    }

    /// The slot of a key or a channel.
    pub async fn slot(&self, name: &str) -> Result<u16> {
        self.command(self.asked()?, &["KEYSLOT", name]).await
    }

    /// Moves a slot with its keys to another master, as resharding does.
    pub async fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let range = self.range(slot).await?;
        let (from, from_id) = range.master;
        let to = self.servers.get(to).context("there are six")?.port();
        if from == to {
            return Ok(());
        }
        let (to_id, text): (String, _) = (self.command(to, &["MYID"]).await?, slot.to_string());
        self.command::<()>(to, &["SETSLOT", &text, "IMPORTING", &from_id]).await?;
        self.command::<()>(from, &["SETSLOT", &text, "MIGRATING", &to_id]).await?;
        loop {
            let keys: Vec<Vec<u8>> = self.command(from, &["GETKEYSINSLOT", &text, "100"]).await?;
            if keys.is_empty() {
                break;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(to).arg("").arg(0).arg(5_000);
            if let Some(password) = &self.password {
                migrate.arg("AUTH").arg(password);
            }
            migrate.arg("KEYS").arg(keys);
            migrate.query_async::<()>(&mut self.connection(from).await?).await?;
        }
        // All masters are told: left to gossip, one that saw a later epoch may give the slot back to the old owner.
        let mut masters: Vec<u16> = self.slots_of(from).await?.iter().map(|range| range.master.0).collect();
        masters.retain(|port| ![to, from].contains(port));
        masters.dedup();
        let told: Vec<u16> = [to, from].into_iter().chain(masters).collect();
        for port in &told {
            self.command::<()>(*port, &["SETSLOT", &text, "NODE", &to_id]).await?;
        }
        self.agreed(slot, to, &to_id, &told).await
    }

    /// Waits until all see this owner of a slot. Two masters that took slots at the same moment may have done so in the
    /// same epoch; a third that hears of the older one last then keeps to it for good. A new epoch and being told again
    /// settles that, as `redis-cli --cluster fix` does.
    async fn agreed(&self, slot: u16, owner: u16, id: &str, told: &[u16]) -> Result<()> {
        let mut again = Instant::now() + TELL_AGAIN;
        self.until("all see the new owner of a slot", async |cluster| {
            let mut others = Vec::new();
            for server in cluster.servers.iter().filter(|server| server.process.is_some()) {
                let seen = cluster.range_by(server.port(), slot).await?.master.0;
                others.extend((seen != owner).then(|| format!("{} sees {seen}", server.port())));
            }
            if !others.is_empty() && again < Instant::now() {
                again = Instant::now() + TELL_AGAIN;
                cluster.command::<()>(owner, &["BUMPEPOCH"]).await?;
                for port in told {
                    cluster.command::<()>(*port, &["SETSLOT", &slot.to_string(), "NODE", id]).await?;
                }
            }
            ensure!(others.is_empty(), "slot {slot} is of {owner}: {}", others.join(", "));
            Ok(())
        })
        .await
    }

    /// A connection of the test's own to the server with this port.
    pub async fn connection(&self, port: u16) -> Result<MultiplexedConnection> {
        Ok(connect(&format!("redis://{}127.0.0.1:{port}", self.user())).await?)
    }

    /// The port of one of the six.
    pub fn port(&self, place: usize) -> u16 {
        self.servers[place].port()
    }

    fn user(&self) -> String {
        self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    /// The port of one that runs.
    fn asked(&self) -> Result<u16> {
        let running = self.servers.iter().find(|server| server.process.is_some());
        Ok(running.context("none of them runs")?.port())
    }

    async fn command<T: redis::FromRedisValue>(&self, port: u16, args: &[&str]) -> Result<T> {
        let mut connection = self.connection(port).await?;
        let answer = redis::cmd("CLUSTER").arg(args).query_async(&mut connection).await;
        answer.with_context(|| format!("CLUSTER {args:?} on {port}"))
    }

    async fn range(&self, slot: u16) -> Result<Range> {
        self.range_by(self.asked()?, slot).await
    }

    /// The range of a slot, as this server sees it.
    async fn range_by(&self, port: u16, slot: u16) -> Result<Range> {
        let slots = self.slots_of(port).await?;
        let slot = u32::from(slot);
        slots.into_iter().find(|range| (range.first..=range.last).contains(&slot)).context("nobody has the slot")
    }

    /// Ascending.
    async fn slots_of(&self, port: u16) -> Result<Vec<Range>> {
        type Master = (String, u16, String);
        let answer: Vec<Vec<redis::Value>> = self.command(port, &["SLOTS"]).await?;
        let mut ranges = Vec::new();
        for range in answer {
            let mut parts = range.into_iter();
            let mut part = || parts.next().context("a short answer");
            let (first, last) = (redis::from_redis_value(part()?)?, redis::from_redis_value(part()?)?);
            let redis::Value::Array(master) = part()? else { bail!("no master") };
            let master = master.into_iter().take(3).collect();
            let (_, port, id): Master = redis::from_redis_value(redis::Value::Array(master))?;
            ranges.push(Range { first, last, master: (port, id) });
        }
        ranges.sort_by_key(|range| range.first);
        ensure!(ranges.iter().map(|range| range.last + 1 - range.first).sum::<u32>() == SLOTS, "{ranges:?}");
        Ok(ranges)
    }

    async fn until(&self, what: &str, mut check: impl AsyncFnMut(&Self) -> Result<()>) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = check(self).await {
            ensure!(start.elapsed() < SOON, "not within {SOON:?}: {what}; {error:#}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
