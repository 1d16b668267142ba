//! Reactions: emoji under messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConversationId, Message, MessageId, Sender, Timestamp, UserId};

/// Most distinct emoji under one message.
pub const REACTION_EMOJI_MAX: usize = 20;
/// How many of those who reacted a [`Reaction`] names.
pub const REACTION_USERS_SHOWN: usize = 50;

/// One emoji under a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The emoji, fully qualified.
    pub emoji: String,
    /// How many reacted with it.
    pub count: u64,
    /// The first 50 of them, in order.
    pub user_ids: Vec<UserId>,
    /// Whether the reader is among them; only in answers to one reader, never in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<bool>,
}

/// Somebody who reacted, in `GET /v1/messages/{id}/reactions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reactor {
    /// Who.
    pub user: Sender,
    /// With what.
    pub emoji: String,
    /// When.
    pub created_at: Timestamp,
}

/// Which reaction came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReactionChange {
    /// Whose.
    pub user_id: UserId,
    /// Which.
    pub emoji: String,
}

/// Data of `reaction.added` and `reaction.removed`: the message in its present state, and what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReactionEvent {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// What changed.
    pub reaction: ReactionChange,
}

/// Fields of `reaction.add` and `reaction.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReactionCommand {
    /// To which message.
    pub message_id: MessageId,
    /// One emoji.
    pub emoji: String,
}

/// Fields of `typing.start` and `typing.stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TypingCommand {
    /// Where.
    pub conversation_id: ConversationId,
}

/// `POST /v1/conversations/{id}/typing`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TypingRequest {
    /// Typing (again), or stopped.
    pub typing: bool,
}

/// Data of `typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Typing {
    /// Who.
    pub user: Sender,
    /// Typing, or stopped.
    pub typing: bool,
    /// Forget it after so long without another one, milliseconds; 0 when stopped.
    pub expires_in_ms: u64,
}
