//! Opens one WebSocket, with buffers small enough for thousands in one process.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use reqwest::{Client, Url};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{rest::root, source};

/// An open socket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Read buffer of a socket. A longer frame makes it grow for a while.
const BUFFER: usize = 4 * 1024;

/// Knows the gateways and how to reach them.
#[derive(Debug)]
pub(crate) struct Dialer {
    gateways: Vec<Url>,
    /// Everybody begins at the first gateway, instead of being spread over all.
    one_home: bool,
    tls: Option<Arc<ClientConfig>>,
    /// Sockets of the whole run: what source addresses are shared among.
    sockets: usize,
    patience: Duration,
    /// For streams of events, by source address: each stream is a connection of its own.
    streams: Mutex<HashMap<Option<IpAddr>, Client>>,
}

/// Why a socket did not open: a short code to count by, and the whole line.
#[derive(Debug)]
pub(crate) struct NotOpened {
    pub(crate) code: String,
    pub(crate) line: String,
}

impl Dialer {
    /// To these base URLs.
    pub(crate) fn new(gateways: &[String], sockets: usize, patience: Duration) -> Result<Self> {
        let gateways: Vec<Url> = gateways
            .iter()
            .map(|url| Url::parse(url).with_context(|| format!("`{url}` is no URL")))
            .collect::<Result<_>>()?;
        let tls = gateways.iter().any(|url| url.scheme() == "https");
        let tls = tls.then(ClientConfig::with_platform_verifier).transpose().context("no certificates to trust")?;
        Ok(Self { gateways, one_home: false, tls: tls.map(Arc::new), sockets, patience, streams: Mutex::default() })
    }

    /// Everybody begins at the first gateway; the others are for when it fails.
    pub(crate) fn with_one_home(self) -> Self {
        Self { one_home: true, ..self }
    }

    /// Which connection a person's next one is, counted over gateways: people are spread over them, and each failure
    /// tries the next.
    pub(crate) fn turn(&self, person: usize, failures: usize) -> usize {
        if self.one_home { failures } else { person + failures }
    }

    /// The gateway of the `turn`-th connection.
    pub(crate) fn gateway(&self, turn: usize) -> &Url {
        &self.gateways[turn % self.gateways.len()]
    }

    /// The client with which this person opens a stream of events.
    pub(crate) fn streams(&self, person: usize) -> Result<Client> {
        let here = match self.gateway(0).host_str().unwrap_or_default() {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.parse().ok(),
        };
        let from = here.and_then(|here| source::address(person, self.sockets, here));
        if let Some(client) = self.streams.lock().get(&from) {
            return Ok(client.clone());
        }
        let client = Client::builder().no_proxy().http1_only().pool_max_idle_per_host(0).local_address(from).build()?;
        self.streams.lock().insert(from, client.clone());
        Ok(client)
    }

    /// How long a connection may take to open.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Opens the socket of one person; `turn` picks the gateway.
    pub(crate) async fn open(&self, person: usize, turn: usize, token: &str) -> Result<Socket, NotOpened> {
        let base = self.gateway(turn);
        let tried = timeout(self.patience, self.try_open(base, person, token)).await;
        tried.unwrap_or_else(|_| {
            let line = format!("{base} does not open a socket within {} s", self.patience.as_secs());
            Err(NotOpened { code: "connect: timeout".into(), line })
        })
    }

    async fn try_open(&self, base: &Url, person: usize, token: &str) -> Result<Socket, NotOpened> {
        let not = |code: &str, why: String| NotOpened {
            code: format!("connect: {code}"),
            line: format!("cannot open a socket to {base}: {why}"),
        };
        let address = resolve(base).await.map_err(|error| not("no address", root(&*error)))?;
        let stream =
            self.connect(address, person).await.map_err(|error| not(&error.kind().to_string(), error.to_string()))?;
        let mut url = base.clone();
        let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
        // From http to ws: a change that this parser of URLs allows.
        let _ = url.set_scheme(scheme);
        url.set_path("/v1/ws");
        url.set_query(Some("await_hello=true"));
        let url = url.as_str().replacen("http", "ws", 1);
        let mut request = url.into_client_request().map_err(|error| not("bad url", error.to_string()))?;
        let bearer =
            format!("Bearer {token}").parse().map_err(|_| not("bad token", "a token with odd characters".into()))?;
        request.headers_mut().insert("authorization", bearer);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
        let connector = self.tls.clone().map_or(Connector::Plain, Connector::Rustls);
        match client_async_tls_with_config(request, stream, Some(config), Some(connector)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status();
                Err(not(&format!("http {}", status.as_u16()), format!("the upgrade was answered with {status}")))
            }
            Err(error) => Err(not("upgrade", root(&error))),
        }
    }

    async fn connect(&self, address: SocketAddr, person: usize) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source::address(person, self.sockets, address.ip()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// An address of the host, IPv4 where there is one: whole 127.0.0.0/8 is there to call from, and one ::1.
async fn resolve(base: &Url) -> Result<SocketAddr> {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = base.port_or_known_default().unwrap_or(80);
    let mut all: Vec<_> = tokio::net::lookup_host((host.as_str(), port)).await?.collect();
    all.sort_by_key(SocketAddr::is_ipv6);
    all.first().copied().with_context(|| format!("{host} has no address"))
}
