//! Child processes of tests: started in a process group of their own, logged to a file, ended by their id.
//!
//! Promises that nothing outlives the tests: a child ends when its [`Process`] is dropped, and, where `setpriv`
//! is installed, also when the test process itself is killed. Does not restart anything.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions},
    net::TcpListener,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        signal::{Signal, killpg},
        statvfs::statvfs,
    },
    unistd::Pid,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::secrets;

/// Less free bytes than this are left to the others who keep things in memory: a container may have 64 MiB in all.
const MEMORY_ROOM: u128 = 32 << 20;

/// What to start, and how.
#[derive(Debug)]
pub struct Launch {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    keep: fn(&str) -> bool,
    dir: Option<PathBuf>,
    user: Option<String>,
    parent_death: &'static str,
}

impl Launch {
    /// This program, found by `PATH` unless it is a path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().into(),
            args: Vec::new(),
            envs: Vec::new(),
            keep: |_| true,
            dir: None,
            user: None,
            parent_death: "KILL",
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// A variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Of our own environment the child gets only the variables that pass.
    #[must_use]
    pub fn keep_env(mut self, keep: fn(&str) -> bool) -> Self {
        self.keep = keep;
        self
    }

    /// Where it starts.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Who it runs as; needs `setpriv`, and that we are root.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// What it gets when the test process dies, instead of `KILL`: for programs that must end their own children.
    #[must_use]
    pub fn on_parent_death(mut self, signal: &'static str) -> Self {
        self.parent_death = signal;
        self
    }

    /// Starts it. Output goes to `{name}.out` and `{name}.log` (stderr) in `logs`, appended.
    pub fn start(self, name: &str, logs: &Path) -> Result<Process> {
        let (out, log) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.log")));
        let out_from = std::fs::metadata(&out).map_or(0, |meta| meta.len());
        let program = self.program.clone();
        let command = self.command(&out, &log)?;
        let child = spawn(command).with_context(|| format!("cannot start {}", program.display()))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        Ok(Process { name: name.to_owned(), child, group, out, out_from, log, ended: None })
    }

    fn command(self, out: &Path, log: &Path) -> Result<Command> {
        let mut command = if setpriv() {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", self.parent_death]);
            if let Some(user) = &self.user {
                command.args(["--reuid", user, "--regid", user, "--init-groups"]);
            }
            command.arg("--").arg(&self.program);
            command
        } else if self.user.is_some() {
            bail!("starting a program as another user needs `setpriv` (package util-linux)");
        } else {
            Command::new(&self.program)
        };
        let append = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let ours = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(self.keep));
        let ours: Vec<_> = ours.collect();
        command
            .args(&self.args)
            .env_clear()
            .envs(ours)
            .envs(self.envs)
            .stdin(Stdio::null())
            .stdout(append(out).with_context(|| format!("cannot write {}", out.display()))?)
            .stderr(append(log).with_context(|| format!("cannot write {}", log.display()))?)
            .process_group(0);
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    out: PathBuf,
    /// Where this run's output begins.
    out_from: u64,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Its process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to it and its own children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.ended.is_none() {
            killpg(self.group, signal).with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Fails, with the end of its log, when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {}:\n{}", self.name, describe(status), self.log_tail()),
        }
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > deadline {
                bail!("{} did not end within {deadline:?}:\n{}", self.name, self.log_tail());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM, then waits.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(deadline).await
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.ended = Some(self.child.wait()?);
        Ok(())
    }

    /// What it wrote to stdout since this start.
    pub fn output(&self) -> String {
        let whole = std::fs::read(&self.out).unwrap_or_default();
        String::from_utf8_lossy(whole.get(usize::try_from(self.out_from).unwrap_or(0)..).unwrap_or_default())
            .into_owned()
    }

    /// Everything it wrote to stderr, earlier runs with the same name included.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let (out, log) = (self.output(), self.log());
        let tail = |text: &str| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!("--- {} stdout\n{}\n--- {} stderr\n{}", self.name, tail(&out), self.name, tail(&log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let _ = self.kill();
        }
        secrets::check(&self.name, &self.log());
    }
}

/// An exit status in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".into(),
    }
}

/// A port that is free now, outside the range that outgoing connections use: it stays ours while a server is
/// down between two starts. No other test of this process gets it, also when its server takes long to bind it.
pub fn free_port() -> Result<u16> {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    for _ in 0..1_000 {
        let port = rand::random_range(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && GIVEN.lock().insert(port) {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000")
}

/// Asks again and again until `check` gives a value, and panics with what it saw last when that takes too long.
pub async fn eventually<T, S: std::fmt::Debug>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    let mut seen = "nothing".to_owned();
    loop {
        seen = match tokio::time::timeout(deadline.saturating_sub(start.elapsed()), check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => format!("{seen:?}"),
            Err(_) => format!("no answer to the last look, before it {seen}"),
        };
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}; seen so far: {seen}");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A temporary folder that another user may enter.
pub fn temp_dir(name: &str) -> Result<tempfile::TempDir> {
    folder(name, &std::env::temp_dir())
}

/// The same in memory, where the machine has such a folder with room: for small files of servers that stop to sync
/// them (Redis and its Sentinels write down each change of a cluster), which a slow disk makes seconds of.
pub fn memory_dir(name: &str) -> Result<tempfile::TempDir> {
    let shared_memory = Path::new("/dev/shm");
    let room = statvfs(shared_memory).is_ok_and(|at| {
        let free = u128::from(at.blocks_available()) * u128::from(at.fragment_size());
        free >= MEMORY_ROOM
    });
    let made = if room { folder(name, shared_memory).ok() } else { None };
    made.map_or_else(|| temp_dir(name), Ok)
}

fn folder(name: &str, parent: &Path) -> Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new().prefix(&format!("starling-{name}-")).tempdir_in(parent)?;
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    File::open(dir.path())?.set_permissions(all)?;
    Ok(dir)
}

fn setpriv() -> bool {
    static PRESENT: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("setpriv").args(["--pdeathsig", "KILL", "--", "true"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    });
    *PRESENT
}

/// Starts all children from one thread that lives as long as the process: the signal at the parent's death is
/// sent when the *thread* dies that started the child, and the threads of tests come and go.
fn spawn(command: Command) -> Result<Child> {
    type Job = (Command, mpsc::SyncSender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    let (answer, result) = mpsc::sync_channel(1);
    SPAWNER.send((command, answer)).context("the thread that starts children is gone")?;
    Ok(result.recv().context("the thread that starts children is gone")??)
}
