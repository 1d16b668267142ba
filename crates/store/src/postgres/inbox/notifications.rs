//! Stored notifications of one user. Their previews are looked up when they are read, so they follow edits, deletes and
//! leaving.

use protocol::{
    ConversationId, MessageId, Notification, NotificationId, NotificationKind, Page, Timestamp, UserId, UserSeq,
};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    conversations::SNAPSHOT,
    details::{Names, names},
    fault::{Fault, Outcome},
    keyset::{self, older},
    own_feed,
    values::{Word, count, int, moment},
};
use crate::{IdSet, cursor::List};

/// Columns of [`NotificationRow`], from a table called `n`. A preview is what its user may read now.
macro_rules! notification_columns {
    () => {
        "n.id, n.user_seq, n.kind, n.conversation_id, n.message_id, n.actor_id, n.created_at, n.read_at,
         (SELECT left(m.content, 200) FROM messages m
          JOIN participants v ON v.conversation_id = m.conversation_id AND v.user_id = n.user_id
                             AND v.left_at IS NULL AND m.seq > v.access_since_seq
          JOIN conversations c ON c.id = m.conversation_id AND c.deleted_at IS NULL
          WHERE m.id = n.message_id) AS preview"
    };
}

#[derive(FromRow)]
struct NotificationRow {
    id: Uuid,
    user_seq: i64,
    kind: String,
    conversation_id: Uuid,
    message_id: Uuid,
    actor_id: Uuid,
    preview: Option<String>,
    created_at: OffsetDateTime,
    read_at: Option<OffsetDateTime>,
}

impl NotificationRow {
    fn notification(self, names: &Names) -> Outcome<Notification> {
        let actor = names.get(&self.actor_id).ok_or(Fault::internal("who did it is not known"))?;
        Ok(Notification {
            id: NotificationId(self.id),
            user_seq: count(self.user_seq),
            kind: NotificationKind::of(&self.kind)?,
            conversation_id: ConversationId(self.conversation_id),
            message_id: MessageId(self.message_id),
            actor: actor.clone(),
            preview: self.preview.unwrap_or_default(),
            created_at: Timestamp::new(self.created_at),
            read_at: moment(self.read_at),
        })
    }
}

/// Two statements: each has one plan, and a few unread ones among many are found by an index of their own.
macro_rules! page {
    ($and:literal) => {
        concat!(
            "SELECT ",
            notification_columns!(),
            " FROM notifications n WHERE n.user_id = $1 ",
            $and,
            " AND ",
            older!("n.created_at", "n.id", "$2", "$3"),
            "ORDER BY n.created_at DESC, n.id DESC LIMIT $4"
        )
    };
}
const ALL: &str = page!("");
const UNREAD: &str = page!("AND n.read_at IS NULL");

/// A page, newest first.
pub(super) async fn page(
    pool: &PgPool,
    user: UserId,
    unread_only: bool,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Notification>> {
    let (before, before_id) = keyset::at(List::Notifications, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mut rows: Vec<NotificationRow> = sqlx::query_as(if unread_only { UNREAD } else { ALL })
        .bind(user.0)
        .bind(before)
        .bind(before_id)
        .bind(keyset::ask(limit))
        .fetch_all(&mut *tx)
        .await?;
    let next_cursor = keyset::next_at(&mut rows, limit, List::Notifications, |row| (row.created_at, row.id));
    let names = names(&mut tx, rows.iter().map(|row| row.actor_id).collect::<IdSet<_>>()).await?;
    tx.commit().await?;
    let items = rows.into_iter().map(|row| row.notification(&names)).collect::<Outcome<_>>()?;
    Ok(Page { items, next_cursor })
}

/// Those that came or were read after a place in the user's feed, in no particular order.
pub(in super::super) async fn moved(tx: &mut PgConnection, user: UserId, after: UserSeq) -> Outcome<Vec<Notification>> {
    let rows: Vec<NotificationRow> = sqlx::query_as(concat!(
        "SELECT ",
        notification_columns!(),
        " FROM notifications n WHERE n.user_id = $1 AND n.user_seq > $2"
    ))
    .bind(user.0)
    .bind(int(after))
    .fetch_all(&mut *tx)
    .await?;
    let names = names(tx, rows.iter().map(|row| row.actor_id).collect::<IdSet<_>>()).await?;
    rows.into_iter().map(|row| row.notification(&names)).collect()
}

/// Marks some read, or all: each takes a place of its own in the feed, in the order in which they came.
pub(super) async fn read(
    pool: &PgPool,
    user: UserId,
    ids: Option<&[NotificationId]>,
    now: Timestamp,
) -> Outcome<Option<UserSeq>> {
    let mut tx = pool.begin().await?;
    let head: Option<i64> = sqlx::query_scalar("SELECT feed_seq FROM users WHERE id = $1 FOR NO KEY UPDATE")
        .bind(user.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(head) = head else { return Ok(None) };
    let read = sqlx::query(
        "UPDATE notifications n SET read_at = $3, user_seq = $4 + k.place
         FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM notifications
               WHERE user_id = $1 AND read_at IS NULL AND ($2::uuid[] IS NULL OR id = ANY($2))) k
         WHERE n.id = k.id",
    )
    .bind(user.0)
    .bind(ids.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>()))
    .bind(now.get())
    .bind(head)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if read == 0 {
        return Ok(None);
    }
    let head = own_feed::take(&mut tx, user, read).await?;
    tx.commit().await?;
    Ok(Some(head))
}

/// How many are not read.
pub(super) async fn unread(pool: &PgPool, user: UserId) -> Outcome<u64> {
    let unread: i64 = sqlx::query_scalar("SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at IS NULL")
        .bind(user.0)
        .fetch_one(pool)
        .await?;
    Ok(count(unread))
}
