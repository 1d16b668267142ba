//! What connections ask when they begin, for many people in one statement, which is one snapshot (with the details of
//! messages read after it, as in `follow.rs`).

mod catch_up;
mod memberships;
mod receipts;
mod who;

use async_trait::async_trait;
use protocol::{ConversationId, Receipt, Timestamp, UserId};

use super::PostgresStore;
use crate::{Arrivals, Arrived, Behind, Memberships, Missed, Result, Who};

#[async_trait]
impl Arrivals for PostgresStore {
    async fn arrived(&self, who: &[Who], now: Timestamp) -> Result<Vec<Arrived>> {
        self.call(|| async { who::arrived(&self.pool.get(), who, now).await }).await
    }

    async fn memberships_of(&self, users: &[UserId], limit: u32) -> Result<Vec<Memberships>> {
        self.call(|| async { memberships::of(&self.pool.get(), users, limit).await }).await
    }

    async fn catch_up_of(&self, behind: &[Behind], limit: u32) -> Result<Vec<Vec<Missed>>> {
        self.call(|| async { catch_up::of(&self.pool.get(), behind, limit).await }).await
    }

    async fn receipts_of(&self, of: &[(UserId, Vec<ConversationId>)]) -> Result<Vec<Vec<Receipt>>> {
        self.call(|| async { receipts::of(&self.pool.get(), of).await }).await
    }
}

/// The place of an asker, or of a question, as it was given to the database.
fn place(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The list at a place that came back from the database.
fn at<T>(lists: &mut [T], place: i64) -> Option<&mut T> {
    usize::try_from(place).ok().and_then(|place| lists.get_mut(place))
}
