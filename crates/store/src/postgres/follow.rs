//! What a gateway asks so that nothing is missed. Each answer comes from one statement, which is one snapshot
//! (reactions are read after it: a newer one is told again by its own change).

use protocol::{Change, Changes, ChangesTag, ConversationId, Seq, UserId, UserSeq};
use sqlx::{FromRow, PgPool, Row};
use uuid::Uuid;

use super::{
    details::messages,
    fault::Outcome,
    rows::{MessageRow, message_columns, message_joins},
    values::{count, int, watermark},
};
use crate::{Heads, Members};

/// For a viewer: they must take part now, and see nothing from before they may.
const CHANGES_FOR_VIEWER: &str = concat!(
    "SELECT c.last_seq AS head, ",
    message_columns!(),
    " FROM conversations c
      JOIN participants v ON v.conversation_id = c.id AND v.user_id = $4 AND v.left_at IS NULL
      LEFT JOIN LATERAL (
          SELECT * FROM messages m
          WHERE m.conversation_id = c.id AND m.changed_seq > $2 AND m.seq > v.access_since_seq
          ORDER BY m.changed_seq LIMIT $3) m ON true",
    message_joins!(),
    "WHERE c.id = $1 AND c.deleted_at IS NULL ORDER BY m.changed_seq"
);

/// For a node: everything, up to the message that says that the conversation was deleted.
const CHANGES_FOR_NODE: &str = concat!(
    "SELECT c.last_seq AS head, ",
    message_columns!(),
    " FROM conversations c
      LEFT JOIN LATERAL (
          SELECT * FROM messages m WHERE m.conversation_id = c.id AND m.changed_seq > $2
          ORDER BY m.changed_seq LIMIT $3) m ON true",
    message_joins!(),
    "WHERE c.id = $1 ORDER BY m.changed_seq"
);

/// What was changed after a cursor.
pub(super) async fn changes(
    pool: &PgPool,
    viewer: Option<UserId>,
    conversation: ConversationId,
    after: Seq,
    limit: u32,
) -> Outcome<Option<Changes>> {
    let limit = limit.max(1);
    let sql = if viewer.is_some() { CHANGES_FOR_VIEWER } else { CHANGES_FOR_NODE };
    let query = sqlx::query(sql).bind(conversation.0).bind(int(after)).bind(i64::from(limit));
    let query = match viewer {
        Some(viewer) => query.bind(viewer.0),
        None => query,
    };
    let mut connection = pool.acquire().await?;
    let rows = query.fetch_all(&mut *connection).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let head = count(first.try_get("head")?);
    let mut changed = Vec::with_capacity(rows.len());
    for row in &rows {
        changed.extend(MessageRow::optional(row)?);
    }
    let changed = messages(&mut connection, changed, viewer).await?;
    let changes: Vec<Change> = changed.into_iter().map(|message| Change::of(message, after)).collect();
    Ok(Some(page(conversation, after, head, limit as usize, changes)))
}

/// The page that ends with these changes, of which there was room for `room`.
pub(super) fn page(conversation: ConversationId, after: Seq, head: Seq, room: usize, changes: Vec<Change>) -> Changes {
    // A full page may have more behind it; any other moves the cursor to the head, whatever it left out.
    let to = match changes.last() {
        Some(last) if changes.len() == room => last.seq,
        _ if room == 0 => after,
        _ => head,
    };
    Changes { tag: ChangesTag::Changes, conversation_id: conversation, from: after, to, more: to < head, changes }
}

#[derive(FromRow)]
struct HeadsRow {
    epoch: String,
    snapshot: String,
    ids: Option<Vec<Uuid>>,
    heads: Option<Vec<i64>>,
}

/// Heads of conversations.
pub(super) async fn heads(pool: &PgPool, ids: &[ConversationId]) -> Outcome<Heads> {
    // One row, whose lists are of the same order: the epoch need not come with each head.
    let row: HeadsRow = sqlx::query_as(
        "SELECT (SELECT epoch FROM meta WHERE singleton) AS epoch, pg_current_snapshot()::text AS snapshot,
                array_agg(id) AS ids, array_agg(last_seq) AS heads
         FROM conversations WHERE id = ANY($1)",
    )
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_one(pool)
    .await?;
    let heads = row.ids.into_iter().flatten().zip(row.heads.into_iter().flatten());
    Ok(Heads {
        epoch: row.epoch,
        watermark: watermark(&row.snapshot)?,
        items: heads.map(|(id, head)| (ConversationId(id), count(head))).collect(),
    })
}

/// A conversation's head, and who of these takes part at it.
pub(super) async fn members(pool: &PgPool, conversation: ConversationId, users: &[UserId]) -> Outcome<Option<Members>> {
    let rows: Vec<(i64, bool, Option<Uuid>, Option<i64>)> = sqlx::query_as(
        "SELECT c.last_seq, c.deleted_at IS NOT NULL, p.user_id, p.access_since_seq
         FROM conversations c
         LEFT JOIN participants p
             ON p.conversation_id = c.id AND p.left_at IS NULL AND c.deleted_at IS NULL AND p.user_id = ANY($2)
         WHERE c.id = $1",
    )
    .bind(conversation.0)
    .bind(users.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let Some((head, is_deleted, ..)) = rows.first().copied() else { return Ok(None) };
    let members = rows.into_iter().filter_map(|(_, _, user, since)| Some((UserId(user?), count(since?))));
    Ok(Some(Members { last_seq: count(head), is_deleted, access_since_seq: members.collect() }))
}

/// Heads of users' feeds.
pub(super) async fn feed_heads(pool: &PgPool, ids: &[UserId]) -> Outcome<Vec<(UserId, UserSeq)>> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("SELECT id, feed_seq FROM users WHERE id = ANY($1)")
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|(id, head)| (UserId(id), count(head))).collect())
}
