//! How far a message got: ✓, ✓✓, blue ✓✓, of each who takes part. Derived from their markers.

use protocol::{MessageId, MessageReceipt, MessageReceipts, ReceiptState, Sender, UserId};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::{
        conversations::SNAPSHOT,
        fault::Outcome,
        keyset::{self, newer},
        values::count,
    },
    place,
};
use crate::cursor::List;

/// In larger conversations delivered markers are not kept.
const DELIVERED_UP_TO: i64 = 100;

#[derive(FromRow)]
struct ReceiptRow {
    joined_at: OffsetDateTime,
    read: bool,
    delivered: bool,
    id: Uuid,
    username: String,
    display_name: String,
    avatar_url: Option<String>,
}

impl ReceiptRow {
    fn receipt(self) -> MessageReceipt {
        let Self { id, username, display_name, avatar_url, .. } = self;
        let state = if self.read {
            ReceiptState::Read
        } else if self.delivered {
            ReceiptState::Delivered
        } else {
            ReceiptState::Sent
        };
        MessageReceipt { user: Sender { id: UserId(id), username, display_name, avatar_url }, state }
    }
}

/// A page of those who may see the message, by join time, and the totals of all.
pub(super) async fn receipts(
    pool: &PgPool,
    viewer: UserId,
    message: MessageId,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Option<MessageReceipts>> {
    let (joined_after, id_after) = keyset::at(List::Receipts, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let Some(place) = place(&mut tx, viewer, message).await? else { return Ok(None) };
    let delivered_is_kept = place.participant_count <= DELIVERED_UP_TO;
    let (participants, read, delivered): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE read_seq >= $2),
                count(*) FILTER (WHERE read_seq >= $2 OR ($4 AND delivered_seq >= $2))
         FROM participants
         WHERE conversation_id = $1 AND left_at IS NULL AND access_since_seq < $2 AND user_id <> $3",
    )
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(place.sender_id)
    .bind(delivered_is_kept)
    .fetch_one(&mut *tx)
    .await?;
    let mut rows: Vec<ReceiptRow> = sqlx::query_as(concat!(
        "SELECT p.joined_at, p.read_seq >= $2 AS read, $4 AND p.delivered_seq >= $2 AS delivered,
                u.id, u.username, u.display_name, u.avatar_url
         FROM participants p JOIN users u ON u.id = p.user_id
         WHERE p.conversation_id = $1 AND p.left_at IS NULL AND p.access_since_seq < $2 AND p.user_id <> $3
           AND ",
        newer!("p.joined_at", "p.user_id", "$5", "$6"),
        "ORDER BY p.joined_at, p.user_id LIMIT $7",
    ))
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(place.sender_id)
    .bind(delivered_is_kept)
    .bind(joined_after)
    .bind(id_after)
    .bind(keyset::ask(limit))
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let next_cursor = keyset::next_at(&mut rows, limit, List::Receipts, |row| (row.joined_at, row.id));
    Ok(Some(MessageReceipts {
        items: rows.into_iter().map(ReceiptRow::receipt).collect(),
        next_cursor,
        read_count: count(read),
        delivered_count: count(delivered),
        participant_count: count(participants),
    }))
}
