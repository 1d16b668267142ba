//! What connections ask when they begin, for many of them in one read: after a node's death thousands come to the
//! others within seconds, and must not meet the database one by one.

use async_trait::async_trait;
use protocol::{ConversationId, OrgId, Receipt, Seq, SessionId, Timestamp, UserId};

use crate::{Arrived, Memberships, Missed, Result};

/// Reads of many people at once. Each takes a number of statements that does not grow with them, and answers in their
/// order; the same person may be named twice.
#[async_trait]
pub trait Arrivals: Send + Sync {
    /// Who they are, and whether the sessions that they name count.
    async fn arrived(&self, who: &[Who], now: Timestamp) -> Result<Vec<Arrived>>;
    /// [`Store::memberships`](crate::Store::memberships) of each, all in one snapshot.
    async fn memberships_of(&self, users: &[UserId], limit: u32) -> Result<Vec<Memberships>>;
    /// [`Store::catch_up`](crate::Store::catch_up) of each viewer; the bounds hold for each of them.
    async fn catch_up_of(&self, behind: &[Behind], limit: u32) -> Result<Vec<Vec<Missed>>>;
    /// [`Store::receipts`](crate::Store::receipts) of each.
    async fn receipts_of(&self, of: &[(UserId, Vec<ConversationId>)]) -> Result<Vec<Vec<Receipt>>>;
}

/// As whom somebody comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user, by a session of theirs or by none.
    User(UserId, Option<SessionId>),
    /// A user of another system, by their id there.
    External(OrgId, String),
}

/// A viewer and the cursors that they came with.
pub type Behind = (UserId, Vec<(ConversationId, Seq)>);
