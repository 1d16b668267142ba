//! A server as a process of its own, and what processes use, from `/proc`.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// A limit server, or one that promises the same; it ends when this is dropped.
#[derive(Debug)]
pub struct Started {
    child: Child,
    address: SocketAddr,
}

impl Started {
    /// Starts this program on a free port; returns when it listens.
    pub fn start(program: &Path) -> Result<Self> {
        Self::spawn(&mut Command::new(program))
    }

    /// Runs this, which prints `listening on ADDRESS:PORT` and ends on SIGTERM; returns when it listens.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        // Its own sockets need descriptors too: it raises its limit as far as ours allows.
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let mut line = String::new();
        // It writes one line or ends: either way this returns.
        let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let address = line.trim_end().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        if let Some(address) = address {
            return Ok(Self { child, address });
        }
        let _ = child.kill();
        let status = child.wait();
        bail!("{program} does not say where it listens: {line:?}, {read:?}, {status:?}")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits; whether it ended well.
    pub fn end(mut self) -> Result<bool> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status.success());
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let start = Instant::now();
        // There is no wait with a deadline: it is asked often.
        while start.elapsed() < END {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.terminate();
    }
}

/// CPU seconds (user and system) that the process has used so far, to a hundredth.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    // USER_HZ is 100 on every Linux that Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    // The command's name may hold anything: fields are counted behind its last bracket.
    let fields: Vec<_> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
    let ticks = |field: usize| Ok::<u64, anyhow::Error>(fields.get(field).context("a short stat")?.parse()?);
    Ok((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes, shared pages divided among their holders.
    pub pss: u64,
    /// Bytes, shared pages counted whole.
    pub rss: u64,
}

/// Memory of this process; what the kernel holds for its sockets is not in it.
pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let bytes = |field: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(field)).context("a short smaps_rollup")?;
        Ok::<u64, anyhow::Error>(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024)
    };
    Ok(Memory { pss: bytes("Pss:")?, rss: bytes("Rss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_found() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.pss > 0 && own.rss >= own.pss);
        assert!(cpu_seconds(std::process::id()).is_ok());
        assert!(cpu_seconds(u32::MAX).is_err());
    }

    #[test]
    fn a_program_that_does_not_say_where_it_listens_is_told_of() {
        let line = Started::start(Path::new("/bin/true")).unwrap_err().to_string();
        assert!(line.contains("/bin/true does not say where it listens"), "{line}");
    }
}
