//! Reading messages, by those who take part and from where they may.

use protocol::{ConversationId, HistoryWindow, Message, MessageId, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    details::{self, messages},
    fault::Outcome,
    rows::{MessageRow, message_columns, message_joins},
    values::int,
};

/// In which conversation a message is.
pub(super) async fn locate(pool: &PgPool, message: MessageId) -> Outcome<Option<ConversationId>> {
    let id: Option<Uuid> = sqlx::query_scalar("SELECT conversation_id FROM messages WHERE id = $1")
        .bind(message.0)
        .fetch_optional(pool)
        .await?;
    Ok(id.map(ConversationId))
}

/// One message that the viewer may see.
pub(super) async fn message(pool: &PgPool, viewer: UserId, id: MessageId) -> Outcome<Option<Message>> {
    let mut connection = pool.acquire().await?;
    let row: Option<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages m
          JOIN participants v ON v.conversation_id = m.conversation_id AND v.user_id = $2 AND v.left_at IS NULL
          JOIN conversations c ON c.id = m.conversation_id AND c.deleted_at IS NULL",
        message_joins!(),
        "WHERE m.id = $1 AND m.seq > v.access_since_seq"
    ))
    .bind(id.0)
    .bind(viewer.0)
    .fetch_optional(&mut *connection)
    .await?;
    details::message(&mut connection, row, Some(viewer)).await
}

/// A statement that reads `$messages`, a subquery over the viewer's row `v`, and orders the page.
macro_rules! page {
    ($messages:literal) => {
        concat!(
            "SELECT ",
            message_columns!(),
            " FROM participants v
              JOIN conversations c ON c.id = v.conversation_id AND c.deleted_at IS NULL
              CROSS JOIN LATERAL (",
            $messages,
            ") m",
            message_joins!(),
            "WHERE v.conversation_id = $1 AND v.user_id = $2 AND v.left_at IS NULL ORDER BY m.seq"
        )
    };
}

const BEFORE: &str = page!(
    "SELECT * FROM messages m WHERE m.conversation_id = $1 AND m.seq > v.access_since_seq AND m.seq < $3
     ORDER BY m.seq DESC LIMIT $4"
);
const AFTER: &str = page!(
    "SELECT * FROM messages m WHERE m.conversation_id = $1 AND m.seq > greatest(v.access_since_seq, $3)
     ORDER BY m.seq LIMIT $4"
);
const AROUND: &str = page!(
    "(SELECT * FROM messages m WHERE m.conversation_id = $1 AND m.seq > v.access_since_seq AND m.seq < $3
      ORDER BY m.seq DESC LIMIT $4)
     UNION ALL
     (SELECT * FROM messages m WHERE m.conversation_id = $1 AND m.seq > v.access_since_seq AND m.seq >= $3
      ORDER BY m.seq LIMIT $4)"
);

/// A page of history, ascending.
pub(super) async fn window(
    pool: &PgPool,
    viewer: UserId,
    conversation: ConversationId,
    window: HistoryWindow,
    limit: u32,
) -> Outcome<Vec<Message>> {
    let limit = limit.max(1);
    let (sql, seq) = match window {
        HistoryWindow::Latest => (BEFORE, i64::MAX),
        HistoryWindow::Before(seq) => (BEFORE, int(seq)),
        HistoryWindow::After(seq) => (AFTER, int(seq)),
        HistoryWindow::Around(seq) => (AROUND, int(seq)),
    };
    let mut connection = pool.acquire().await?;
    let rows: Vec<MessageRow> = sqlx::query_as(sql)
        .bind(conversation.0)
        .bind(viewer.0)
        .bind(seq)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let page = messages(&mut connection, rows, Some(viewer)).await?;
    Ok(match window {
        HistoryWindow::Around(seq) => middle(page, seq, limit as usize),
        _ => page,
    })
}

/// Cuts a page that has up to `limit` messages on each side down to `limit`: half on each side of `seq`, more on
/// one where the other has fewer.
fn middle(mut page: Vec<Message>, seq: u64, limit: usize) -> Vec<Message> {
    let before = page.iter().filter(|message| message.seq < seq).count();
    let after = page.len() - before;
    let keep_before = before.min((limit / 2).max(limit.saturating_sub(after)));
    page.drain(..before - keep_before);
    page.truncate(limit);
    page
}
