//! Sockets: upgrade, connections, command dispatch, the hub that shares one event's bytes among local connections.

use std::{sync::Arc, time::Duration};

use chat::Chat;
use protocol::NodeId;

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
        }
    }
}

/// The gateway role of a node. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {}

impl Gateway {
    /// Starts the node's background tasks (inside a tokio runtime): bus reader, probe, head sweep.
    pub fn start(
        _chat: Chat,
        _bus: Arc<dyn bus::Bus>,
        _config: GatewayConfig,
        _registry: &prometheus::Registry,
    ) -> Result<Self, String> {
        unimplemented!()
    }

    /// `GET /v1/ws`.
    pub fn router(&self) -> axum::Router {
        unimplemented!()
    }

    /// None when events flow; else why not, in a few words, for `/readyz`.
    pub fn degraded(&self) -> Option<String> {
        unimplemented!()
    }

    /// Refuses upgrades from now on (503), tells each connection to reconnect at a moment spread over
    /// `drain_window`, closes what is left with 4000 and returns when all are gone.
    pub async fn drain(&self) {
        unimplemented!()
    }
}
