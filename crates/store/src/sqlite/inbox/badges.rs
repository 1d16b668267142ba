//! What is derived from the read markers: the badges, and which conversations have messages to tell of.

use protocol::{ConversationId, Message, MessageNotification, Timestamp, Unread, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{from_db, id_list},
    error::Db,
    load,
    rows::{MessageRow, select_messages},
};
use crate::{IdMap, Result};

/// One statement. A message that mentions the user by name and everybody is one mention.
pub(super) async fn unread(conn: &mut SqliteConnection, user: UserId, now: Timestamp) -> Result<Unread> {
    let row: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "with counts as (select c.last_number - p.read_number as unread from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.user_id = ?1 and p.left_at is null and (p.muted_until is null or p.muted_until <= ?2) \
         and c.last_number > p.read_number) \
         select (select coalesce(sum(unread), 0) from counts), (select count(*) from counts), \
         (select count(*) from (select distinct m.conversation_id, m.seq from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         join mentions m on m.user_id in (?1, ?3) and m.conversation_id = p.conversation_id \
         and m.seq > max(p.read_seq, p.access_since_seq) where p.user_id = ?1 and p.left_at is null)), \
         (select count(*) from notifications where user_id = ?1 and read_at is null), \
         (select max(o.announcement_seq - coalesce(r.seq, 0), 0) from users u join orgs o on o.id = u.org_id \
         left join announcement_reads r on r.user_id = u.id where u.id = ?1)",
    )
    .bind(user.0)
    .bind(now.unix_millis())
    .bind(Uuid::nil())
    .fetch_one(conn)
    .await
    .db()?;
    let (unread, conversations, mentions, notifications, announcements) = row;
    Ok(Unread {
        unread_count: from_db(unread),
        conversation_count: from_db(conversations),
        mention_count: from_db(mentions),
        notification_count: from_db(notifications),
        announcement_count: from_db(announcements),
    })
}

/// Inside a read transaction. Who wants to hear of mentions alone is told of conversations where one, of them or of
/// everybody, is not read. What is not read is told by its newest text: it came after all that the user may not see.
pub(super) async fn messages(
    conn: &mut SqliteConnection,
    user: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<MessageNotification>> {
    let unread: Vec<(Uuid, i64)> = sqlx::query_as(
        "select c.id, c.last_number - p.read_number from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.user_id = ?1 and p.left_at is null and c.last_number > p.read_number \
         and p.notify <> 'none' and (p.muted_until is null or p.muted_until <= ?2) \
         and not exists (select 1 from notification_preferences n \
         where n.user_id = ?1 and (n.notify = 'none' or n.muted_until > ?2)) \
         and ((p.notify = 'all' and not exists (select 1 from notification_preferences n \
         where n.user_id = ?1 and n.notify <> 'all')) \
         or exists (select 1 from mentions m where m.user_id in (?1, ?4) and m.conversation_id = c.id \
         and m.seq > max(p.read_seq, p.access_since_seq))) \
         order by c.last_activity_at desc, c.id desc limit ?3",
    )
    .bind(user.0)
    .bind(now.unix_millis())
    .bind(i64::from(limit.max(1)))
    .bind(Uuid::nil())
    .fetch_all(&mut *conn)
    .await
    .db()?;
    if unread.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<MessageRow> = sqlx::query_as(select_messages!(
        "json_each(?) j join",
        "on m.conversation_id = unhex(j.value) and m.seq = (select x.seq from messages x \
         where x.conversation_id = unhex(j.value) and x.kind <> 'system' order by x.seq desc limit 1)"
    ))
    .bind(id_list(unread.iter().map(|(id, _)| *id)))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let last = load::messages(conn, rows, Some(user)).await?;
    let mut last: IdMap<ConversationId, Message> =
        last.into_iter().map(|message| (message.conversation_id, message)).collect();
    Ok(unread
        .into_iter()
        .filter_map(|(id, unread)| {
            let conversation_id = ConversationId(id);
            let last_message = last.remove(&conversation_id)?;
            Some(MessageNotification { conversation_id, unread_count: from_db(unread), last_message })
        })
        .collect())
}
