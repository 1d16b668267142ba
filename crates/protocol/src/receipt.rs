//! Who got and who read a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Sender;

/// How far a message got with one participant: ✓, ✓✓, blue ✓✓.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// Stored.
    Sent,
    /// It reached a device of theirs. Not known above 100 participants.
    Delivered,
    /// They read it.
    Read,
}

/// How far a message got with one participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageReceipt {
    /// With whom.
    pub user: Sender,
    /// How far.
    pub state: ReceiptState,
}

/// `GET /v1/messages/{id}/receipts`: participants besides the sender who may see the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageReceipts {
    /// By the time they joined.
    pub items: Vec<MessageReceipt>,
    /// Opaque cursor of the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// How many read it.
    pub read_count: u64,
    /// How many got it, those who read it included.
    pub delivered_count: u64,
    /// How many there are.
    pub participant_count: u64,
}
