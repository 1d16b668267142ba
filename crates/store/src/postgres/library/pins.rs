//! Pinned messages of a conversation. How many there may be is decided where they are pinned.

use protocol::{ConversationId, Message, UserId};
use sqlx::PgPool;

use super::super::{
    conversations::SNAPSHOT,
    details,
    fault::Outcome,
    rows::{MessageRow, message_columns, message_joins},
};

/// What is pinned and the viewer may see, the last pinned first.
pub(super) async fn pins(pool: &PgPool, viewer: UserId, conversation: ConversationId) -> Outcome<Vec<Message>> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM participants v
          JOIN conversations c ON c.id = v.conversation_id AND c.deleted_at IS NULL
          JOIN messages m ON m.conversation_id = c.id AND m.pinned_at IS NOT NULL AND m.seq > v.access_since_seq",
        message_joins!(),
        "WHERE v.conversation_id = $1 AND v.user_id = $2 AND v.left_at IS NULL
         ORDER BY m.pinned_at DESC, m.seq DESC"
    ))
    .bind(conversation.0)
    .bind(viewer.0)
    .fetch_all(&mut *tx)
    .await?;
    let pins = details::messages(&mut tx, rows, Some(viewer)).await?;
    tx.commit().await?;
    Ok(pins)
}
