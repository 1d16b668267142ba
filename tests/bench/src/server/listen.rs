//! New connections.

use std::{io::ErrorKind, net::SocketAddr};

use anyhow::{Context, Result};
use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};

/// Accepts until nobody waits, or until there are no more file descriptors.
#[derive(Debug)]
pub(super) struct Listen {
    listener: TcpListener,
    /// Somebody waits whom epoll told of, and who could not be let in.
    pub(super) is_stuck: bool,
}

impl Listen {
    pub(super) fn new(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        let mut listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
        registry.register(&mut listener, token, Interest::READABLE).context("waiting for connections")?;
        Ok(Self { listener, is_stuck: false })
    }

    pub(super) fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("asking for the port")
    }

    /// The next one.
    pub(super) fn accept(&mut self) -> Option<TcpStream> {
        self.is_stuck = false;
        loop {
            match self.listener.accept() {
                // Frames leave when they are written: coalescing is the loop's work, not the kernel's.
                Ok((stream, _)) if stream.set_nodelay(true).is_ok() => return Some(stream),
                // It is gone already.
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return None,
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => {
                        eprintln!("cannot accept, until somebody hangs up: {error}");
                        self.is_stuck = true;
                        return None;
                    }
                },
            }
        }
    }
}
