//! The bus: carries events from the node that committed them to every node that has somebody listening.
//!
//! A hint, not a log. **Order per publisher and topic, no memory**: an event that is published while a node is cut off
//! is gone, and the node hears [`Incoming::Lost`] instead, reads heads from the store and fills what is missing. An
//! event arrives once, or twice when a connection broke or its topic moved while it was published. Presence is under a
//! lease per node. Two implementations, [`redis::RedisBus`] (one server, a Sentinel set or a cluster) and
//! [`local::LocalBus`], pass one conformance suite.

mod error;
mod inbox;
pub mod local;
mod presence;
pub mod redis;
mod topic;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{NodeId, UserId};
use tokio::sync::{mpsc, watch};

pub use error::BusError;
pub use inbox::Inbox;
pub use presence::{FOCUS_MAX, NodePresence, UserPresence};
pub use topic::{Topic, TopicParseError};

/// Result of a bus call.
pub type Result<T> = std::result::Result<T, BusError>;

/// What a node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A payload on a topic this node is subscribed to.
    Event {
        /// Where.
        topic: Topic,
        /// What was published, as it was.
        payload: Bytes,
    },
    /// Anything may have been missed before this point (the connection was lost and is back with every
    /// subscription confirmed, or the receiver was too slow): compare heads with the store.
    Lost,
}

/// Whether the bus works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusStatus {
    /// Connected, every subscription confirmed.
    Up,
    /// Not connected, or not all subscriptions are back.
    Down,
}

/// What a node says of a user is forgotten after this unless it says it again: no leftovers of dead nodes for ever.
pub const PRESENCE_TTL: Duration = Duration::from_hours(3);

/// After a call that was not answered in time the bus refuses others for less than this. Who tries again waits so long.
pub const MOMENT: Duration = Duration::from_millis(200);

/// Pub/sub between nodes, short-lived keys, and presence.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes in order, in one round trip. Fails at once (within the command timeout, default 500 ms) when the
    /// bus is down; what was published is then not known.
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<()>;

    /// Adds one reference to each topic and returns when the subscription of all is confirmed. Calls that wait at
    /// the same time share commands (hundreds of topics each). [`BusError::Unavailable`] after the command timeout
    /// when the bus is down: the references are kept and are subscribed when it is back, before [`Incoming::Lost`].
    async fn subscribe(&self, topics: &[Topic]) -> Result<()>;

    /// Takes one reference from each topic. At zero the topic is unsubscribed after a short linger, so that a
    /// client that reconnects finds it warm. Never fails: an unsubscribe that is lost costs unwanted events only.
    fn unsubscribe(&self, topics: &[Topic]);

    /// The stream of what this node hears; there is one, the first caller gets it. Bounded: when its reader falls
    /// behind, events are dropped and [`Incoming::Lost`] follows.
    fn incoming(&self) -> Option<mpsc::Receiver<Incoming>>;

    /// Present state, and its changes.
    fn status(&self) -> watch::Receiver<BusStatus>;

    /// Drops the connections and makes new ones (the owner's probe found them dead though they look alive).
    fn reconnect(&self);

    /// Keeps a value for `ttl`. Keys carry the same prefix as topics.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Reads and removes a value in one step: of two callers one gets it.
    async fn take(&self, key: &str) -> Result<Option<Bytes>>;

    /// Holds the node's lease for `ttl` from now. What a node says of users counts while it holds one: a node that dies
    /// takes its users with it when the lease ends. The nodes that hold a lease now, this one among them. Time is the
    /// bus's own, so that clocks of nodes do not matter.
    async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>>;

    /// Gives the lease back at once.
    async fn release_lease(&self, node: NodeId) -> Result<()>;

    /// Keeps what a node says of users, in one round trip, until it says otherwise or its lease ends: a node whose
    /// lease ended says everything again when it holds one. What nobody says again for [`PRESENCE_TTL`] may be
    /// forgotten.
    async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()>;

    /// Of each of the users, in order, what nodes with a lease say. One round trip for up to 500.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>>;

    /// One round trip to the server, for health checks.
    async fn ping(&self) -> Result<Duration>;

    /// What the bus runs on, for `starling check` (`redis 7.0.15`, `redis 7.0.15 (cluster, 3 masters)`, `in-process`).
    async fn describe(&self) -> Result<String>;
}
