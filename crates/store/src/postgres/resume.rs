//! Many conversations at once, for one user: what changed since a watermark, and the first page of each. Each answer
//! comes from one statement, which is one snapshot (with the details of messages read after it, as in `follow.rs`).

use protocol::{Change, ConversationId, Seq, UserId, UserSeq};
use sqlx::{FromRow, PgPool, Row};
use uuid::Uuid;

use super::{
    details::messages,
    fault::{Fault, Outcome},
    follow::page,
    rows::{MessageRow, message_columns, message_joins},
    values::{count, int, watermark},
};
use crate::{CATCH_UP_CHANGES, CATCH_UP_CURSORS, ChangedSince, Missed, Since, Watermark};

/// Room is given out before anything is read, in the order of the cursors: no conversation has more changes than its
/// head is ahead of the cursor. (An outer column may bound a lateral subquery.)
const CATCH_UP: &str = concat!(
    "WITH here AS MATERIALIZED (
         SELECT k.place, k.after, c.id, c.last_seq, v.access_since_seq,
                least($4, greatest(c.last_seq - k.after, 0)) AS most
         FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS k (id, after, place)
         JOIN conversations c ON c.id = k.id AND c.deleted_at IS NULL
         JOIN participants v ON v.conversation_id = c.id AND v.user_id = $1 AND v.left_at IS NULL),
     room AS MATERIALIZED (
         SELECT *, greatest(least(most, $5 - coalesce(sum(most) OVER (
             ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)), 0)::bigint AS room
         FROM here)
     SELECT k.place, k.id AS here, k.after, k.last_seq AS head, k.access_since_seq AS since, k.room, ",
    message_columns!(),
    " FROM room k
      LEFT JOIN LATERAL (
          SELECT * FROM messages m
          WHERE m.conversation_id = k.id AND m.changed_seq > k.after AND m.seq > k.access_since_seq
          ORDER BY m.changed_seq LIMIT k.room) m ON true",
    message_joins!(),
    "ORDER BY k.place, m.changed_seq"
);

/// One conversation's rows of [`CATCH_UP`].
struct Page {
    place: i64,
    conversation: ConversationId,
    after: Seq,
    head: Seq,
    since: Seq,
    room: usize,
    rows: usize,
}

/// First pages of what was changed after cursors.
pub(super) async fn catch_up(
    pool: &PgPool,
    viewer: UserId,
    cursors: &[(ConversationId, Seq)],
    limit: u32,
) -> Outcome<Vec<Missed>> {
    if cursors.is_empty() {
        return Ok(Vec::new());
    }
    let cursors = cursors.get(..CATCH_UP_CURSORS).unwrap_or(cursors);
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query(CATCH_UP)
        .bind(viewer.0)
        .bind(cursors.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(cursors.iter().map(|(_, after)| int(*after)).collect::<Vec<_>>())
        .bind(i64::from(limit.clamp(1, CATCH_UP_CHANGES)))
        .bind(i64::from(CATCH_UP_CHANGES))
        .fetch_all(&mut *connection)
        .await?;
    let mut pages: Vec<Page> = Vec::new();
    let mut changed = Vec::with_capacity(rows.len());
    for row in &rows {
        let place: i64 = row.try_get("place")?;
        if pages.last().is_none_or(|page| page.place != place) {
            pages.push(Page {
                place,
                conversation: ConversationId(row.try_get("here")?),
                after: count(row.try_get("after")?),
                head: count(row.try_get("head")?),
                since: count(row.try_get("since")?),
                room: usize::try_from(row.try_get::<i64, _>("room")?).unwrap_or(0),
                rows: 0,
            });
        }
        if let (Some(page), Some(message)) = (pages.last_mut(), MessageRow::optional(row)?) {
            page.rows += 1;
            changed.push(message);
        }
    }
    let mut changed = messages(&mut connection, changed, Some(viewer)).await?.into_iter();
    let page = |its: Page| {
        let changes = changed.by_ref().take(its.rows).map(|message| Change::of(message, its.after)).collect();
        let page = page(its.conversation, its.after, its.head, its.room, changes);
        Missed { page, access_since_seq: its.since }
    };
    Ok(pages.into_iter().map(page).collect())
}

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
