//! Processes of the real `starling` binary, each on ports that it picks itself.
//!
//! Promises that a started node accepts connections, that nothing of our own environment configures it, and that
//! it ends with the test. The binary must be built already: `make test` does, and a clear error says so.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::process::{Launch, Process, temp_dir};

/// How long a node may take until it listens, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sockets.
    Gateway,
    /// REST and the web client.
    Api,
    /// Both.
    Serve,
}

impl Role {
    fn subcommand(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Api => "api",
            Self::Serve => "serve",
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    role: Role,
    url: String,
    admin: String,
    env: Vec<(String, String)>,
    process: Process,
    dir: TempDir,
}

impl Node {
    /// Starts a node with these variables beside those that pick its ports; returns when it listens.
    pub async fn start<'a>(role: Role, env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let dir = temp_dir(role.subcommand())?;
        let env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut process = launch(role, "127.0.0.1:0", &dir, &env)?;
        let (url, admin) = listening(&mut process).await?;
        Ok(Self { role, url, admin, env, process, dir })
    }

    /// Starts it again after its end, with the same variables, folder and public address; returns when it listens.
    pub async fn restart(&mut self) -> Result<()> {
        ensure!(self.process.ended()?.is_some(), "a node that runs cannot be started again");
        let address = self.address().to_owned();
        let start = Instant::now();
        loop {
            self.process = launch(self.role, &address, &self.dir, &self.env)?;
            match listening(&mut self.process).await {
                Ok((url, admin)) => {
                    (self.url, self.admin) = (url, admin);
                    return Ok(());
                }
                // Some connection may have been given the port meanwhile, for a moment.
                Err(error) if format!("{error:#}").contains("in use by another") && start.elapsed() < START => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// From its next start on a variable has this value; empty: as if nobody had set it.
    pub fn configure(&mut self, name: &str, value: &str) {
        self.env.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// `http://ADDRESS:PORT` of its public listener.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `ADDRESS:PORT` of its public listener.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// `http://ADDRESS:PORT` of health and metrics.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its folder: data, `*.out` and `*.log`.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM; [`Node::ended`] waits for what comes of it.
    pub fn terminate(&self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// How it ended, within the deadline.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline).await
    }

    /// Fails, with the end of its log, when it does not run any more.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.check_running()
    }

    /// It keeps its sockets and does nothing.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Ends [`Node::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Status and body of a path of its admin listener, such as `/readyz`.
    pub async fn admin_get(&self, path: &str) -> Result<(u16, String)> {
        let answer = reqwest::get(format!("{}{path}", self.admin)).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Waits until `/readyz` says that it can do its work.
    pub async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            self.process.check_running()?;
            let last = match self.admin_get("/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(error) => format!("{error:#}"),
            };
            ensure!(start.elapsed() < START, "not ready within {START:?}: {last}\n{}", self.process.log_tail());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sum of a metric over all of its labels; 0 when it is not there.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(&self.admin, name).await
    }
}

/// [`Node::metric`] of the node with this admin URL.
pub async fn metric(admin: &str, name: &str) -> Result<f64> {
    let text = reqwest::get(format!("{admin}/metrics")).await?.text().await?;
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('{')?.rsplit_once("} ").map(|(_, v)| v))?;
        value.trim().parse::<f64>().ok()
    });
    Ok(values.sum())
}

/// Runs a subcommand of the binary to its end: exit code, stdout, stderr.
pub async fn run<'a>(
    args: &[&str],
    env: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(Option<i32>, String, String)> {
    let dir = temp_dir("run")?;
    let launch = env.into_iter().fold(starling()?.args(args), |launch, (name, value)| launch.env(name, value));
    let mut process = launch.dir(dir.path()).start("run", dir.path())?;
    let status = process.wait(START).await?;
    Ok((status.code(), process.output(), process.log()))
}

fn starling() -> Result<Launch> {
    let ours = |name: &str| !name.starts_with("STARLING_") && !matches!(name, "DATABASE_URL" | "REDIS_URL");
    Ok(Launch::new(binary()?).keep_env(ours))
}

/// The binary: `STARLING_BIN`, else the one that was built beside this test.
pub fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STARLING_BIN") {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe()?;
    let target = test.parent().and_then(|deps| deps.parent()).context("the test is in no target folder")?;
    let binary = target.join("starling");
    if !binary.is_file() {
        bail!("{} is not built: run `make test`, or `cargo build -p server --bin starling` first", binary.display());
    }
    Ok(binary)
}

fn launch(role: Role, listen: &str, dir: &TempDir, env: &[(String, String)]) -> Result<Process> {
    let launch = starling()?
        .arg(role.subcommand())
        .env("STARLING_LISTEN", listen)
        .env("STARLING_ADMIN_LISTEN", "127.0.0.1:0")
        .env("STARLING_DATA_DIR", dir.path().join("data"))
        .dir(dir.path());
    let launch = env.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    launch.start(role.subcommand(), dir.path())
}

/// Reads the two lines that a node prints when it listens.
async fn listening(process: &mut Process) -> Result<(String, String)> {
    let start = Instant::now();
    loop {
        let output = process.output();
        let mut lines = output.lines();
        let said = |line: Option<&str>, what: &str| line.and_then(|line| line.strip_prefix(what)).map(str::to_owned);
        let public = said(lines.next(), "listening on ");
        let admin = said(lines.next(), "admin on ");
        if let (Some(public), Some(admin), true) = (public, admin, output.ends_with('\n')) {
            return Ok((public, admin));
        }
        process.check_running()?;
        if start.elapsed() > START {
            bail!("no `listening on` and `admin on` within {START:?}:\n{}", process.log_tail());
        }
        sleep(Duration::from_millis(5)).await;
    }
}
