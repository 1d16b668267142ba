//! Stored notifications: the list, and marking them read. What one shows of its message is the message's present text,
//! as far as the user may still read it.

use protocol::{
    ConversationId, MessageId, Notification, NotificationId, NotificationKind, Page, Timestamp, UserId, UserSeq,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{Text, from_db, id_list, time, time_opt},
    error::Db,
    pages,
    senders::SenderRow,
};
use crate::{Result, cursor::List};

/// Columns and tables of [`NotificationRow`], of `notifications n`: what comes next is `where`.
macro_rules! select_notifications {
    () => {
        concat!(
            "select n.id, n.user_seq, n.kind, n.conversation_id, n.message_id, ",
            $crate::sqlite::senders::sender_columns!(),
            ", (select substr(m.content, 1, 200) from messages m \
             join participants p on p.conversation_id = m.conversation_id and p.user_id = n.user_id \
             and p.left_at is null and p.access_since_seq < m.seq \
             join conversations c on c.id = m.conversation_id and c.deleted_at is null \
             where m.id = n.message_id) as preview, n.created_at, n.read_at from notifications n \
             join users s on s.id = n.actor_id "
        )
    };
}
pub(in super::super) use select_notifications;

/// See [`select_notifications`].
#[derive(sqlx::FromRow)]
pub(in super::super) struct NotificationRow {
    id: Uuid,
    user_seq: i64,
    kind: String,
    conversation_id: Uuid,
    message_id: Uuid,
    #[sqlx(flatten)]
    actor: SenderRow,
    preview: Option<String>,
    created_at: i64,
    read_at: Option<i64>,
}

impl NotificationRow {
    pub(in super::super) fn into_notification(self) -> Result<Notification> {
        Ok(Notification {
            id: NotificationId(self.id),
            user_seq: from_db(self.user_seq),
            kind: NotificationKind::parse(&self.kind)?,
            conversation_id: ConversationId(self.conversation_id),
            message_id: MessageId(self.message_id),
            actor: self.actor.into_sender(),
            preview: self.preview.unwrap_or_default(),
            created_at: time(self.created_at)?,
            read_at: time_opt(self.read_at)?,
        })
    }
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    user: UserId,
    unread_only: bool,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Notification>> {
    let (at, id) = pages::keyset(List::Notifications, cursor)?;
    let rows: Vec<NotificationRow> = sqlx::query_as(concat!(
        select_notifications!(),
        "where n.user_id = ?1 and (not ?2 or n.read_at is null) \
         and (?3 is null or (n.created_at, n.id) < (?3, ?4)) order by n.created_at desc, n.id desc limit ?5"
    ))
    .bind(user.0)
    .bind(unread_only)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let items = rows.into_iter().map(NotificationRow::into_notification).collect::<Result<Vec<_>>>()?;
    Ok(pages::page(items, limit, List::Notifications, |item| (item.created_at, item.id.0)))
}

/// Inside a write transaction. Each takes a place of its own in the feed, the oldest the first. The feed's head when
/// any was marked.
pub(super) async fn read(
    conn: &mut SqliteConnection,
    user: UserId,
    ids: Option<&[NotificationId]>,
    now: Timestamp,
) -> Result<Option<UserSeq>> {
    let done = sqlx::query(
        "update notifications set read_at = ?3, \
         user_seq = (select feed_seq from users where id = ?1) + marked.place from \
         (select id, row_number() over (order by created_at, id) as place from notifications \
         where user_id = ?1 and read_at is null \
         and (?2 is null or id in (select unhex(value) from json_each(?2)))) as marked \
         where notifications.id = marked.id",
    )
    .bind(user.0)
    .bind(ids.map(|ids| id_list(ids.iter().map(|id| id.0))))
    .bind(now.unix_millis())
    .execute(&mut *conn)
    .await
    .db()?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let head: i64 = sqlx::query_scalar("update users set feed_seq = feed_seq + ? where id = ? returning feed_seq")
        .bind(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
        .bind(user.0)
        .fetch_one(conn)
        .await
        .db()?;
    Ok(Some(from_db(head)))
}

pub(super) async fn unread(conn: &mut SqliteConnection, user: UserId) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("select count(*) from notifications where user_id = ? and read_at is null")
        .bind(user.0)
        .fetch_one(conn)
        .await
        .db()?;
    Ok(from_db(count))
}
