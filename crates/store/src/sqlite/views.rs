//! Conversations as a viewer sees them: the row with the viewer's own, the last message, the other one of a direct
//! conversation. Three statements for a page, however long; all inside one read transaction.

use std::collections::HashMap;

use protocol::{
    Conversation, ConversationId, ConversationKind, History, Message, Notify, Page, Participant, Posting, Role, Seq,
    Subject, Timestamp, User, UserId,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{Text, fold, from_db, id_list, time, time_opt},
    error::{Db, corrupt},
    rows::{MessageRow, UserRow, select_messages, user_columns},
};
use crate::{
    Access, LockedParticipant, Result,
    cursor::{self, List},
};

/// Columns and tables of [`ViewRow`]; `?1` is the viewer.
macro_rules! select_views {
    () => {
        "select c.id, c.kind, c.title, c.description, c.avatar_url, c.subject, c.posting, c.history, \
         c.participant_count, c.last_seq, c.last_number, c.last_activity_at, c.archived_at, c.created_at, p.role, \
         p.notify, p.access_since_seq, p.read_seq, p.read_number, p.muted_until from conversations c \
         left join participants p on p.conversation_id = c.id and p.user_id = ?1 and p.left_at is null "
    };
}

#[derive(sqlx::FromRow)]
struct ViewRow {
    id: Uuid,
    kind: String,
    title: Option<String>,
    description: Option<String>,
    avatar_url: Option<String>,
    subject: Option<String>,
    posting: String,
    history: String,
    participant_count: i64,
    last_seq: i64,
    last_number: i64,
    last_activity_at: i64,
    archived_at: Option<i64>,
    created_at: i64,
    role: Option<String>,
    notify: Option<String>,
    access_since_seq: Option<i64>,
    read_seq: Option<i64>,
    read_number: Option<i64>,
    muted_until: Option<i64>,
}

impl ViewRow {
    fn into_view(self, last: Option<Message>, other: Option<User>) -> Result<Conversation> {
        let subject = self.subject.as_deref().map(serde_json::from_str::<Subject>).transpose();
        let since: Option<Seq> = self.access_since_seq.map(from_db);
        Ok(Conversation {
            id: ConversationId(self.id),
            kind: ConversationKind::parse(&self.kind)?,
            title: self.title,
            description: self.description,
            avatar_url: self.avatar_url,
            subject: subject.map_err(|_| corrupt("a subject"))?,
            other,
            other_presence: None,
            other_delivered_seq: None,
            other_read_seq: None,
            slow_mode_seconds: 0,
            pinned_at: None,
            role: self.role.as_deref().map(Role::parse).transpose()?,
            posting: Posting::parse(&self.posting)?,
            history: History::parse(&self.history)?,
            notify: self.notify.as_deref().map(Notify::parse).transpose()?.unwrap_or_default(),
            participant_count: from_db(self.participant_count),
            last_seq: from_db(self.last_seq),
            last_message: last.filter(|message| since.is_some_and(|since| message.seq > since)).map(Box::new),
            last_activity_at: time(self.last_activity_at)?,
            unread_count: self.read_number.map_or(0, |read| from_db(self.last_number.saturating_sub(read))),
            mention_count: 0,
            last_number: 0,
            mention_seqs: Vec::new(),
            read_number: 0,
            read_seq: self.read_seq.map_or(0, from_db),
            muted_until: time_opt(self.muted_until)?,
            archived_at: time_opt(self.archived_at)?,
            created_at: time(self.created_at)?,
        })
    }
}

/// Adds what the rows alone do not say.
async fn complete(conn: &mut SqliteConnection, viewer: UserId, rows: Vec<ViewRow>) -> Result<Vec<Conversation>> {
    let mine = id_list(rows.iter().filter(|row| row.role.is_some()).map(|row| row.id));
    let last: Vec<MessageRow> = sqlx::query_as(select_messages!(
        "json_each(?) j join",
        "on m.conversation_id = unhex(j.value) \
         and m.seq = (select max(x.seq) from messages x where x.conversation_id = unhex(j.value))"
    ))
    .bind(mine)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let mut last: HashMap<ConversationId, Message> = last
        .into_iter()
        .map(|row| row.into_message().map(|message| (message.conversation_id, message)))
        .collect::<Result<_>>()?;
    let direct: Vec<Uuid> = rows.iter().filter(|row| row.kind == "direct").map(|row| row.id).collect();
    let mut others = if direct.is_empty() { HashMap::new() } else { others(conn, viewer, direct).await? };
    rows.into_iter()
        .map(|row| {
            let (last, other) = (last.remove(&ConversationId(row.id)), others.remove(&row.id));
            row.into_view(last, other)
        })
        .collect()
}

async fn others(conn: &mut SqliteConnection, viewer: UserId, direct: Vec<Uuid>) -> Result<HashMap<Uuid, User>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        conversation_id: Uuid,
        #[sqlx(flatten)]
        user: UserRow,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select p.conversation_id, ",
        user_columns!(),
        " from json_each(?2) j join participants p on p.conversation_id = unhex(j.value) and p.user_id <> ?1 \
         join users u on u.id = p.user_id"
    ))
    .bind(viewer.0)
    .bind(id_list(direct))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter().map(|row| Ok((row.conversation_id, row.user.into_user()?))).collect()
}

pub(super) async fn one(
    conn: &mut SqliteConnection,
    viewer: UserId,
    id: ConversationId,
) -> Result<Option<Conversation>> {
    Ok(many(conn, viewer, &[id]).await?.into_iter().next())
}

/// Those of `ids` that the viewer may see, in no particular order.
pub(super) async fn many(
    conn: &mut SqliteConnection,
    viewer: UserId,
    ids: &[ConversationId],
) -> Result<Vec<Conversation>> {
    let rows: Vec<ViewRow> = sqlx::query_as(concat!(
        select_views!(),
        "where c.id in (select unhex(value) from json_each(?2)) and c.deleted_at is null and (p.user_id is not null \
         or (c.kind = 'public' and c.org_id = (select org_id from users where id = ?1)))"
    ))
    .bind(viewer.0)
    .bind(id_list(ids.iter().map(|id| id.0)))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    complete(conn, viewer, rows).await
}

/// The time and id after which a page starts, as parameters: nulls for the first page.
fn keyset(list: List, cursor: Option<&str>) -> Result<(Option<i64>, Option<Uuid>)> {
    let after = cursor.map(|cursor| cursor::decode(list, cursor)).transpose()?;
    Ok(after.map_or((None, None), |(at, id)| (Some(at.unix_millis()), Some(id))))
}

/// One row more than the page was asked for: there is a next page.
fn page<T>(mut items: Vec<T>, limit: usize, list: List, key: impl Fn(&T) -> (Timestamp, Uuid)) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|item| {
        let (at, id) = key(item);
        cursor::encode(list, at, id)
    });
    Page { items, next_cursor }
}

pub(super) async fn mine(
    conn: &mut SqliteConnection,
    viewer: UserId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Conversation>> {
    let limit = limit.max(1) as usize;
    let (at, id) = keyset(List::Conversations, cursor)?;
    let rows: Vec<ViewRow> = sqlx::query_as(concat!(
        select_views!(),
        "where p.user_id is not null and c.deleted_at is null \
         and (?2 is null or (c.last_activity_at, c.id) < (?2, ?3)) \
         order by c.last_activity_at desc, c.id desc limit ?4"
    ))
    .bind(viewer.0)
    .bind(at)
    .bind(id)
    .bind(limit as i64 + 1)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let items = complete(conn, viewer, rows).await?;
    Ok(page(items, limit, List::Conversations, |item| (item.last_activity_at, item.id.0)))
}

pub(super) async fn lobby(
    conn: &mut SqliteConnection,
    viewer: UserId,
    query: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Conversation>> {
    let limit = limit.max(1) as usize;
    let (at, id) = keyset(List::Public, cursor)?;
    let rows: Vec<ViewRow> = sqlx::query_as(concat!(
        select_views!(),
        "where c.kind = 'public' and c.deleted_at is null \
         and c.org_id = (select org_id from users where id = ?1) \
         and instr(coalesce(c.title_key, ''), ?5) > 0 and (?2 is null or (c.last_activity_at, c.id) < (?2, ?3)) \
         order by c.last_activity_at desc, c.id desc limit ?4"
    ))
    .bind(viewer.0)
    .bind(at)
    .bind(id)
    .bind(limit as i64 + 1)
    .bind(fold(query))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let items = complete(conn, viewer, rows).await?;
    Ok(page(items, limit, List::Public, |item| (item.last_activity_at, item.id.0)))
}

pub(super) async fn participants(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Participant>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        participant_role: String,
        joined_at: i64,
        read_seq: i64,
        delivered_seq: i64,
    }
    let limit = limit.max(1) as usize;
    let (at, id) = keyset(List::Participants, cursor)?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        ", p.role as participant_role, p.joined_at, p.read_seq, p.delivered_seq \
         from participants p join users u on u.id = p.user_id \
         where p.conversation_id = ?1 and p.left_at is null and (?2 is null or (p.joined_at, p.user_id) > (?2, ?3)) \
         order by p.joined_at, p.user_id limit ?4"
    ))
    .bind(conversation.0)
    .bind(at)
    .bind(id)
    .bind(limit as i64 + 1)
    .fetch_all(conn)
    .await
    .db()?;
    let items = rows
        .into_iter()
        .map(|row| {
            Ok(Participant {
                user: row.user.into_user()?,
                role: Role::parse(&row.participant_role)?,
                joined_at: time(row.joined_at)?,
                read_seq: from_db(row.read_seq),
                delivered_seq: from_db(row.delivered_seq),
                blocked: false,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(page(items, limit, List::Participants, |item| (item.joined_at, item.user.id.0)))
}

pub(super) async fn access(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
) -> Result<Option<Access>> {
    let row: Option<(String, i64, Option<String>, Option<i64>)> = sqlx::query_as(
        "select c.kind, c.last_seq, p.role, p.access_since_seq from conversations c \
         join users u on u.id = ?1 and u.org_id = c.org_id \
         left join participants p on p.conversation_id = c.id and p.user_id = ?1 and p.left_at is null \
         where c.id = ?2 and c.deleted_at is null",
    )
    .bind(viewer.0)
    .bind(conversation.0)
    .fetch_optional(conn)
    .await
    .db()?;
    let Some((kind, last_seq, role, since)) = row else { return Ok(None) };
    let participant = match (role, since) {
        (Some(role), Some(since)) => Some(LockedParticipant {
            role: Role::parse(&role)?,
            active: true,
            access_since_seq: from_db(since),
            last_sent_at: None,
            notify: protocol::Notify::All,
            muted_until: None,
        }),
        _ => None,
    };
    Ok(Some(Access {
        kind: ConversationKind::parse(&kind)?,
        participant,
        last_seq: from_db(last_seq),
        posting: protocol::Posting::Everyone,
        archived_at: None,
        blocked: false,
        participant_count: 0,
    }))
}

/// What the viewer may read begins after this; `None` unless they take part in a conversation that is not deleted.
pub(super) async fn readable_since(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
) -> Result<Option<Seq>> {
    let since: Option<i64> = sqlx::query_scalar(
        "select p.access_since_seq from participants p join conversations c on c.id = p.conversation_id \
         where p.conversation_id = ? and p.user_id = ? and p.left_at is null and c.deleted_at is null",
    )
    .bind(conversation.0)
    .bind(viewer.0)
    .fetch_optional(conn)
    .await
    .db()?;
    Ok(since.map(from_db))
}

/// The epoch of this history; empty before the first migration.
pub(super) async fn epoch(conn: &mut SqliteConnection) -> Result<String> {
    sqlx::query_scalar("select epoch from meta").fetch_one(conn).await.db()
}
