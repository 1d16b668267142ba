//! `limit-server [ADDRESS:PORT]`: the limit server of the benchmarks, see [`bench::server`].
//!
//! Prints `listening on ADDRESS:PORT` (127.0.0.1 and a free port unless told otherwise) and ends on SIGTERM or SIGINT.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context, Result};
use bench::server::{Limits, Server};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

fn main() -> Result<()> {
    let address = match std::env::args().nth(1) {
        Some(told) => told.parse().with_context(|| format!("`{told}` is no ADDRESS:PORT"))?,
        None => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    // One per socket: as many as there may be.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit on open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit on open files")?;
    let server = Server::bind(address, Limits::default())?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", server.address()?)?;
    out.flush()?;
    server.run()
}
