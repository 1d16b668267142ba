//! Erases what was said in conversations that were deleted, a bounded number of messages at a time. Inside a write
//! transaction.

use protocol::{ConversationId, Timestamp};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    change::delete_mentions,
    codec::{from_db, time_opt},
    error::Db,
    rows::mentions_from_db,
};
use crate::{Erased, Result, ToErase};

/// The next step in the conversation that waits longest.
pub(super) async fn step(conn: &mut SqliteConnection, before: Timestamp, limit: u32) -> Result<Option<Erased>> {
    let found: Option<(Uuid, i64, i64)> = sqlx::query_as(
        "select id, erased_seq, deleted_at from conversations where deleted_at <= ? and erased_at is null \
         order by deleted_at limit 1",
    )
    .bind(before.unix_millis())
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((id, after, deleted_at)) = found else { return Ok(None) };
    let last: Option<i64> = sqlx::query_scalar(
        "select max(seq) from (\
             select seq from messages where conversation_id = ? and seq > ? order by seq limit ?)",
    )
    .bind(id)
    .bind(after)
    .bind(limit.max(1))
    .fetch_one(&mut *conn)
    .await
    .db()?;
    let Some(last) = last else {
        sqlx::query(
            "update conversations set erased_at = unixepoch() * 1000, title = null, title_key = null, \
             description = null, avatar_url = null, subject = null where id = ?",
        )
        .bind(id)
        .execute(conn)
        .await
        .db()?;
        return Ok(Some(Erased { conversation: ConversationId(id), messages: 0, done: true }));
    };
    for statement in [
        "delete from message_edits where conversation_id = ?1 and seq > ?2 and seq <= ?3",
        "delete from reactions where conversation_id = ?1 and seq > ?2 and seq <= ?3",
    ] {
        sqlx::query(statement).bind(id).bind(after).bind(last).execute(&mut *conn).await.db()?;
    }
    let mentioning: Vec<(i64, Option<String>)> = sqlx::query_as(
        "select seq, mentions from messages \
         where conversation_id = ? and seq > ? and seq <= ? and mentions is not null",
    )
    .bind(id)
    .bind(after)
    .bind(last)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    for (seq, mentions) in mentioning {
        delete_mentions(conn, id, seq, &mentions_from_db(mentions.as_deref())?).await?;
    }
    // The search index forgets the texts by the table's trigger.
    let erased = sqlx::query(
        "update messages set content = '', system = null, mentions = null, attachments = null, pinned_at = null, \
         reaction_count = 0, fingerprint = x'', client_id = null, deleted_at = coalesce(deleted_at, ?4) \
         where conversation_id = ?1 and seq > ?2 and seq <= ?3",
    )
    .bind(id)
    .bind(after)
    .bind(last)
    .bind(deleted_at)
    .execute(&mut *conn)
    .await
    .db()?;
    sqlx::query("update conversations set erased_seq = ?2 where id = ?1")
        .bind(id)
        .bind(last)
        .execute(conn)
        .await
        .db()?;
    Ok(Some(Erased { conversation: ConversationId(id), messages: erased.rows_affected(), done: false }))
}

/// How many conversations wait, and since when the one that waits longest is deleted.
pub(super) async fn waiting(conn: &mut SqliteConnection, before: Timestamp) -> Result<ToErase> {
    let (conversations, due, oldest): (i64, i64, Option<i64>) = sqlx::query_as(
        "select count(*), count(*) filter (where deleted_at <= ?), min(deleted_at) from conversations \
         where deleted_at is not null and erased_at is null",
    )
    .bind(before.unix_millis())
    .fetch_one(conn)
    .await
    .db()?;
    Ok(ToErase { conversations: from_db(conversations), due: from_db(due), oldest: time_opt(oldest)? })
}
