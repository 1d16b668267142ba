//! A Sentinel set: one master, one replica, three Sentinels that promote the replica when the master is gone.
//!
//! Promises that a set that was started is whole: the replica is in sync and the Sentinels know each other. A killed
//! master keeps its port and comes back, when it is told to, as if it had never heard of a failover.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{Redis, SOON, connect};
use crate::process::{Launch, Process, free_port, memory_dir};

/// What the set is called.
const MASTER: &str = "main";
/// A master that is silent for so long is replaced: longer than a server of a busy machine is held up.
const DOWN_AFTER: Duration = Duration::from_millis(1_500);

/// A running set.
#[derive(Debug)]
pub struct RedisSentinels {
    data: Vec<Redis>,
    sentinels: Vec<Sentinel>,
    password: Option<String>,
}

#[derive(Debug)]
struct Sentinel {
    port: u16,
    process: Process,
    /// Holds its configuration, which it rewrites.
    _dir: TempDir,
}

impl RedisSentinels {
    /// A set that is whole.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// The same whose servers, and whose Sentinels, want this password.
    pub async fn start_with_password(password: &str) -> Result<Self> {
        Self::start_with(Some(password)).await
    }

    async fn start_with(password: Option<&str>) -> Result<Self> {
        let quick = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10"];
        let mut options = quick.to_vec();
        if let Some(password) = password {
            options.extend(["--requirepass", password, "--masterauth", password]);
        }
        let master = Redis::start_with(&options).await?;
        let port = master.port().to_string();
        let replica = ["--replicaof", "127.0.0.1", &port];
        let replica = Redis::start_with(&[&options[..], &replica[..]].concat()).await?;
        let mut set = Self { data: vec![master, replica], sentinels: Vec::new(), password: password.map(Into::into) };
        set.until("the replica is in sync", async |set| {
            let info = set.info(1, "replication").await?;
            ensure!(info.contains("master_link_status:up"), "{info}");
            Ok(())
        })
        .await?;
        for _ in 0..3 {
            let sentinel = Sentinel::start(set.data[0].port(), password)?;
            set.sentinels.push(sentinel);
        }
        set.until("the Sentinels know each other and the replica", async |set| {
            for sentinel in &set.sentinels {
                let said = set.said(sentinel).await?;
                let field = |name: &str| said.get(name).map(String::as_str);
                let whole = (field("num-other-sentinels"), field("num-slaves"), field("flags"));
                ensure!(whole == (Some("2"), Some("1"), Some("master")), "{said:?}");
            }
            Ok(())
        })
        .await?;
        Ok(set)
    }

    /// `redis+sentinel://…/main`, with all three, and the password.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        let user = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        let theirs = self.password.as_ref().map(|password| format!("?sentinel_password={password}"));
        format!("redis+sentinel://{user}{}/{MASTER}{}", hosts.join(","), theirs.unwrap_or_default())
    }

    /// The port of the master that most of the Sentinels name.
    pub async fn master_port(&self) -> Result<u16> {
        let mut votes: HashMap<u16, usize> = HashMap::new();
        for sentinel in &self.sentinels {
            if let Ok(said) = self.said(sentinel).await {
                *votes.entry(said.get("port").context("no port")?.parse()?).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(port, _)| port).context("no Sentinel answers")
    }

    /// The server that is the master now, up or down.
    pub async fn master(&mut self) -> Result<&mut Redis> {
        let port = self.master_port().await?;
        self.server(port)
    }

    /// The data server with this port.
    pub fn server(&mut self, port: u16) -> Result<&mut Redis> {
        self.data.iter_mut().find(|server| server.port() == port).context("no server of the set has this port")
    }

    /// Kills the master; returns its port. The Sentinels need a few seconds to promote the other.
    pub async fn kill_master(&mut self) -> Result<u16> {
        let master = self.master().await?;
        master.kill()?;
        Ok(master.port())
    }

    /// Kills one of the three Sentinels.
    pub fn kill_sentinel(&mut self, place: usize) -> Result<()> {
        self.sentinels.get_mut(place).context("there are three")?.process.kill()
    }

    /// Has a Sentinel replace the master, which stays up and becomes a replica.
    pub async fn order_failover(&self) -> Result<()> {
        let sentinel = self.sentinels.first().context("there are three")?;
        // It refuses while it has no fresh word of the replica.
        self.until("the Sentinel takes the order", async |set| {
            let mut connection = set.connect(sentinel.port).await?;
            Ok(redis::cmd("SENTINEL").arg(&["FAILOVER", MASTER]).query_async(&mut connection).await?)
        })
        .await
    }

    /// One of the three Sentinels answers nothing any more.
    pub fn freeze_sentinel(&self, place: usize) -> Result<()> {
        self.sentinels.get(place).context("there are three")?.process.signal(Signal::SIGSTOP)
    }

    /// Waits until another one than `before` is the master, by its own word too; returns its port.
    pub async fn failed_over(&self, before: u16) -> Result<u16> {
        let mut now = before;
        self.until("another server is the master", async |set| {
            now = set.master_port().await?;
            ensure!(now != before, "still {before}");
            ensure!(set.role(now).await? == "master", "{now} does not know it yet");
            Ok(())
        })
        .await?;
        Ok(now)
    }

    /// What the server with this port takes itself for: `master` or `slave`.
    pub async fn role(&self, port: u16) -> Result<String> {
        let place = self.data.iter().position(|server| server.port() == port).context("not of this set")?;
        let info = self.info(place, "replication").await?;
        let role = info.lines().find_map(|line| line.strip_prefix("role:"));
        Ok(role.context("no role")?.trim().to_owned())
    }

    /// A connection of the test's own to the data server with this port.
    pub async fn connection(&self, port: u16) -> Result<MultiplexedConnection> {
        self.connect(port).await
    }

    async fn info(&self, place: usize, section: &str) -> Result<String> {
        let mut connection = self.connect(self.data[place].port()).await?;
        Ok(redis::cmd("INFO").arg(section).query_async(&mut connection).await?)
    }

    async fn said(&self, sentinel: &Sentinel) -> Result<HashMap<String, String>> {
        let mut connection = self.connect(sentinel.port).await?;
        Ok(redis::cmd("SENTINEL").arg(&["MASTER", MASTER]).query_async(&mut connection).await?)
    }

    async fn connect(&self, port: u16) -> Result<MultiplexedConnection> {
        let user = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        Ok(connect(&format!("redis://{user}127.0.0.1:{port}")).await?)
    }

    async fn until(&self, what: &str, mut check: impl AsyncFnMut(&Self) -> Result<()>) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = check(self).await {
            if start.elapsed() > SOON {
                let logs: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.process.log_tail()).collect();
                bail!("not within {SOON:?}: {what}; {error:#}\n{}", logs.join("\n"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Sentinel {
    fn start(master: u16, password: Option<&str>) -> Result<Self> {
        let (dir, port) = (memory_dir("sentinel")?, free_port()?);
        let file = dir.path().join("sentinel.conf");
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".into(),
            format!("dir {}", dir.path().display()),
            format!("sentinel monitor {MASTER} 127.0.0.1 {master} 2"),
            format!("sentinel down-after-milliseconds {MASTER} {}", DOWN_AFTER.as_millis()),
            // Within this it succeeds or is given up; the next attempt comes after twice the time.
            format!("sentinel failover-timeout {MASTER} 10000"),
        ];
        if let Some(password) = password {
            lines.push(format!("sentinel auth-pass {MASTER} {password}"));
            lines.push(format!("requirepass {password}"));
        }
        std::fs::write(&file, lines.join("\n") + "\n")?;
        let process = Launch::new("redis-server").arg(&file).arg("--sentinel").start("sentinel", dir.path())?;
        Ok(Self { port, process, _dir: dir })
    }
}
