//! When people were last there, and who may know. Who is there now is on the bus.

use protocol::UserId;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{fault::Outcome, values::moment};
use crate::Seen;

/// In larger conversations people are no contacts: what one of them does would be told to too many.
const CONTACTS_OF: i64 = 1_000;
/// At most so many participants' rows are looked at for contacts, those of the smallest conversations first.
const CONTACTS_LOOKED_AT: i64 = 50_000;

/// No block between the viewer `$1` and the user `u`.
macro_rules! unblocked {
    () => {
        "NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = $1 AND b.blocked_id = u.id AND b.active)
         AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = u.id AND b.blocked_id = $1 AND b.active)"
    };
}

/// Notes when users were last there. Users that are not there are passed over.
pub(super) async fn note(pool: &PgPool, seen: &[Seen]) -> Outcome<()> {
    let seen: Vec<(Uuid, OffsetDateTime)> =
        seen.iter().filter_map(|seen| Some((seen.user_id.0, seen.last_seen_at?.get()))).collect();
    if seen.is_empty() {
        return Ok(());
    }
    let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = seen.into_iter().unzip();
    // In the order of ids, so that two nodes never wait for each other in a circle.
    sqlx::query(
        "INSERT INTO last_seen AS l (user_id, at)
         SELECT u.id, max(k.at) FROM unnest($1::uuid[], $2::timestamptz[]) AS k (id, at) JOIN users u ON u.id = k.id
         GROUP BY u.id ORDER BY u.id
         ON CONFLICT (user_id) DO UPDATE SET at = excluded.at WHERE l.at < excluded.at",
    )
    .bind(ids)
    .bind(times)
    .execute(pool)
    .await?;
    Ok(())
}

/// Those of `ids` that the viewer may know of, the viewer among them.
pub(super) async fn visible(pool: &PgPool, viewer: UserId, ids: &[UserId]) -> Outcome<Vec<Seen>> {
    let rows = sqlx::query_as(concat!(
        "SELECT u.id, l.at FROM users u LEFT JOIN last_seen l ON l.user_id = u.id
         WHERE u.id = ANY($2) AND (u.id = $1 OR (EXISTS (
             SELECT 1 FROM participants theirs
             JOIN participants mine ON mine.conversation_id = theirs.conversation_id AND mine.user_id = $1
                                   AND mine.left_at IS NULL
             JOIN conversations c ON c.id = theirs.conversation_id AND c.deleted_at IS NULL
             WHERE theirs.user_id = u.id AND theirs.left_at IS NULL) AND ",
        unblocked!(),
        "))"
    ))
    .bind(viewer.0)
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(seen(rows))
}

/// Whom the viewer shares a conversation with that is not too large. Who was there last comes first: they are the
/// likeliest to be there now.
pub(super) async fn contacts(pool: &PgPool, viewer: UserId, limit: u32) -> Outcome<Vec<Seen>> {
    let rows = sqlx::query_as(concat!(
        "WITH near AS MATERIALIZED (
             SELECT theirs.user_id FROM (
                 SELECT c.id FROM participants mine
                 JOIN conversations c ON c.id = mine.conversation_id AND c.deleted_at IS NULL
                                     AND c.participant_count <= $2
                 WHERE mine.user_id = $1 AND mine.left_at IS NULL ORDER BY c.participant_count, c.id) mine
             JOIN participants theirs ON theirs.conversation_id = mine.id AND theirs.left_at IS NULL
                                     AND theirs.user_id <> $1
             LIMIT $3)
         SELECT u.id, l.at FROM (SELECT DISTINCT user_id FROM near) k
         JOIN users u ON u.id = k.user_id LEFT JOIN last_seen l ON l.user_id = u.id WHERE ",
        unblocked!(),
        " ORDER BY l.at DESC NULLS LAST, u.id LIMIT $4"
    ))
    .bind(viewer.0)
    .bind(CONTACTS_OF)
    .bind(CONTACTS_LOOKED_AT)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    Ok(seen(rows))
}

fn seen(rows: Vec<(Uuid, Option<OffsetDateTime>)>) -> Vec<Seen> {
    rows.into_iter().map(|(id, at)| Seen { user_id: UserId(id), last_seen_at: moment(at) }).collect::<Vec<_>>()
}
