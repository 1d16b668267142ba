//! Erases what was said in conversations that were deleted. A step is a transaction of its own over a bounded number of
//! messages, found by the primary key. Nobody reads them any more; who still wants to change something there, and is
//! about to be refused, waits for one step. Of several nodes one has a conversation at hand, and the others go on with
//! the next; who is interrupted leaves the rest to another.

use protocol::{ConversationId, Timestamp};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    fault::Outcome,
    values::{count, moment},
};
use crate::{Erased, Erasures};

/// Those that wait longest.
pub(super) async fn due(pool: &PgPool, before: Timestamp, limit: u32) -> Outcome<Vec<ConversationId>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM conversations WHERE deleted_at <= $1 AND erased_at IS NULL ORDER BY deleted_at LIMIT $2",
    )
    .bind(before.get())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(ConversationId).collect())
}

/// The next step in one of them.
pub(super) async fn step(pool: &PgPool, conversation: ConversationId, limit: u32) -> Outcome<Option<Erased>> {
    let mut tx = pool.begin().await?;
    let found: Option<(i64, i64, OffsetDateTime)> = sqlx::query_as(
        "SELECT erased_seq, last_seq, deleted_at FROM conversations
         WHERE id = $1 AND deleted_at IS NOT NULL AND erased_at IS NULL FOR NO KEY UPDATE SKIP LOCKED",
    )
    .bind(conversation.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((after, end, deleted_at)) = found else { return Ok(None) };
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT max(seq) FROM (
             SELECT seq FROM messages WHERE conversation_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4) step",
    )
    .bind(conversation.0)
    .bind(after)
    .bind(end)
    .bind(i64::from(limit.max(1)))
    .fetch_one(&mut *tx)
    .await?;
    let messages = match last {
        Some(last) => messages(&mut tx, conversation.0, after, last, deleted_at).await?,
        None => 0,
    };
    let done = last.is_none();
    sqlx::query(
        "UPDATE conversations SET
             erased_seq = coalesce($2, erased_seq),
             erased_at = CASE WHEN $3 THEN now() END,
             title = CASE WHEN NOT $3 THEN title END,
             title_key = CASE WHEN NOT $3 THEN title_key END,
             description = CASE WHEN NOT $3 THEN description END,
             avatar_url = CASE WHEN NOT $3 THEN avatar_url END,
             subject = CASE WHEN NOT $3 THEN subject END
         WHERE id = $1",
    )
    .bind(conversation.0)
    .bind(last)
    .bind(done)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Erased { messages, done }))
}

/// Leaves of the messages after one place up to another what a deleted message leaves: place, sender and times.
async fn messages(
    tx: &mut PgConnection,
    conversation: Uuid,
    after: i64,
    last: i64,
    deleted_at: OffsetDateTime,
) -> Outcome<u64> {
    for statement in [
        "DELETE FROM message_edits WHERE conversation_id = $1 AND seq > $2 AND seq <= $3",
        "DELETE FROM reactions WHERE conversation_id = $1 AND seq > $2 AND seq <= $3",
        "DELETE FROM mentions d USING (
             SELECT DISTINCT m.seq, coalesce((r.cell ->> 'u')::uuid, '00000000-0000-0000-0000-000000000000') AS user_id
             FROM messages m CROSS JOIN LATERAL jsonb_array_elements(m.mentions) AS r (cell)
             WHERE m.conversation_id = $1 AND m.seq > $2 AND m.seq <= $3) k
         WHERE d.user_id = k.user_id AND d.conversation_id = $1 AND d.seq = k.seq",
    ] {
        sqlx::query(statement).bind(conversation).bind(after).bind(last).execute(&mut *tx).await?;
    }
    let erased = sqlx::query(
        "UPDATE messages SET
             content = '', system = NULL, mentions = NULL, attachments = NULL, pinned_at = NULL, reaction_count = 0,
             fingerprint = '', client_id = NULL, deleted_at = coalesce(deleted_at, $4)
         WHERE conversation_id = $1 AND seq > $2 AND seq <= $3",
    )
    .bind(conversation)
    .bind(after)
    .bind(last)
    .bind(deleted_at)
    .execute(tx)
    .await?;
    Ok(erased.rows_affected())
}

/// How many wait, and since when the one that waits longest is deleted.
pub(super) async fn count_all(pool: &PgPool, before: Timestamp) -> Outcome<Erasures> {
    let (conversations, due, oldest): (i64, i64, Option<OffsetDateTime>) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE deleted_at <= $1), min(deleted_at)
         FROM conversations WHERE deleted_at IS NOT NULL AND erased_at IS NULL",
    )
    .bind(before.get())
    .fetch_one(pool)
    .await?;
    Ok(Erasures { conversations: count(conversations), due: count(due), oldest: moment(oldest) })
}
