//! Takes places in users' feeds: their rows are locked by id, after conversations, and numbered densely.

use protocol::{UserId, UserSeq};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{fault::Outcome, values::count};
use crate::{Conflict, IdMap, StoreError};

/// Feeds under their locks. What was taken counts when it is saved.
#[derive(Default)]
pub(in super::super) struct Feeds {
    heads: IdMap<UserId, i64>,
    moved: bool,
}

impl Feeds {
    /// Locks the feeds of these users, who may come more than once. A transaction does it once, for all of them:
    /// two that locked in steps could wait for each other.
    pub(in super::super) async fn lock(tx: &mut PgConnection, users: &[UserId]) -> Outcome<Self> {
        if users.is_empty() {
            return Ok(Self::default());
        }
        let heads: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT id, feed_seq FROM users WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
                .bind(users.iter().map(|user| user.0).collect::<Vec<_>>())
                .fetch_all(tx)
                .await?;
        Ok(Self { heads: heads.into_iter().map(|(id, head)| (UserId(id), head)).collect(), moved: false })
    }

    /// The next place. [`Conflict::UnknownUser`] when there is no such user.
    pub(in super::super) fn next(&mut self, user: UserId) -> Outcome<UserSeq> {
        let head = self.heads.get_mut(&user).ok_or(StoreError::Conflict(Conflict::UnknownUser))?;
        *head += 1;
        self.moved = true;
        Ok(count(*head))
    }

    /// Writes the new heads.
    pub(in super::super) async fn save(self, tx: &mut PgConnection) -> Outcome<()> {
        if !self.moved {
            return Ok(());
        }
        sqlx::query(
            "UPDATE users u SET feed_seq = k.feed_seq
             FROM unnest($1::uuid[], $2::bigint[]) AS k (id, feed_seq) WHERE u.id = k.id AND u.feed_seq < k.feed_seq",
        )
        .bind(self.heads.keys().map(|user| user.0).collect::<Vec<_>>())
        .bind(self.heads.values().copied().collect::<Vec<_>>())
        .execute(tx)
        .await?;
        Ok(())
    }
}
