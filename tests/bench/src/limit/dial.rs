//! Opens one WebSocket, with buffers small enough for thousands in one process.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite::protocol::WebSocketConfig};

use super::dialect::Dialect;

/// An open socket.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Connections that are being opened at once, at most.
pub(super) const OPENING: usize = 128;

/// Read buffer of a socket. A longer frame makes it grow for a while.
const BUFFER: usize = 4 * 1024;
/// Sockets of one source address: less than there are ports to give.
const PER_SOURCE: usize = 20_000;

/// Opens the `index`-th socket, in these rooms.
pub(super) async fn dial(
    to: SocketAddr,
    index: usize,
    rooms: &str,
    dialect: Dialect,
    patience: Duration,
) -> Result<Socket> {
    let opening = async {
        let mut socket = open(to, index, &dialect.path(rooms)).await?;
        dialect.greet(&mut socket).await?;
        Ok(socket)
    };
    let opened = timeout(patience, opening).await;
    opened.with_context(|| format!("{to} does not open a socket within {patience:?}"))?
}

async fn open(to: SocketAddr, index: usize, path: &str) -> Result<Socket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source(to.ip(), index) {
        socket.bind(SocketAddr::new(source, 0)).with_context(|| format!("calling from {source}"))?;
    }
    let stream = socket.connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    let (socket, _) = client_async_with_config(format!("ws://{to}{path}"), stream, Some(config))
        .await
        .with_context(|| format!("upgrading {path}"))?;
    Ok(socket)
}

/// On this machine, whole 127.0.0.0/8 is there to call from.
fn source(to: IpAddr, index: usize) -> Option<IpAddr> {
    let turn = u8::try_from(index / PER_SOURCE).ok().filter(|turn| *turn > 0)?;
    to.is_loopback().then_some(())?;
    to.is_ipv4().then(|| Ipv4Addr::new(127, 0, turn, 1).into())
}
