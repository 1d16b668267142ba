//! Sockets and event streams: admission, connections, command dispatch, the hub that shares one event's bytes among
//! local connections.
//!
//! How an event gets to a socket: [`reader`] takes it from the bus, [`hub`] puts it in order and into the
//! [`outbox`] of each local connection that follows its conversation, [`connection`] writes what waits.
//! `fill`, `sweep` and `probe` see to it that nothing stays lost; `follow` makes a connection follow in the
//! first place. [`presence`] is who is there and who is told of it. Nothing here knows SQL, Redis or who may do what.

mod admission;
mod announce;
mod bounds;
mod catch_up;
mod close;
mod connection;
mod dispatch;
mod drain;
mod epoch;
mod feed;
mod fill;
mod follow;
mod hub;
pub mod inspect;
mod journal;
mod link;
mod marks;
mod metrics;
#[cfg(feature = "micro")]
pub mod micro;
mod node;
mod observe;
mod outbox;
mod presence;
mod probe;
mod rate;
mod reader;
mod receipts;
mod resume;
mod serve;
mod sse;
mod sweep;
#[cfg(any(test, feature = "micro"))]
mod testing;
mod traced;
mod transport;
mod unprotected;
mod upgrade;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use chat::Chat;
use protocol::NodeId;

use crate::{metrics::Metrics, node::Node, probe::Probe, serve::Opening};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;

pub use crate::{
    bounds::Bounds,
    presence::PresenceConfig,
    transport::{Batch, End, Inbound, Transport},
};

/// What the operator may set.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// This process.
    pub node: NodeId,
    /// Between two heartbeats; silence of two closes a connection with 4002.
    pub heartbeat: Duration,
    /// Within this a socket that was not authenticated at its upgrade says `hello`.
    pub hello_timeout: Duration,
    /// Exact `Origin` values that may connect; empty: any, when `any_origin`.
    pub allowed_origins: Vec<String>,
    /// Any origin may connect.
    pub any_origin: bool,
    /// `?token=` is accepted.
    pub allow_query_token: bool,
    /// Most bytes that wait for one connection.
    pub outbox_bytes: usize,
    /// Most durable events that wait for one connection.
    pub outbox_events: usize,
    /// Connections are told to move at moments spread over this when the node ends.
    pub drain_window: Duration,
    /// Every conversation with local subscribers is compared with the store within this.
    pub sweep_interval: Duration,
    /// Most changes of one conversation that a client that comes back, or a hole in a stream, gets by itself; of more
    /// it is told to fetch (`resync_required`). At most 1,000,000.
    pub resume_distance: protocol::Seq,
    /// Times of presence.
    pub presence: PresenceConfig,
    /// What is read at once, and what may wait.
    pub bounds: Bounds,
    /// Changes that are remembered for [`Gateway::delivery`], 56 bytes each; 0: none.
    pub remembered: usize,
    /// Takes what nodes say to each other, which is nothing to the gateway.
    pub letters: Option<tokio::sync::mpsc::Sender<bytes::Bytes>>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            node: NodeId::generate(),
            heartbeat: Duration::from_secs(25),
            hello_timeout: Duration::from_secs(10),
            allowed_origins: Vec::new(),
            any_origin: false,
            allow_query_token: false,
            outbox_bytes: 1024 * 1024,
            outbox_events: 4_096,
            drain_window: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(10),
            resume_distance: 10_000,
            presence: PresenceConfig::default(),
            bounds: Bounds::default(),
            remembered: 32_768,
            letters: None,
        }
    }
}

/// The gateway role of a node. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    node: Arc<Node>,
}

impl Gateway {
    /// Starts the node's background tasks (inside a tokio runtime): bus reader, probe, head sweep, presence. Fails when
    /// the registry has these metrics already, or when somebody else reads the bus.
    pub fn start(
        chat: Chat,
        bus: Arc<dyn bus::Bus>,
        config: GatewayConfig,
        registry: &prometheus::Registry,
    ) -> Result<Self, String> {
        let incoming = bus.incoming().ok_or("the bus has another reader")?;
        let node = Arc::new(Node::new(chat, bus, config, Metrics::register(registry)?));
        let probe = Arc::new(Probe::default());
        node.spawn(reader::run(Arc::clone(&node), incoming, Arc::clone(&probe)));
        node.spawn(epoch::run(Arc::clone(&node)));
        node.spawn(probe::run(Arc::clone(&node), probe));
        node.spawn(sweep::run(Arc::clone(&node)));
        node.spawn(sweep::run_active(Arc::clone(&node)));
        node.spawn(receipts::run(Arc::clone(&node)));
        presence::start(&node);
        Ok(Self { node })
    }

    /// `GET /v1/ws` and `GET /v1/events`.
    pub fn router(&self) -> Router {
        let events = get(sse::handle).options(sse::preflight).fallback(sse::wrong_method);
        let router = Router::new().route("/v1/ws", get(upgrade::handle)).route("/v1/events", events);
        router.with_state(Arc::clone(&self.node))
    }

    /// Serves a client that will say `hello` over any transport, in a task of its own. False when the node is draining:
    /// try another one.
    pub fn connect(&self, transport: impl Transport, caller: chat::Caller) -> bool {
        self.serve(transport, caller, Opening::Silent { says_hello: true })
    }

    /// Serves an event stream over any transport that resumes by id, from this `Last-Event-ID` on. False as above.
    pub fn stream(&self, transport: impl Transport, caller: chat::Caller, last: Option<&str>) -> bool {
        self.serve(transport, caller, Opening::Stream(last.map(str::parse)))
    }

    fn serve(&self, transport: impl Transport, caller: chat::Caller, opening: Opening) -> bool {
        let takes = !self.node.is_draining();
        if takes {
            self.node.spawn_for_connection(serve::serve(
                Arc::clone(&self.node),
                transport,
                Some(caller),
                opening,
                None,
            ));
        }
        takes
    }

    /// None when events flow; else why not, in a few words, for `/readyz`.
    pub fn degraded(&self) -> Option<String> {
        self.node.degraded().map(Into::into)
    }

    /// Refuses upgrades from now on (503), tells each connection to reconnect at a moment spread over
    /// `drain_window`, closes what is left with 4000 and returns when all are gone.
    pub async fn drain(&self) {
        drain::run(&self.node).await;
    }
}
