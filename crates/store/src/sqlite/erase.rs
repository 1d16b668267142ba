//! Erases what was said in conversations that were deleted, a bounded number of messages at a time: others write
//! between two steps.

use protocol::{ConversationId, Timestamp};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    change::delete_mentions,
    codec::{from_db, time_opt},
    error::Db,
    rows::mentions_from_db,
};
use crate::{Erased, Erasures, Result};

/// Those that wait longest.
pub(super) async fn due(conn: &mut SqliteConnection, before: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select id from conversations where deleted_at <= ? and erased_at is null order by deleted_at limit ?",
    )
    .bind(before.unix_millis())
    .bind(limit)
    .fetch_all(conn)
    .await
    .db()?;
    Ok(ids.into_iter().map(ConversationId).collect())
}

/// The next step in one of them. Inside a write transaction.
pub(super) async fn step(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    limit: u32,
) -> Result<Option<Erased>> {
    let found: Option<(i64, i64, i64)> = sqlx::query_as(
        "select erased_seq, last_seq, deleted_at from conversations \
         where id = ? and deleted_at is not null and erased_at is null",
    )
    .bind(conversation.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((after, end, deleted_at)) = found else { return Ok(None) };
    let last: Option<i64> = sqlx::query_scalar(
        "select max(seq) from (\
             select seq from messages where conversation_id = ? and seq > ? and seq < ? order by seq limit ?)",
    )
    .bind(conversation.0)
    .bind(after)
    .bind(end)
    .bind(limit.max(1))
    .fetch_one(&mut *conn)
    .await
    .db()?;
    let Some(last) = last else {
        sqlx::query(
            "update conversations set erased_at = unixepoch() * 1000, title = null, title_key = null, \
             description = null, avatar_url = null, subject = null where id = ?",
        )
        .bind(conversation.0)
        .execute(conn)
        .await
        .db()?;
        return Ok(Some(Erased { messages: 0, done: true }));
    };
    let messages = messages(conn, conversation.0, (after, last), deleted_at).await?;
    sqlx::query("update conversations set erased_seq = ?2 where id = ?1")
        .bind(conversation.0)
        .bind(last)
        .execute(conn)
        .await
        .db()?;
    Ok(Some(Erased { messages, done: false }))
}

/// Leaves of the messages after one place up to another what a deleted message leaves: place, sender and times.
async fn messages(
    conn: &mut SqliteConnection,
    conversation: Uuid,
    (after, last): (i64, i64),
    deleted_at: i64,
) -> Result<u64> {
    for statement in [
        "delete from message_edits where conversation_id = ?1 and seq > ?2 and seq <= ?3",
        "delete from reactions where conversation_id = ?1 and seq > ?2 and seq <= ?3",
    ] {
        sqlx::query(statement).bind(conversation).bind(after).bind(last).execute(&mut *conn).await.db()?;
    }
    let mentioning: Vec<(i64, Option<String>)> = sqlx::query_as(
        "select seq, mentions from messages \
         where conversation_id = ? and seq > ? and seq <= ? and mentions is not null",
    )
    .bind(conversation)
    .bind(after)
    .bind(last)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    for (seq, mentions) in mentioning {
        delete_mentions(conn, conversation, seq, &mentions_from_db(mentions.as_deref())?).await?;
    }
    // The search index forgets the texts by the table's trigger.
    let erased = sqlx::query(
        "update messages set content = '', system = null, mentions = null, attachments = null, pinned_at = null, \
         reaction_count = 0, fingerprint = x'', client_id = null, deleted_at = coalesce(deleted_at, ?4) \
         where conversation_id = ?1 and seq > ?2 and seq <= ?3",
    )
    .bind(conversation)
    .bind(after)
    .bind(last)
    .bind(deleted_at)
    .execute(conn)
    .await
    .db()?;
    Ok(erased.rows_affected())
}

/// How many wait, and since when the one that waits longest is deleted.
pub(super) async fn count_all(conn: &mut SqliteConnection, before: Timestamp) -> Result<Erasures> {
    let (conversations, due, oldest): (i64, i64, Option<i64>) = sqlx::query_as(
        "select count(*), count(*) filter (where deleted_at <= ?), min(deleted_at) from conversations \
         where deleted_at is not null and erased_at is null",
    )
    .bind(before.unix_millis())
    .fetch_one(conn)
    .await
    .db()?;
    Ok(Erasures { conversations: from_db(conversations), due: from_db(due), oldest: time_opt(oldest)? })
}
