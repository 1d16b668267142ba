//! Limits that a server tells its clients in `connected`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a connection may do; configurable by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Largest inbound frame, bytes.
    pub frame_bytes: usize,
    /// Longest message content, characters.
    pub content_chars: usize,
    /// Commands per second and connection, sustained; 0 = unlimited.
    pub command_rate: u32,
    /// Commands at once; 0 = unlimited.
    pub command_burst: u32,
    /// Connections of one user on one node; 0 = unlimited.
    pub user_connections: u32,
    /// Conversations that one connection follows, the most recent first; 0 = unlimited.
    pub connection_conversations: u32,
    /// One's own messages may be edited within this, seconds; 0 = for ever.
    pub edit_window_seconds: u64,
    /// Most pinned messages in one conversation.
    pub pins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 * 1024,
            content_chars: 4_000,
            command_rate: 20,
            command_burst: 60,
            user_connections: 20,
            connection_conversations: 10_000,
            edit_window_seconds: 0,
            pins: 50,
        }
    }
}
