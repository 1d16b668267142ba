//! Delivered and read markers.

use protocol::{ConversationId, Receipt, UserId};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{
    fault::Outcome,
    values::{count, int},
};
use crate::{Mark, Marked};

#[derive(FromRow)]
struct MarkedRow {
    delivered_seq: i64,
    read_seq: i64,
    moved: bool,
    participant_count: i64,
}

/// Moves markers forward, in one statement. It takes no lock on the conversation: a marker depends on nothing
/// that a concurrent send could take back.
pub(super) async fn mark(
    pool: &PgPool,
    user: UserId,
    conversation: ConversationId,
    mark: Mark,
) -> Outcome<Option<Marked>> {
    let (read, delivered) = match mark {
        Mark::Read(seq) => (int(seq), int(seq)),
        Mark::Delivered(seq) => (0, int(seq)),
    };
    let row: Option<MarkedRow> = sqlx::query_as(
        "WITH here AS (
             SELECT p.read_seq, p.delivered_seq, c.participant_count,
                    least($3, c.last_seq) AS to_read, least($4, c.last_seq) AS to_delivered
             FROM participants p JOIN conversations c ON c.id = p.conversation_id
             WHERE p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL AND c.deleted_at IS NULL),
         moved AS (
             UPDATE participants p
             SET read_seq = greatest(p.read_seq, here.to_read),
                 read_number = greatest(p.read_number, coalesce(
                     (SELECT m.number FROM messages m WHERE m.conversation_id = $1 AND m.seq <= here.to_read
                      ORDER BY m.seq DESC LIMIT 1), 0)),
                 delivered_seq = greatest(p.delivered_seq, here.to_delivered),
                 markers_changed_at = now()
             FROM here
             WHERE p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL
               AND (p.read_seq < here.to_read OR p.delivered_seq < here.to_delivered)
             RETURNING p.read_seq, p.delivered_seq)
         SELECT coalesce(moved.delivered_seq, greatest(here.delivered_seq, here.to_delivered)) AS delivered_seq,
                coalesce(moved.read_seq, greatest(here.read_seq, here.to_read)) AS read_seq,
                moved.read_seq IS NOT NULL AS moved, here.participant_count
         FROM here LEFT JOIN moved ON true",
    )
    .bind(conversation.0)
    .bind(user.0)
    .bind(read)
    .bind(delivered)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Marked {
        read_number: 0,
        delivered_seq: count(row.delivered_seq),
        read_seq: count(row.read_seq),
        moved: row.moved,
        participant_count: count(row.participant_count),
    }))
}

/// Above so many active participants only one's own markers are told.
const TOLD_UP_TO: i64 = 100;

/// The user's own markers, and everybody's in small conversations.
pub(super) async fn receipts(pool: &PgPool, user: UserId, conversations: &[ConversationId]) -> Outcome<Vec<Receipt>> {
    let rows: Vec<(Uuid, Uuid, i64, i64)> = sqlx::query_as(
        "SELECT p.conversation_id, p.user_id, p.delivered_seq, p.read_seq
         FROM participants mine
         JOIN conversations c ON c.id = mine.conversation_id AND c.deleted_at IS NULL
         JOIN participants p ON p.conversation_id = mine.conversation_id AND p.left_at IS NULL
                            AND (p.user_id = mine.user_id OR c.participant_count <= $3)
         WHERE mine.user_id = $1 AND mine.left_at IS NULL AND mine.conversation_id = ANY($2)
         ORDER BY p.conversation_id, p.user_id",
    )
    .bind(user.0)
    .bind(conversations.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind(TOLD_UP_TO)
    .fetch_all(pool)
    .await?;
    let receipt = |(conversation, user, delivered_seq, read_seq)| Receipt {
        read_number: 0,
        conversation_id: ConversationId(conversation),
        user_id: UserId(user),
        delivered_seq: count(delivered_seq),
        read_seq: count(read_seq),
    };
    Ok(rows.into_iter().map(receipt).collect())
}
