//! The limit server: the least that a correct broadcast WebSocket server can do, to compare others with.
//!
//! **Promises**: whatever a client sends as a text or binary frame `ROOM TEXT` goes to every member of that room, the
//! sender included, as `ROOM NUMBER TEXT`: once, in one order for all, numbered from 1 without gaps. A client is in the
//! rooms that the path of its request names: `/room/7` or `/rooms/1,2,3`. The protocol is kept (RFC 6455: upgrade,
//! masks, UTF-8, ping, close), every buffer is bounded, and a reader that is too slow is closed.
//!
//! **Leaves out on purpose**: authentication, storage, JSON, TLS, compression, HTTP beside the upgrade, fragmented
//! messages, heartbeats of its own, history (numbers of a room that everybody left begin anew), a second thread.
//!
//! **How**: one thread on epoll. It asks epoll by `mio`, which is what tokio asks it by: well kept, safe, and nothing
//! above the system call but the registration. A message's frame is encoded once, header and all, and shared by all who
//! get it; what came up for a socket in one turn of the loop is written with one `writev`.

mod connection;
mod deadlines;
mod frame;
mod handshake;
mod listen;
mod outbox;
mod protocol;
mod rooms;
mod turn;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use self::turn::Loop;

/// What each client may take up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a frame's payload.
    pub payload: usize,
    /// Bytes that wait to be written to one socket; with more it is closed.
    pub outbox: usize,
    /// Rooms of one client.
    pub rooms: usize,
    /// How long an upgrade, and a goodbye, may take.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload: 64 << 10, outbox: 1 << 20, rooms: 1_000, patience: Duration::from_secs(10) }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server(Loop);

impl Server {
    /// Listens; SIGTERM and SIGINT of this thread wait for [`Server::run`] from here on.
    pub fn bind(address: SocketAddr, limits: Limits) -> Result<Self> {
        Ok(Self(Loop::new(address, limits)?))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.0.address()
    }

    /// Serves on this thread until SIGTERM or SIGINT.
    pub fn run(self) -> Result<()> {
        self.0.run()
    }
}
