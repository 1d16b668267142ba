//! Presence: who is there now.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConversationId, Timestamp, UserId};

/// Most users in one question about presence, and most that one connection watches.
pub const PRESENCE_MAX: usize = 500;

/// Whether somebody is there; the most active of their connections counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// No connection.
    Offline,
    /// Connected, and away.
    Away,
    /// Connected and active.
    Online,
}

/// One user's presence. Also data of `presence.updated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    /// Who.
    pub user_id: UserId,
    /// Whether they are there.
    pub state: PresenceState,
    /// When they were last connected; null while they are there, and when it is not known.
    #[schema(required)]
    pub last_seen_at: Option<Timestamp>,
}

/// What a connection says of its user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// In use.
    #[default]
    Active,
    /// Not looked at.
    Away,
}

/// Fields of `presence.set`: for this connection, until it ends or says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceSet {
    /// In use or not.
    pub state: Activity,
    /// The conversation on the screen: its messages make no notifications. Null: none.
    #[serde(default)]
    pub focus: Option<ConversationId>,
}

/// Fields of `presence.watch` and `presence.unwatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceWatch {
    /// Whom, at most 500 for one connection.
    pub user_ids: Vec<UserId>,
}

/// Answer of `presence.watch` and of `GET /v1/presence`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceList {
    /// Of each of them whom the caller shares a conversation with.
    pub items: Vec<Presence>,
}
