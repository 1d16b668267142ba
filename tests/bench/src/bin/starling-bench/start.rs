//! B1: from starting `starling serve` on an empty folder, with nothing else, to when it is ready; then the same again on
//! that folder.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bench::table::Samples;
use starling_tests::{node, process::temp_dir};

/// It starts in less, or not at all.
const MOST: Duration = Duration::from_secs(20);

/// Milliseconds.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) first: Samples,
    pub(crate) again: Samples,
}

/// Four starts in each round: one is over in a moment.
const STARTS: usize = 4;

pub(crate) fn measure(rounds: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    for _ in 0..rounds * STARTS {
        let folder = temp_dir("start")?;
        figures.first.add(one(folder.path()).context("the first start")?);
        figures.again.add(one(folder.path()).context("the second start")?);
    }
    Ok(figures)
}

fn one(folder: &Path) -> Result<f64> {
    let mut command = Command::new(node::binary()?);
    // Our own settings are none of its.
    std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("STARLING_")).for_each(|name| {
        command.env_remove(name);
    });
    command.arg("serve").env("STARLING_DATA_DIR", folder).env("STARLING_LOG", "warn");
    command.env("STARLING_LISTEN", "127.0.0.1:0").env("STARLING_ADMIN_LISTEN", "127.0.0.1:0");
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting it")?;
    let ready = until_ready(&mut child, started);
    child.kill()?;
    child.wait()?;
    ready
}

fn until_ready(child: &mut Child, started: Instant) -> Result<f64> {
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    // The second line is the admin listener's; a process that ends ends them too.
    let admin = lines.nth(1).context("it ended")??;
    let address = admin.strip_prefix("admin on http://").context("no admin line")?;
    while started.elapsed() < MOST {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(MOST))?;
        socket.write_all(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    bail!("not ready within {MOST:?}")
}
