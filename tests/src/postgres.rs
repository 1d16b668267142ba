//! Private Postgres servers on free ports, in temporary folders, and an isolated database for each test.
//!
//! [`TestDatabase`]s share one server per test process, started by the first of them, and are cloned from a
//! template that is migrated once. A test that stops or kills its server takes a [`PrivatePostgres`] of its own.
//! Servers and their folders go with the test process, however that ends (Linux; see [`crate::process`]).
//! Nothing is synced to disk unless a test asks for it: the machine does not crash, processes do.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, geteuid},
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use store::{
    Store,
    postgres::{PostgresConfig, PostgresStore},
};
use tempfile::TempDir;
use tokio::{sync::OnceCell, time::Instant};

use crate::process::{Launch, Process, free_port, temp_dir};

/// How long a start or an orderly end may take on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Runs the server below a shell that ends it, and removes its folder, when the test process is gone.
const WARDEN: &str = r#"
dir=$1; shift
trap 'kill -QUIT "$pid"; wait "$pid"; rm -rf "$dir"; exit 1' TERM
"$@" & pid=$!
wait "$pid"
"#;

/// Postgres refuses to run as root: then it runs as this user.
const UNPRIVILEGED: &str = "postgres";

/// A server that tests start, stop and kill; it keeps its port and its data.
pub struct PrivatePostgres {
    dir: TempDir,
    bin: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Option<Process>,
}

impl PrivatePostgres {
    /// A server that answers, with an empty database `starling`.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more settings, such as `["fsync=on"]`.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let mut server = Self::down_with(settings).await?;
        let mut tries = 0;
        // Somebody else may have taken the port in between: then another one is tried.
        while let Err(error) = server.up().await {
            tries += 1;
            ensure!(tries < 5, "{error:#}");
            server.port = free_port()?;
        }
        server.create_database("starling", None).await?;
        Ok(server)
    }

    /// A server that has a port and is not started yet.
    pub async fn down() -> Result<Self> {
        Self::down_with(&[]).await
    }

    /// A standby of this server, on a port of its own, that follows it and answers.
    pub async fn standby(&self) -> Result<Self> {
        let dir = temp_dir("standby")?;
        if let Some(user) = other_user()? {
            chown(dir.path(), Some(user.uid), Some(user.gid))?;
        }
        let launch = as_user(Launch::new(self.bin.join("pg_basebackup")))?
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
            .arg(self.port.to_string())
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(dir.path().join("data"));
        let mut copy = launch.start("basebackup", dir.path())?;
        let status = copy.wait(SOON).await?;
        ensure!(status.success(), "pg_basebackup failed:\n{}", copy.log_tail());
        let (bin, settings) = (self.bin.clone(), self.settings.clone());
        let mut standby = Self { dir, bin, port: free_port()?, settings, process: None };
        standby.up().await?;
        Ok(standby)
    }

    async fn down_with(settings: &[&str]) -> Result<Self> {
        let bin = bin()?;
        let dir = temp_dir("postgres")?;
        if let Some(user) = other_user()? {
            chown(dir.path(), Some(user.uid), Some(user.gid))?;
        }
        let launch = as_user(Launch::new(bin.join("initdb")))?.arg("-D").arg(dir.path().join("data")).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let mut initdb = launch.start("initdb", dir.path())?;
        let status = initdb.wait(SOON).await?;
        ensure!(status.success(), "initdb failed:\n{}", initdb.log_tail());
        let settings = settings.iter().map(ToString::to_string).collect();
        Ok(Self { dir, bin, port: free_port()?, settings, process: None })
    }

    /// Starts it, or starts it again, on the same port; returns when it answers.
    pub async fn up(&mut self) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            self.process = Some(self.launch()?);
            match self.answers(deadline).await {
                Ok(()) => return Ok(()),
                // What is left of a killed server holds its memory for a moment, and the new one gives up.
                Err(error) if is_left_over(&format!("{error:#}")) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(&self) -> Result<Process> {
        let mut launch = as_user(Launch::new("sh"))?
            .on_parent_death("TERM")
            .args(["-c", WARDEN, "warden"])
            .arg(self.dir.path())
            .arg(self.bin.join("postgres"))
            .arg("-D")
            .arg(self.data());
        let own = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".into(),
            "max_connections=400".into(),
            "shared_buffers=32MB".into(),
            "fsync=off".into(),
            "full_page_writes=off".into(),
            // In its own folder: what is killed would leave it behind in memory.
            "dynamic_shared_memory_type=mmap".into(),
        ];
        for setting in own.iter().chain(&self.settings) {
            launch = launch.args(["-c", setting]);
        }
        // A log of this start alone, so that what ended an earlier one is not taken for its reason.
        let log = self.dir.path().join("postgres.log");
        if log.exists() {
            std::fs::rename(&log, self.dir.path().join("postgres.earlier.log"))?;
        }
        launch.start("postgres", self.dir.path())
    }

    async fn answers(&mut self, deadline: Instant) -> Result<()> {
        let url = self.url_of("postgres");
        let process = self.process.as_mut().context("postgres is not running")?;
        loop {
            process.check_running()?;
            let last = match tokio::time::timeout(Duration::from_secs(2), connect(&url)).await {
                Ok(Ok(connection)) => return Ok(connection.close().await?),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".into(),
            };
            if Instant::now() > deadline {
                bail!("postgres does not answer: {last}\n{}", process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its database `starling`.
    pub fn url(&self) -> String {
        self.url_of("starling")
    }

    /// A database of it.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Process id of its postmaster, the parent of one process per connection.
    pub fn id(&self) -> Result<u32> {
        Ok(u32::try_from(self.postmaster()?.as_raw())?)
    }

    /// What it logged since its last start.
    pub fn log(&self) -> Result<String> {
        Ok(self.process.as_ref().context("postgres is not running")?.log())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in order, as an operator would: connections are ended, data is kept.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            kill(self.postmaster()?, Signal::SIGINT)?;
            process.wait(SOON).await?;
        }
        Ok(())
    }

    /// Kills it as a crash would; what was committed is there after [`PrivatePostgres::up`].
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            // The postmaster alone: its shell lives to see it off, or the next start would find its process id.
            kill(self.postmaster()?, Signal::SIGKILL)?;
            process.wait(SOON).await?;
        }
        Ok(())
    }

    /// Runs one statement as its superuser.
    pub async fn run(&self, sql: &str) -> Result<()> {
        let mut connection = connect(&self.url_of("postgres")).await?;
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.with_context(|| sql.to_owned())?;
        Ok(connection.close().await?)
    }

    /// Makes a database, empty or as a copy.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let mut connection = connect(&self.url_of("postgres")).await?;
        let template = template.unwrap_or("template0");
        let sql = format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#);
        let start = Instant::now();
        loop {
            match sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut connection).await {
                Ok(_) => return Ok(connection.close().await?),
                // Somebody (autovacuum, say) is looking at the template.
                Err(sqlx::Error::Database(error))
                    if error.code().as_deref() == Some("55006") && start.elapsed() < SOON =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot create the database {name}")),
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn postmaster(&self) -> Result<Pid> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).context("postgres has no pid file")?;
        Ok(Pid::from_raw(file.lines().next().context("the pid file is empty")?.trim().parse()?))
    }
}

impl fmt::Debug for PrivatePostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivatePostgres").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A migrated database that no other test uses, on the server that the tests of this process share.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Makes one.
    pub async fn create() -> Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let server = shared().await?;
        let name = format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name, Some(TEMPLATE)).await?;
        Ok(Self { url: server.url_of(&name) })
    }

    /// Makes one that is not migrated.
    pub async fn create_empty() -> Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let server = shared().await?;
        let name = format!("empty_{}", LAST.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name, None).await?;
        Ok(Self { url: server.url_of(&name) })
    }

    /// As `DATABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A store on it.
    pub fn store(&self) -> Result<PostgresStore> {
        Ok(PostgresStore::connect(PostgresConfig::new(&self.url))?)
    }

    /// A connection of the test's own, to look at rows.
    pub async fn connection(&self) -> Result<PgConnection> {
        connect(&self.url).await
    }
}

const TEMPLATE: &str = "starling_template";

/// The server of this process; it has a migrated template.
async fn shared() -> Result<&'static PrivatePostgres> {
    static SERVER: OnceCell<PrivatePostgres> = OnceCell::const_new();
    SERVER
        .get_or_try_init(|| async {
            let server = PrivatePostgres::start().await?;
            server.create_database(TEMPLATE, None).await?;
            let store = PostgresStore::connect(PostgresConfig::new(server.url_of(TEMPLATE)))?;
            store.migrate().await?;
            store.close().await;
            Ok(server)
        })
        .await
}

/// Whether a start failed for what is left of an earlier server.
fn is_left_over(reason: &str) -> bool {
    reason.contains("shared memory") || reason.contains("postmaster.pid")
}

async fn connect(url: &str) -> Result<PgConnection> {
    Ok(url.parse::<PgConnectOptions>()?.connect().await?)
}

/// Where `initdb` and `postgres` are.
fn bin() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres-bin");
    let found = Command::new(&script).output().with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(found.status.success(), "no PostgreSQL server is installed: run scripts/install-deps");
    Ok(PathBuf::from(String::from_utf8(found.stdout)?.trim()))
}

fn other_user() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name(UNPRIVILEGED)?;
    Ok(Some(user.with_context(|| format!("postgres does not run as root, and there is no user {UNPRIVILEGED}"))?))
}

fn as_user(launch: Launch) -> Result<Launch> {
    Ok(if other_user()?.is_some() { launch.user(UNPRIVILEGED) } else { launch })
}
