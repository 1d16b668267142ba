//! A private nginx in front of nodes, run from the very template that developers and operators use.
//!
//! Promises that a change of nodes has taken effect for new connections when [`Nginx::route`] returns; open sockets
//! stay where they are.

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    process::{Launch, Process, free_port, temp_dir},
    secrets,
};

const SOON: Duration = Duration::from_secs(20);
/// An upstream without servers is refused; nothing listens here.
const NOWHERE: &str = "127.0.0.1:1";

/// A load balancer.
#[derive(Debug)]
pub struct Nginx {
    dir: TempDir,
    port: u16,
    process: Process,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let access = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        secrets::check("nginx", &format!("{access}{}", self.log()));
    }
}

impl Nginx {
    /// Starts one in front of these `ADDRESS:PORT`s; returns when it accepts.
    pub async fn start(gateways: &[&str], apis: &[&str]) -> Result<Self> {
        let dir = temp_dir("nginx")?;
        let mut tries = 0;
        loop {
            let port = free_port()?;
            let file = dir.path().join("nginx.conf");
            std::fs::write(&file, configuration(port, &dir, gateways, apis)?)?;
            let launch = Launch::new(program()).args(["-e", "stderr", "-c"]).arg(&file).on_parent_death("TERM");
            let mut process = launch.start("nginx", dir.path())?;
            match accepts(&mut process, port).await {
                Ok(()) => return Ok(Self { dir, port, process }),
                // Somebody else may have taken the port in between.
                Err(error) if tries == 3 => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it logged about errors.
    pub fn log(&self) -> String {
        let file = std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default();
        format!("{}{file}", self.process.log())
    }

    /// Sends new connections to these from now on. A request on a kept connection may still be answered by a worker of
    /// the old configuration.
    pub async fn route(&mut self, gateways: &[&str], apis: &[&str]) -> Result<()> {
        let before = self.workers()?;
        let listener = listener(self.port)?;
        std::fs::write(self.dir.path().join("nginx.conf"), configuration(self.port, &self.dir, gateways, apis)?)?;
        // To the master alone: its workers would take it for something else.
        kill(nix::unistd::Pid::from_raw(i32::try_from(self.process.id())?), Signal::SIGHUP)?;
        let start = Instant::now();
        loop {
            self.process.check_running()?;
            let now = self.workers()?;
            if !now.is_subset(&before) && !now.intersection(&before).any(|id| takes_part(*id, &listener)) {
                return Ok(());
            }
            ensure!(start.elapsed() < SOON, "nginx did not take its new configuration:\n{}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn workers(&self) -> Result<HashSet<u32>> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
            .context("nginx is gone, or this system does not tell the children of a process")?;
        Ok(children.split_whitespace().filter_map(|id| id.parse().ok()).collect())
    }
}

/// Debian keeps it where the `PATH` of people who are not root does not lead.
fn program() -> &'static str {
    let debian = "/usr/sbin/nginx";
    if std::path::Path::new(debian).exists() { debian } else { "nginx" }
}

/// What the file descriptors of the socket that listens on this port lead to: `socket:[INODE]`. All workers share it,
/// and one that is told to end closes its own.
fn listener(port: u16) -> Result<PathBuf> {
    const LISTEN: &str = "0A";
    let local = format!("0100007F:{port:04X}");
    let sockets = std::fs::read_to_string("/proc/net/tcp").context("this system does not tell its sockets")?;
    let mut fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listener = fields.find(|fields| fields.get(1) == Some(&&*local) && fields.get(3) == Some(&LISTEN));
    let inode = listener.and_then(|fields| fields.get(9).copied()).context("nginx does not listen")?;
    Ok(format!("socket:[{inode}]").into())
}

/// Whether a worker accepts connections of this socket. One that is gone does not.
fn takes_part(id: u32, listener: &Path) -> bool {
    match std::fs::read_dir(format!("/proc/{id}/fd")) {
        Ok(mut entries) => entries
            .any(|entry| entry.is_ok_and(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == listener))),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        // Of another user, to a root without that right (containers): it says so itself, a moment too early.
        Err(_) => !title(id).contains("shutting down"),
    }
}

fn title(id: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default()).into_owned()
}

fn configuration(port: u16, dir: &TempDir, gateways: &[&str], apis: &[&str]) -> Result<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx/starling.conf.template");
    let template = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let servers = |addresses: &[&str], parameters: &str| {
        let addresses = if addresses.is_empty() { &[NOWHERE][..] } else { addresses };
        addresses.iter().fold(String::new(), |mut lines, address| {
            let _ = write!(lines, "server {address} {parameters}; ");
            lines
        })
    };
    let apis = servers(apis, "max_fails=1 fail_timeout=1s") + &servers(apis, "max_fails=0 backup");
    let dir = dir.path().to_str().context("the folder's name is not UTF-8")?;
    // The comments at its top name the placeholders.
    let template: Vec<_> = template.lines().filter(|line| !line.starts_with('#')).collect();
    Ok(template
        .join("\n")
        .replace("${LISTEN}", &format!("127.0.0.1:{port}"))
        .replace("${GATEWAYS}", &servers(gateways, "max_fails=0"))
        .replace("${APIS}", &apis)
        .replace("${PREFIX_DIR}", dir))
}

/// Returns when a load balancer answers. nginx's socket listens before its workers are there.
pub(crate) async fn accepts(process: &mut Process, port: u16) -> Result<()> {
    let start = Instant::now();
    loop {
        process.check_running()?;
        // No request of HTTP: it is answered here, and no node hears of it.
        let ask = async {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
            socket.write_all(b"-\r\n\r\n").await?;
            socket.read_u8().await
        };
        if matches!(timeout(SOON, ask).await, Ok(Ok(_))) {
            return Ok(());
        }
        ensure!(start.elapsed() < SOON, "nobody answers at port {port}:\n{}", process.log_tail());
        sleep(Duration::from_millis(5)).await;
    }
}
