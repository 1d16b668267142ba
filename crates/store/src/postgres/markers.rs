//! Delivered and read markers.

use sqlx::{FromRow, PgPool};

use super::{
    fault::Outcome,
    values::{count, int},
};
use crate::{MarkRow, Marked, Marks};

#[derive(FromRow)]
struct MarkedRow {
    place: i64,
    delivered_seq: i64,
    read_seq: i64,
    read_number: i64,
    moved: bool,
    participant_count: i64,
    epoch: String,
}

/// Moves markers forward; an answer per row. One statement. It takes no lock on the conversations: a marker depends on
/// nothing that a concurrent send could take back. Rows that move are locked in their order, as sends do, so that two
/// batches do not wait in a circle.
pub(super) async fn mark(pool: &PgPool, rows: &[MarkRow]) -> Outcome<Marks> {
    if rows.is_empty() {
        return Ok(Marks::default());
    }
    let found: Vec<MarkedRow> = sqlx::query_as(
        "WITH here AS (
             SELECT k.place, p.conversation_id, p.user_id, p.read_seq, p.read_number, p.delivered_seq,
                    c.participant_count, least(coalesce(k.to_read, 0), c.last_seq) AS to_read,
                    CASE WHEN k.to_read IS NULL AND c.participant_count > $5 THEN 0
                         ELSE least(greatest(k.to_delivered, k.to_read, 0), c.last_seq) END AS to_delivered
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
                  WITH ORDINALITY AS k (conversation_id, user_id, to_read, to_delivered, place)
             JOIN participants p ON p.conversation_id = k.conversation_id AND p.user_id = k.user_id
                                AND p.left_at IS NULL
             JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL),
         moving AS MATERIALIZED (
             SELECT p.conversation_id, p.user_id
             FROM here JOIN participants p ON p.conversation_id = here.conversation_id AND p.user_id = here.user_id
             WHERE p.left_at IS NULL AND (p.read_seq < here.to_read OR p.delivered_seq < here.to_delivered)
             ORDER BY p.conversation_id, p.user_id FOR NO KEY UPDATE OF p),
         moved AS (
             UPDATE participants p
             SET read_seq = greatest(p.read_seq, here.to_read),
                 read_number = greatest(p.read_number, coalesce(
                     (SELECT m.number FROM messages m
                      WHERE m.conversation_id = here.conversation_id AND m.seq <= here.to_read
                      ORDER BY m.seq DESC LIMIT 1), 0)),
                 delivered_seq = greatest(p.delivered_seq, here.to_delivered),
                 markers_changed_at = now()
             FROM moving JOIN here ON here.conversation_id = moving.conversation_id AND here.user_id = moving.user_id
             WHERE p.conversation_id = moving.conversation_id AND p.user_id = moving.user_id AND p.left_at IS NULL
               AND (p.read_seq < here.to_read OR p.delivered_seq < here.to_delivered)
             RETURNING p.conversation_id, p.user_id, p.read_seq, p.read_number, p.delivered_seq)
         SELECT here.place, here.participant_count, moved.user_id IS NOT NULL AS moved,
                coalesce(moved.delivered_seq, greatest(here.delivered_seq, here.to_delivered)) AS delivered_seq,
                coalesce(moved.read_seq, greatest(here.read_seq, here.to_read)) AS read_seq,
                coalesce(moved.read_number, here.read_number) AS read_number,
                (SELECT epoch FROM meta WHERE singleton) AS epoch
         FROM here
         LEFT JOIN moved ON moved.conversation_id = here.conversation_id AND moved.user_id = here.user_id",
    )
    .bind(rows.iter().map(|row| row.conversation_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.user_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.read_seq.map(int)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.delivered_seq.map(int)).collect::<Vec<_>>())
    .bind(TOLD_UP_TO)
    .fetch_all(pool)
    .await?;
    let mut marks = Marks { epoch: String::new(), items: vec![None; rows.len()] };
    for row in found {
        marks.epoch = row.epoch;
        // Places are counted from 1.
        let place = usize::try_from(row.place - 1).ok().and_then(|place| marks.items.get_mut(place));
        if let Some(place) = place {
            *place = Some(Marked {
                delivered_seq: count(row.delivered_seq),
                read_seq: count(row.read_seq),
                read_number: count(row.read_number),
                moved: row.moved,
                participant_count: count(row.participant_count),
            });
        }
    }
    Ok(marks)
}

/// Above so many active participants only one's own markers are told, and what was delivered is not kept.
pub(super) const TOLD_UP_TO: i64 = 100;
