//! The first pages of what people missed.

use protocol::{Change, ConversationId, Seq};
use sqlx::{PgPool, Row};

use super::{
    super::{
        details::messages_for,
        fault::Outcome,
        follow::page,
        rows::{MessageRow, message_columns, message_joins},
        values::{count, int},
    },
    at, place,
};
use crate::{Behind, CATCH_UP_CHANGES, CATCH_UP_CURSORS, Missed};

/// Room is given out before anything is read, to each asker in the order of their cursors: no conversation has more
/// changes than its head is ahead of the cursor. (An outer column may bound a lateral subquery.)
const CATCH_UP: &str = concat!(
    "WITH here AS MATERIALIZED (
         SELECT k.place, k.asker, k.after, c.id, c.last_seq, v.access_since_seq,
                least($5, greatest(c.last_seq - k.after, 0)) AS most
         FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bigint[]) WITH ORDINALITY
              AS k (asker, viewer, id, after, place)
         CROSS JOIN LATERAL (SELECT * FROM conversations WHERE id = k.id AND deleted_at IS NULL LIMIT 1) c
         CROSS JOIN LATERAL (
             SELECT * FROM participants
             WHERE conversation_id = k.id AND user_id = k.viewer AND left_at IS NULL LIMIT 1) v),
     room AS MATERIALIZED (
         SELECT *, greatest(least(most, $6 - coalesce(sum(most) OVER (
             PARTITION BY asker ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)), 0)::bigint AS room
         FROM here)
     SELECT k.place, k.asker, k.id AS here, k.after, k.last_seq AS head, k.access_since_seq AS since, k.room, ",
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
    asker: i64,
    conversation: ConversationId,
    after: Seq,
    head: Seq,
    since: Seq,
    room: usize,
    rows: usize,
}

/// First pages of what was changed after cursors.
pub(super) async fn of(pool: &PgPool, behind: &[Behind], limit: u32) -> Outcome<Vec<Vec<Missed>>> {
    let mut missed: Vec<Vec<Missed>> = behind.iter().map(|_| Vec::new()).collect();
    let (mut askers, mut viewers, mut ids, mut afters) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (n, (viewer, cursors)) in behind.iter().enumerate() {
        for (id, after) in cursors.iter().take(CATCH_UP_CURSORS) {
            askers.push(place(n));
            viewers.push(viewer.0);
            ids.push(id.0);
            afters.push(int(*after));
        }
    }
    if askers.is_empty() {
        return Ok(missed);
    }
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query(CATCH_UP)
        .bind(askers)
        .bind(viewers)
        .bind(ids)
        .bind(afters)
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
                asker: row.try_get("asker")?,
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
            let viewer =
                usize::try_from(page.asker).ok().and_then(|asker| behind.get(asker)).map(|(viewer, _)| *viewer);
            changed.push((message, viewer));
        }
    }
    let mut changed = messages_for(&mut connection, changed).await?.into_iter();
    for its in pages {
        let changes = changed.by_ref().take(its.rows).map(|message| Change::of(message, its.after)).collect();
        let page = page(its.conversation, its.after, its.head, its.room, changes);
        if let Some(missed) = at(&mut missed, its.asker) {
            missed.push(Missed { page, access_since_seq: its.since });
        }
    }
    Ok(missed)
}
