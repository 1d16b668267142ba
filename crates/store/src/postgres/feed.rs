//! What moved a user's feed, found in the rows that it numbers.

use std::collections::HashMap;

use protocol::{Conversation, ConversationId, SessionId, UserId, UserSeq};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    conversations::{self, SNAPSHOT},
    fault::Outcome,
    values::{count, int},
};
use crate::{Feed, FeedChange, FeedItem};

/// Everything after a cursor in its present state, and the head, in one snapshot.
pub(super) async fn after(pool: &PgPool, user: UserId, after: UserSeq) -> Outcome<Feed> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let own: Option<(i64, Option<i64>, bool)> =
        sqlx::query_as("SELECT feed_seq, disabled_user_seq, disabled_at IS NOT NULL FROM users WHERE id = $1")
            .bind(user.0)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((head, disabled_seq, disabled)) = own else { return Ok(Feed::default()) };
    let mut items = Vec::new();
    if let Some(user_seq) = disabled_seq.map(count).filter(|user_seq| *user_seq > after) {
        items.push(FeedItem { user_seq, change: FeedChange::Disabled(disabled) });
    }
    if count(head) > after {
        let revoked: Vec<(i64, Uuid)> =
            sqlx::query_as("SELECT user_seq, id FROM sessions WHERE user_id = $1 AND user_seq > $2")
                .bind(user.0)
                .bind(int(after))
                .fetch_all(&mut *tx)
                .await?;
        items.extend(revoked.into_iter().map(|(user_seq, id)| FeedItem {
            user_seq: count(user_seq),
            change: FeedChange::SessionRevoked(SessionId(id)),
        }));
        let moved: Vec<(i64, Uuid)> = sqlx::query_as(
            "SELECT member_user_seq, conversation_id FROM participants WHERE user_id = $1 AND member_user_seq > $2",
        )
        .bind(user.0)
        .bind(int(after))
        .fetch_all(&mut *tx)
        .await?;
        let ids: Vec<Uuid> = moved.iter().map(|(_, id)| *id).collect();
        let mut views: HashMap<ConversationId, Conversation> =
            conversations::some(&mut tx, user, &ids).await?.into_iter().map(|view| (view.id, view)).collect();
        items.extend(moved.into_iter().map(|(user_seq, id)| {
            let id = ConversationId(id);
            // One that they left, or that was deleted, is not among the views.
            let change = views.remove(&id).map_or(FeedChange::Left(id), |view| FeedChange::Joined(Box::new(view)));
            FeedItem { user_seq: count(user_seq), change }
        }));
    }
    tx.commit().await?;
    items.sort_by_key(|item| item.user_seq);
    Ok(Feed { user_seq: count(head), items })
}
