//! M1: sockets that do nothing, held until they are closed.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    dial::{self, Socket},
    dialect::Dialect,
    fds,
};

/// What to open.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// Sockets.
    pub sockets: usize,
    /// Rooms of each; there are ten members in a room.
    pub rooms: usize,
    /// How long to wait for a socket to open, and to close.
    pub patience: Duration,
    /// How the server wants to be spoken to.
    pub dialect: Dialect,
}

/// Open sockets.
#[derive(Debug)]
pub struct Held {
    sockets: Vec<Socket>,
    patience: Duration,
}

/// Opens them; returns when all are.
pub async fn hold(to: SocketAddr, idle: &Idle) -> Result<Held> {
    ensure!(idle.sockets > 0 && idle.rooms > 0, "there must be a socket and a room");
    fds::make_room(idle.sockets)?;
    let rooms = |index: usize| {
        // Ten neighbours share all their rooms.
        let first = index / 10 * idle.rooms;
        let rooms: Vec<_> = (first..first + idle.rooms).map(|room| room.to_string()).collect();
        rooms.join(",")
    };
    let open = |index: usize| {
        let (rooms, patience, dialect) = (rooms(index), idle.patience, idle.dialect);
        async move { dial::dial(to, index, &rooms, dialect, patience).await }
    };
    let sockets = stream::iter((0..idle.sockets).map(open)).buffer_unordered(dial::OPENING).try_collect().await?;
    Ok(Held { sockets, patience: idle.patience })
}

impl Held {
    /// Closes them: fails unless the server answers each one's goodbye, and said nothing before.
    pub async fn close(self) -> Result<()> {
        for mut socket in self.sockets {
            socket.close(None).await.context("a socket was closed meanwhile")?;
            match timeout(self.patience, socket.next()).await {
                Ok(Some(Ok(Message::Close(_)))) => {}
                other => anyhow::bail!("a goodbye was answered with {other:?}"),
            }
        }
        Ok(())
    }
}
