//! Threads: a message and the replies under it. Tombstones stay in their places, as in history.

use protocol::{Message, MessageId, Seq, UserId};
use sqlx::PgPool;

use super::super::{
    conversations::SNAPSHOT,
    details,
    fault::Outcome,
    rows::{MessageRow, message_columns, message_joins},
    values::int,
};

/// A message that the viewer may see, and what was said under it after a seq.
pub(super) async fn thread(
    pool: &PgPool,
    viewer: UserId,
    root: MessageId,
    after: Seq,
    limit: u32,
) -> Outcome<Option<(Message, Vec<Message>)>> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages root
          JOIN participants v ON v.conversation_id = root.conversation_id AND v.user_id = $2 AND v.left_at IS NULL
          JOIN conversations c ON c.id = root.conversation_id AND c.deleted_at IS NULL
          CROSS JOIN LATERAL (
              SELECT root.*
              UNION ALL
              (SELECT r.* FROM messages r
               WHERE r.conversation_id = root.conversation_id AND r.thread_root_id = root.id
                 AND r.seq > greatest(v.access_since_seq, $3)
               ORDER BY r.seq LIMIT $4)) m",
        message_joins!(),
        "WHERE root.id = $1 AND root.seq > v.access_since_seq ORDER BY m.seq"
    ))
    .bind(root.0)
    .bind(viewer.0)
    .bind(int(after))
    .bind(i64::from(limit.max(1)))
    .fetch_all(&mut *tx)
    .await?;
    // A reply comes after what it replies to: the root is the first.
    let mut messages = details::messages(&mut tx, rows, Some(viewer)).await?.into_iter();
    tx.commit().await?;
    Ok(messages.next().map(|root| (root, messages.collect())))
}
