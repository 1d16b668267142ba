//! What changed of a user's conversations since a watermark: one statement, which is one snapshot.

use protocol::{ConversationId, UserId, UserSeq};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{
    fault::{Fault, Outcome},
    values::{count, int, watermark},
};
use crate::{ChangedSince, Since, Watermark};

#[derive(FromRow)]
struct SinceRow {
    epoch: String,
    snapshot: String,
    /// Not shown by this history yet, nor ever: the database was restored from a backup.
    is_foreign: bool,
    conversation_id: Option<Uuid>,
    last_seq: Option<i64>,
    seen_seq: Option<i64>,
}

/// Commits of a conversation follow each other in the order of `changed_seq`, so what could be seen of it at one moment
/// is a beginning of that order: the newest change that was seen ends it.
pub(super) async fn changed_since(
    pool: &PgPool,
    user: UserId,
    user_seq: UserSeq,
    since: &Watermark,
    limit: u32,
) -> Outcome<Since> {
    let limit = i64::from(limit.max(1));
    let rows: Vec<SinceRow> = sqlx::query_as(
        "SELECT meta.epoch, pg_current_snapshot()::text AS snapshot, of.is_foreign, i.conversation_id, i.last_seq,
                i.seen_seq
         FROM meta
         CROSS JOIN (SELECT $2 > pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS is_foreign) of
         LEFT JOIN LATERAL (
             SELECT p.conversation_id, c.last_seq, c.last_activity_at, seen.changed_seq AS seen_seq
             FROM participants p
             JOIN conversations c ON c.id = p.conversation_id
             LEFT JOIN LATERAL (
                 SELECT m.changed_seq FROM messages m
                 WHERE m.conversation_id = c.id AND m.changed_seq >= c.last_seq - $4
                   AND m.changed_in < $2 AND m.changed_in <> ALL($3)
                 ORDER BY m.changed_seq DESC LIMIT 1) seen ON true
             WHERE p.user_id = $1 AND (p.left_at IS NULL OR p.member_user_seq > $5)
               AND (c.changed_in >= $2 OR c.changed_in = ANY($3) OR of.is_foreign)) i ON true
         WHERE meta.singleton
         ORDER BY i.last_activity_at DESC, i.conversation_id DESC",
    )
    .bind(user.0)
    .bind(since.horizon())
    .bind(since.open())
    .bind(limit)
    .bind(int(user_seq))
    .fetch_all(pool)
    .await?;
    let first = rows.first().ok_or(Fault::internal("the table meta is empty"))?;
    let mut changed = Since {
        epoch: first.epoch.clone(),
        watermark: watermark(&first.snapshot)?,
        items: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        let (Some(id), Some(last_seq)) = (row.conversation_id, row.last_seq) else { continue };
        let cursor = match row.seen_seq {
            _ if row.is_foreign => None,
            // None was seen of those that were looked at, which are all if there are no more.
            None => (last_seq <= limit).then_some(0),
            Some(seen) => Some(seen),
        };
        if cursor != Some(last_seq) {
            let (conversation_id, cursor, last_seq) = (ConversationId(id), cursor.map(count), count(last_seq));
            changed.items.push(ChangedSince { conversation_id, cursor, last_seq });
        }
    }
    Ok(changed)
}
