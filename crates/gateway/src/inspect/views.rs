//! What an operator is shown of a gateway node. These types travel between nodes: a field may be added, with a default;
//! none changes its meaning.

use protocol::{ConnectionId, Seq, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A gateway node as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayView {
    /// Open connections.
    pub connections: u64,
    /// Users with one.
    pub users: u64,
    /// Conversations that somebody connected here takes part in.
    pub conversations: u64,
    /// Moves its connections away and takes no new ones.
    pub draining: bool,
    /// Why events come late, when they do.
    pub degraded: Option<String>,
    /// Frames written since the start.
    pub frames_sent: u64,
    /// Events that came over the bus since the start.
    pub bus_events: u64,
    /// Holes that were filled from the store since the start.
    pub gap_fills: u64,
    /// Connections with half of their outbox used or more.
    pub behind: u64,
    /// Those of them whose outboxes are the fullest, at most ten, the fullest first.
    pub slowest: Vec<ConnectionView>,
}

/// An open connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// Which.
    pub id: ConnectionId,
    /// Whose.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// `websocket` or `sse`.
    pub transport: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// Conversations that it follows.
    pub following: u64,
    /// Bytes that wait for it.
    pub waiting_bytes: u64,
    /// How full its outbox is, 0–1; beyond that it is closed as a slow consumer.
    pub outbox_fill: f64,
}

/// Where a conversation is on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadView {
    /// Every live connection has everything up to here; none: not read yet.
    pub delivered: Option<Seq>,
    /// Connections that follow it.
    pub connections: u64,
    /// A hole is being filled from the store.
    pub filling: bool,
}

/// How a change came to the connections of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// As an event of the bus.
    Bus,
    /// Read from the store, since its event did not come.
    Store,
    /// Not at all: too much was missing, and clients were asked to fetch (`resync_required`).
    Skipped,
}

/// How a node handed a change to its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOn {
    /// When.
    pub at: Timestamp,
    /// Where it came from.
    pub way: Way,
    /// To so many.
    pub connections: u64,
}

/// What a node knows of one change and one user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Of changes handed on before this it knows no more; none: it is set to remember nothing.
    pub remembers_since: Option<Timestamp>,
    /// Of connections that ended before this it knows no more.
    pub remembers_ends_since: Timestamp,
    /// Every live connection here has the conversation up to this place; none: nobody here takes part in it.
    pub delivered: Option<Seq>,
    /// How it handed the change on; none: it did not, or does not remember.
    pub handed_on: Option<HandedOn>,
    /// The user's connections, those that ended too, the youngest first.
    pub connections: Vec<TracedConnection>,
}

/// What became of a change on one connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracedConnection {
    /// Which.
    pub id: ConnectionId,
    /// `websocket` or `sse`.
    pub transport: String,
    /// Since when.
    pub opened_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// How: the close code, or `client`.
    pub end: Option<String>,
    /// What became of the change.
    pub fate: Fate,
}

impl Fate {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Waiting { .. } => "waiting",
            Self::Lost => "lost",
            Self::Skipped => "asked to fetch",
            Self::ByResume { .. } => "resumed",
            Self::Starting => "starting",
            Self::Hidden => "hidden",
            Self::NotFollowing => "not following",
            Self::NotReceived => "not received",
            Self::Unknown => "not known",
        }
    }
}

/// What became of a change on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Fate {
    /// It was written: the kernel has it (of a stream of events: the HTTP response), or had it when the connection ended.
    Written,
    /// It waits in the outbox: the client does not read as fast as it is told.
    Waiting {
        /// Bytes that wait.
        bytes: u64,
    },
    /// The connection ended before it was written. The client resumes with its next one.
    Lost,
    /// The client was asked to fetch (`resync_required`) instead.
    Skipped,
    /// The connection was not live when it came: up to this place the client has everything by its resume, or said so, or
    /// reads it by REST.
    ByResume {
        /// Events go on after this.
        from: Seq,
    },
    /// The connection is still reading what it missed.
    Starting,
    /// The message is from before the user may read (`history: since_join`): they got an empty step.
    Hidden,
    /// The connection does not follow the conversation.
    NotFollowing,
    /// The node has not got the change (yet).
    NotReceived,
    /// The node does not remember enough to say.
    Unknown,
}
