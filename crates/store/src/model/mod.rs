//! What the store takes and gives besides the wire's own types.

mod change;
mod conversation;
mod follow;
mod inbox;
mod operator;
mod people;
mod watermark;

use protocol::Timestamp;

pub use change::*;
pub use conversation::*;
pub use follow::*;
pub use inbox::*;
pub use operator::*;
pub use people::*;
pub use watermark::{BadWatermark, Watermark};

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// The schema's version is the one that this binary needs.
    pub migrated: bool,
    /// Names the database's history (a random string made by the first migration; another one after a restore).
    pub epoch: String,
    /// The database's product and version.
    pub version: String,
    /// Why it takes no writes, if it takes none: in words for an operator.
    pub read_only: Option<&'static str>,
    /// Tables that this user may not read and write.
    pub out_of_reach: Vec<String>,
}

/// What a step of [`crate::Store::erase`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Of how many messages.
    pub messages: u64,
    /// Nothing of it is left.
    pub done: bool,
}

/// Conversations that are deleted and not erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasures {
    /// How many.
    pub conversations: u64,
    /// How many of them may be erased now.
    pub due: u64,
    /// When the first of them was deleted.
    pub oldest: Option<Timestamp>,
}

/// What [`crate::Store::new_epoch`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEpoch {
    /// The epoch until now.
    pub old: String,
    /// The epoch from now on.
    pub new: String,
    /// Conversations and messages whose number of a transaction another server had counted, as after a dump was
    /// restored: it was cleared.
    pub cleared: u64,
}
