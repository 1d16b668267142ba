//! One node: a process in a folder of its own, started again on the addresses that it had.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a node may take until it is ready, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// One answer of its admin port.
const ANSWER: Duration = Duration::from_secs(2);

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    role: &'static str,
    binary: PathBuf,
    env: Vec<(String, String)>,
    folder: PathBuf,
    url: String,
    admin: String,
    child: Child,
    id: u32,
}

impl Node {
    /// Starts it; returns when it is ready.
    pub(super) async fn start(
        binary: &Path,
        name: &str,
        role: &'static str,
        env: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        let folder = folder.join(name.replace(' ', "-"));
        std::fs::create_dir_all(&folder)?;
        let any = "http://127.0.0.1:0";
        let (mut child, id) = launch(binary, role, env, &folder, [any, any])?;
        let [url, admin] = listening(&mut child, name, &folder).await?;
        let (name, binary, env) = (name.to_owned(), binary.to_owned(), env.to_vec());
        let node = Self { name, role, binary, env, folder, url, admin, child, id };
        node.ready().await?;
        Ok(node)
    }

    /// Starts it again on its addresses, after its end.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let addresses = [self.url.as_str(), self.admin.as_str()];
            let (child, id) = launch(&self.binary, self.role, &self.env, &self.folder, addresses)?;
            (self.child, self.id) = (child, id);
            match listening(&mut self.child, &self.name, &self.folder).await {
                Ok(_) => return self.ready().await,
                // Some connection may have been given the port meanwhile, for a moment.
                Err(_) if begin.elapsed() < START => sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn ready(&self) -> Result<()> {
        // What the environment says of proxies is not said of nodes on this machine.
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
        let begin = Instant::now();
        loop {
            let answer = http.get(format!("{}/readyz", self.admin)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            if begin.elapsed() > START {
                bail!("{} is not ready within {START:?}: {}", self.name, tail(&self.folder));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn has_sockets(&self) -> bool {
        self.role != "api"
    }

    /// A signal, to this process alone.
    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended and was waited for has no id any more.
        if self.child.id().is_some() {
            let _ = kill(Pid::from_raw(self.id as i32), signal);
        }
    }

    /// SIGTERM, and on in case it is frozen.
    pub(super) fn terminate(&mut self) {
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGTERM);
    }

    /// SIGKILL; returns when it is gone.
    pub(super) async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }
}

/// Runs a subcommand to its end.
pub(super) async fn run_to_end(binary: &Path, role: &str, env: &[(String, String)], folder: &Path) -> Result<()> {
    let folder = folder.join(role);
    std::fs::create_dir_all(&folder)?;
    let mut child = command(binary, role, env, &folder)?.spawn().with_context(|| binary.display().to_string())?;
    let status = timeout(START * 3, child.wait()).await.context("it does not end")??;
    if !status.success() {
        bail!("{}", tail(&folder));
    }
    Ok(())
}

fn command(binary: &Path, role: &str, env: &[(String, String)], folder: &Path) -> Result<Command> {
    let mut command = Command::new(binary);
    command.arg(role).current_dir(folder).stdin(Stdio::null());
    // Nothing of our own environment configures it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("STARLING_") || text == "DATABASE_URL" || text == "REDIS_URL" {
            command.env_remove(&name);
        }
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    command.stderr(log).stdout(Stdio::null()).kill_on_drop(true);
    // Ctrl-C at the terminal is ours to hear: nodes end after the last deliveries.
    command.process_group(0);
    Ok(command)
}

fn launch(
    binary: &Path,
    role: &str,
    env: &[(String, String)],
    folder: &Path,
    [url, admin]: [&str; 2],
) -> Result<(Child, u32)> {
    let bare = |url: &str| url.trim_start_matches("http://").to_owned();
    let mut command = command(binary, role, env, folder)?;
    command.env("STARLING_LISTEN", bare(url)).env("STARLING_ADMIN_LISTEN", bare(admin));
    command.env("STARLING_DATA_DIR", folder.join("data")).stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let id = child.id().context("it ended at once")?;
    Ok((child, id))
}

/// The two lines that a node prints when it listens.
async fn listening(child: &mut Child, name: &str, folder: &Path) -> Result<[String; 2]> {
    let out = child.stdout.take().context("no output")?;
    let mut lines = BufReader::new(out).lines();
    let mut told = [String::new(), String::new()];
    for (what, place) in ["listening on ", "admin on "].into_iter().zip(&mut told) {
        let line = timeout(START, lines.next_line()).await.ok().and_then(Result::ok).flatten();
        match line.as_deref().and_then(|line| line.strip_prefix(what)) {
            Some(url) => url.clone_into(place),
            None => bail!("{name} does not listen: {}", tail(folder)),
        }
    }
    // What it says later is nobody's, but it must be able to say it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(told)
}

/// The last line that it logged.
fn tail(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}
