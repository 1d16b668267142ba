//! Many conversations at once, for one user: what changed since a watermark, and the first page of each. Both run
//! inside a read transaction, which is one snapshot; a statement per conversation costs nothing in this process.

use protocol::{Changes, ChangesTag, ConversationId, Seq, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, to_db},
    error::Db,
    follow::now,
    messages::changes,
};
use crate::{CATCH_UP_CHANGES, CATCH_UP_CURSORS, ChangedSince, Missed, Result, Since, Watermark};

/// First pages of what was changed after cursors.
pub(super) async fn catch_up(
    conn: &mut SqliteConnection,
    viewer: UserId,
    cursors: &[(ConversationId, Seq)],
    limit: u32,
) -> Result<Vec<Missed>> {
    let mut room = CATCH_UP_CHANGES;
    let mut pages = Vec::new();
    for (conversation, after) in cursors.iter().take(CATCH_UP_CURSORS) {
        // A page without room still tells where the head is.
        let limit = limit.clamp(1, CATCH_UP_CHANGES).min(room.max(1));
        let Some(mut page) = changes(conn, Some(viewer), *conversation, *after, limit).await? else { continue };
        let head = page.to.max(*after);
        if room == 0 && head > *after {
            page = Changes {
                tag: ChangesTag::Changes,
                conversation_id: *conversation,
                from: *after,
                to: *after,
                more: true,
                changes: Vec::new(),
            };
        }
        page.to = page.to.max(*after);
        room = room.saturating_sub(page.changes.len() as u32);
        let since: i64 =
            sqlx::query_scalar("select access_since_seq from participants where conversation_id = ? and user_id = ?")
                .bind(conversation.0)
                .bind(viewer.0)
                .fetch_one(&mut *conn)
                .await
                .db()?;
        pages.push(Missed { page, access_since_seq: from_db(since) });
    }
    Ok(pages)
}

/// One writer numbers the transactions, so what could be seen at a watermark is whatever has a smaller number (its list
/// of writes in progress is always empty).
pub(super) async fn changed_since(
    conn: &mut SqliteConnection,
    user: UserId,
    user_seq: UserSeq,
    since: &Watermark,
    limit: u32,
) -> Result<Since> {
    let (epoch, watermark) = now(conn).await?;
    // This history has not shown it yet, nor ever will: the database was restored from a backup.
    let is_foreign = since.horizon() > watermark.horizon();
    let rows: Vec<(Uuid, i64, Option<i64>)> = sqlx::query_as(
        "select c.id, c.last_seq, (select m.changed_seq from messages m \
         where m.conversation_id = c.id and m.changed_seq >= c.last_seq - ?3 and m.changed_in < ?2 \
         order by m.changed_seq desc limit 1) \
         from participants p join conversations c on c.id = p.conversation_id \
         where p.user_id = ?1 and (p.left_at is null or p.member_user_seq > ?5) \
         and (c.changed_in >= ?2 or ?4) \
         order by c.last_activity_at desc, c.id desc",
    )
    .bind(user.0)
    .bind(since.horizon())
    .bind(i64::from(limit.max(1)))
    .bind(is_foreign)
    .bind(to_db(user_seq))
    .fetch_all(conn)
    .await
    .db()?;
    let mut items = Vec::with_capacity(rows.len());
    for (id, last_seq, seen) in rows {
        let cursor = match seen {
            _ if is_foreign => None,
            // None was seen of those that were looked at, which are all if there are no more.
            None => (last_seq <= i64::from(limit.max(1))).then_some(0),
            Some(seen) => Some(seen),
        };
        if cursor != Some(last_seq) {
            let (cursor, last_seq) = (cursor.map(from_db), from_db(last_seq));
            items.push(ChangedSince { conversation_id: ConversationId(id), cursor, last_seq });
        }
    }
    Ok(Since { epoch, watermark, items })
}
