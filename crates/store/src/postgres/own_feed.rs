//! Takes places in the feed of one user, for what they do themselves. (Whoever moves the feeds of several locks them
//! all first: [`super::change::Feeds`].)

use protocol::{UserId, UserSeq};
use sqlx::PgConnection;

use super::{
    fault::Outcome,
    values::{count, int},
};
use crate::{Conflict, StoreError};

/// Takes the next places of a user's feed, and locks their row to the end of the transaction; the last place.
/// [`Conflict::UnknownUser`] when there is no such user.
pub(super) async fn take(tx: &mut PgConnection, user: UserId, places: u64) -> Outcome<UserSeq> {
    let head: Option<i64> =
        sqlx::query_scalar("UPDATE users SET feed_seq = feed_seq + $2 WHERE id = $1 RETURNING feed_seq")
            .bind(user.0)
            .bind(int(places))
            .fetch_optional(tx)
            .await?;
    Ok(count(head.ok_or(StoreError::Conflict(Conflict::UnknownUser))?))
}
