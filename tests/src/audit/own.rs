//! What people do outside of conversations (sessions, settings, blocks, announcements), and what befell the database,
//! as plain data. `sessions`, `settings` and `restored` judge it.

use std::{collections::BTreeMap, time::Duration};

use protocol::{ConversationId, Notify, SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::Outcome;

/// Part of a [`Log`](super::Log).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Own {
    /// What people did.
    pub acts: Vec<OwnAct>,
    /// As whom each device was signed in, by its place in [`Log::devices`](super::Log::devices). A device that signs in
    /// again goes on as another one.
    pub sessions: BTreeMap<usize, SignedIn>,
    /// The database was put back to what it was.
    pub restored: Option<Restored>,
}

/// One thing that somebody did, with all its retries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnAct {
    /// When it was first tried.
    pub at: Duration,
    /// When its answer came, or it was given up.
    pub until: Duration,
    /// By whom.
    pub user: UserId,
    /// What.
    pub deed: OwnDeed,
    /// What came of it.
    pub outcome: Outcome,
}

/// What people do outside of conversations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnDeed {
    /// One of their sessions ends, or all of them.
    Revoke(Option<SessionId>),
    /// What they want to be told of, in one conversation or everywhere.
    Notify(Option<ConversationId>, Notify),
    /// One conversation is at the top of their list, or not any more.
    PinConversation(ConversationId, bool),
    /// Somebody is blocked (on), or not any more.
    Block(UserId, bool),
    /// An announcement with this title, which no other has.
    Announce(String),
}

/// A login of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Which.
    pub session: SessionId,
    /// When.
    pub at: Duration,
}

/// A restore from a backup under running nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made.
    pub saved: Duration,
    /// When the database was put back to it. What was done in between is lost, as is meant.
    pub at: Duration,
    /// Its epoch since then.
    pub epoch: String,
}
