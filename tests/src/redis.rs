//! A private Redis server on a free port, in a temporary folder, without persistence; a Sentinel set and a cluster of
//! them.
//!
//! Promises that it keeps its port over stop and start, and that it ends with the test.

mod cluster;
mod kind;
mod sentinels;

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) use self::kind::AnyRedis;
pub use self::{cluster::RedisCluster, kind::RedisKind, sentinels::RedisSentinels};
use crate::process::{Launch, Process, free_port, memory_dir};

/// How long a start, an orderly end, a failover or a move of a slot may take: more is a hang. A Sentinel that was held
/// up for two seconds stands aside for 30 s.
const SOON: Duration = Duration::from_secs(90);
/// How long an answer to the harness may take: more is a hang. A server may stop to sync a file, or for want of a CPU.
const ANSWER: Duration = Duration::from_secs(15);

/// A server that tests start, stop, kill and freeze.
pub struct Redis {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    process: Option<Process>,
}

impl Redis {
    /// A server that answers.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// A server that answers, with more command-line options, such as `["--requirepass", "x"]`.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let mut last = None;
        for _ in 0..5 {
            let mut server = Self::down_with(options)?;
            // Somebody else may have taken the port in between: then another one is tried.
            match server.up().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// A server with a port that is not started yet.
    pub fn down() -> Result<Self> {
        Self::down_with(&[])
    }

    fn down_with(options: &[&str]) -> Result<Self> {
        let options = options.iter().map(ToString::to_string).collect();
        Ok(Self { dir: memory_dir("redis")?, port: free_port()?, options, process: None })
    }

    /// Starts it, or starts it again, on the same port; returns when it answers.
    pub async fn up(&mut self) -> Result<()> {
        let launch = Launch::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.options);
        let process = self.process.insert(launch.start("redis", self.dir.path())?);
        let url = format!("redis://127.0.0.1:{}", self.port);
        let start = Instant::now();
        loop {
            process.check_running()?;
            let asked = async { redis::cmd("PING").query_async::<()>(&mut connect(&url).await?).await };
            match asked.await {
                Ok(()) => return Ok(()),
                // A refusal is an answer too: the server may want a password.
                Err(error) if error.code() == Some("NOAUTH") => return Ok(()),
                Err(_) if start.elapsed() < SOON => sleep(Duration::from_millis(10)).await,
                Err(error) => bail!("redis does not answer: {error}\n{}", process.log_tail()),
            }
        }
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in order.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(SOON).await?;
        }
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// It keeps its connections and answers nothing.
    pub fn freeze(&self) -> Result<()> {
        self.process.as_ref().context("redis is not running")?.signal(Signal::SIGSTOP)
    }

    /// Ends [`Redis::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.process.as_ref().context("redis is not running")?.signal(Signal::SIGCONT)
    }

    /// A connection of the test's own.
    pub async fn connection(&self) -> Result<MultiplexedConnection> {
        Ok(connect(&self.url()).await?)
    }

    /// How often the server ran a command (`subscribe`, `publish`, …) so far.
    pub async fn calls(&self, command: &str) -> Result<u64> {
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut self.connection().await?).await?;
        let line =
            info.lines().find_map(|line| line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(':'));
        let calls = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next());
        Ok(calls.map_or(Ok(0), str::parse)?)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A connection of the harness's own, with the patience of [`ANSWER`]; the library's is half a second.
async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}
