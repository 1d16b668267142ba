//! Where people take part.

use protocol::{ConversationId, UserId};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{
    super::{
        fault::{Fault, Outcome},
        values::{count, watermark},
    },
    at,
};
use crate::{Membership, Memberships};

#[derive(FromRow)]
struct MembershipRow {
    /// Counted from 1.
    place: i64,
    /// Of the first place alone: they are the same for all.
    epoch: Option<String>,
    snapshot: Option<String>,
    feed_seq: Option<i64>,
    conversation_id: Option<Uuid>,
    last_seq: Option<i64>,
    access_since_seq: Option<i64>,
}

/// The conversations that each of these users takes part in.
pub(super) async fn of(pool: &PgPool, users: &[UserId], limit: u32) -> Outcome<Vec<Memberships>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<MembershipRow> = sqlx::query_as(
        "WITH this AS MATERIALIZED (
             SELECT epoch, pg_current_snapshot()::text AS snapshot FROM meta WHERE singleton)
         SELECT k.place, CASE WHEN k.place = 1 THEN this.epoch END AS epoch,
                CASE WHEN k.place = 1 THEN this.snapshot END AS snapshot, u.feed_seq, i.conversation_id, i.last_seq, i.access_since_seq
         FROM this
         CROSS JOIN unnest($1::uuid[]) WITH ORDINALITY AS k (id, place)
         LEFT JOIN LATERAL (SELECT id, feed_seq FROM users WHERE id = k.id LIMIT 1) u ON true
         LEFT JOIN LATERAL (
             SELECT p.conversation_id, c.last_seq, p.access_since_seq, c.last_activity_at
             FROM participants p JOIN conversations c ON c.id = p.conversation_id
             WHERE p.user_id = u.id AND p.left_at IS NULL AND c.deleted_at IS NULL
             ORDER BY c.last_activity_at DESC, c.id DESC LIMIT $2) i ON true
         ORDER BY k.place, i.last_activity_at DESC, i.conversation_id DESC",
    )
    .bind(users.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let first = rows.first().and_then(|row| Some((row.epoch.clone()?, row.snapshot.as_deref()?)));
    let (epoch, snapshot) = first.ok_or(Fault::internal("the table meta is empty"))?;
    let nowhere = Memberships { epoch, user_seq: 0, watermark: watermark(snapshot)?, items: Vec::new() };
    let mut all = vec![nowhere; users.len()];
    for row in rows {
        let Some(memberships) = at(&mut all, row.place - 1) else { continue };
        memberships.user_seq = count(row.feed_seq.unwrap_or(0));
        let (Some(id), Some(last_seq), Some(since)) = (row.conversation_id, row.last_seq, row.access_since_seq) else {
            continue;
        };
        memberships.items.push(Membership {
            conversation_id: ConversationId(id),
            last_seq: count(last_seq),
            access_since_seq: count(since),
        });
    }
    Ok(all)
}
