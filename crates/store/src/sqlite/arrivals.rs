//! What connections ask when they begin. A statement per person costs nothing in this process; all run inside a read
//! transaction, which is one snapshot.

use async_trait::async_trait;
use protocol::{ConversationId, Receipt, Timestamp, UserId};

use super::{SqliteStore, follow, resume, sessions, users};
use crate::{Arrivals, Arrived, Behind, Memberships, Missed, Result, Who};

#[async_trait]
impl Arrivals for SqliteStore {
    async fn arrived(&self, who: &[Who], now: Timestamp) -> Result<Vec<Arrived>> {
        let mut tx = self.snapshot().await?;
        let mut arrived = Vec::with_capacity(who.len());
        for who in who {
            let (user, session) = match who {
                Who::User(user, session) => (users::one(&mut tx, *user).await?, *session),
                Who::External(org, id) => (users::external(&mut tx, *org, id).await?, None),
            };
            let session = match session {
                Some(session) => sessions::state(&mut tx, session, now).await?,
                None => None,
            };
            arrived.push(Arrived { user, session });
        }
        Ok(arrived)
    }

    async fn memberships_of(&self, users: &[UserId], limit: u32) -> Result<Vec<Memberships>> {
        let mut tx = self.snapshot().await?;
        let mut memberships = Vec::with_capacity(users.len());
        for user in users {
            memberships.push(follow::memberships(&mut tx, *user, limit).await?);
        }
        Ok(memberships)
    }

    async fn catch_up_of(&self, behind: &[Behind], limit: u32) -> Result<Vec<Vec<Missed>>> {
        let mut tx = self.snapshot().await?;
        let mut missed = Vec::with_capacity(behind.len());
        for (viewer, cursors) in behind {
            missed.push(resume::catch_up(&mut tx, *viewer, cursors, limit).await?);
        }
        Ok(missed)
    }

    async fn receipts_of(&self, of: &[(UserId, Vec<ConversationId>)]) -> Result<Vec<Vec<Receipt>>> {
        let mut tx = self.snapshot().await?;
        let mut receipts = Vec::with_capacity(of.len());
        for (user, conversations) in of {
            receipts.push(follow::receipts(&mut tx, *user, conversations).await?);
        }
        Ok(receipts)
    }
}
