//! Conversations as a viewer sees them: the row with the viewer's own, the last message, the other one of a direct
//! conversation, the mentions that are not read. Six statements for a page at most, however long; all inside one read
//! transaction.

use protocol::{
    Conversation, ConversationFilter, ConversationId, ConversationKind, History, Message, Notify, Page, Posting, Role,
    Seq, Subject, User, UserId,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{Text, fold, from_db, id_list, time, time_opt},
    error::{Db, corrupt},
    load,
    pages::{self, keyset, page},
    rows::{MessageRow, UserRow, select_messages, user_columns},
};
use crate::{IdMap, Result, cursor::List};

/// How many of the mentions that are not read are told by their place.
const MENTION_SEQS_SHOWN: i64 = 100;

/// Columns and tables of [`ViewRow`]; `?1` is the viewer.
macro_rules! select_views {
    () => {
        "select c.id, c.kind, c.title, c.description, c.avatar_url, c.subject, c.posting, c.history, \
         c.slow_mode_seconds, c.participant_count, c.last_seq, c.last_number, c.last_activity_at, c.archived_at, \
         c.created_at, p.role, p.notify, p.access_since_seq, p.read_seq, p.read_number, p.muted_until, p.pinned_at \
         from conversations c \
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
    slow_mode_seconds: u32,
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
    pinned_at: Option<i64>,
}

/// The other one of a direct conversation.
struct Other {
    user: User,
    delivered_seq: Seq,
    read_seq: Seq,
}

/// Mentions of the viewer that are not read: how many, and the places of the first.
#[derive(Default)]
struct Mentions {
    count: u64,
    seqs: Vec<Seq>,
}

impl ViewRow {
    fn into_view(self, last: Option<Message>, other: Option<Other>, mentions: Mentions) -> Result<Conversation> {
        let subject = self.subject.as_deref().map(serde_json::from_str::<Subject>).transpose();
        let since: Option<Seq> = self.access_since_seq.map(from_db);
        Ok(Conversation {
            id: ConversationId(self.id),
            kind: ConversationKind::parse(&self.kind)?,
            title: self.title,
            description: self.description,
            avatar_url: self.avatar_url,
            subject: subject.map_err(|_| corrupt("a subject"))?,
            other_presence: None,
            other_delivered_seq: other.as_ref().map(|other| other.delivered_seq),
            other_read_seq: other.as_ref().map(|other| other.read_seq),
            other: other.map(|other| other.user),
            role: self.role.as_deref().map(Role::parse).transpose()?,
            posting: Posting::parse(&self.posting)?,
            history: History::parse(&self.history)?,
            slow_mode_seconds: self.slow_mode_seconds,
            notify: self.notify.as_deref().map(Notify::parse).transpose()?.unwrap_or_default(),
            participant_count: from_db(self.participant_count),
            last_seq: from_db(self.last_seq),
            last_message: last.filter(|message| since.is_some_and(|since| message.seq > since)).map(Box::new),
            last_activity_at: time(self.last_activity_at)?,
            unread_count: self.read_number.map_or(0, |read| from_db(self.last_number.saturating_sub(read))),
            mention_count: mentions.count,
            mention_seqs: mentions.seqs,
            last_number: from_db(self.last_number),
            read_seq: self.read_seq.map_or(0, from_db),
            read_number: self.read_number.map_or(0, from_db),
            muted_until: time_opt(self.muted_until)?,
            pinned_at: time_opt(self.pinned_at)?,
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
    .bind(&mine)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let last = load::messages(conn, last, Some(viewer)).await?;
    let mut last: IdMap<Uuid, Message> = last.into_iter().map(|message| (message.conversation_id.0, message)).collect();
    let mut mentions = mentions(conn, viewer, &mine).await?;
    let direct: Vec<Uuid> = rows.iter().filter(|row| row.kind == "direct").map(|row| row.id).collect();
    let mut others = if direct.is_empty() { IdMap::default() } else { others(conn, viewer, direct).await? };
    rows.into_iter()
        .map(|row| {
            let (last, other) = (last.remove(&row.id), others.remove(&row.id));
            let mentions = mentions.remove(&row.id).unwrap_or_default();
            row.into_view(last, other, mentions)
        })
        .collect()
}

/// A message that mentions the viewer and everybody counts once.
async fn mentions(conn: &mut SqliteConnection, viewer: UserId, mine: &str) -> Result<IdMap<Uuid, Mentions>> {
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "with found as (select distinct m.conversation_id, m.seq from json_each(?2) j \
         join participants p on p.conversation_id = unhex(j.value) and p.user_id = ?1 \
         join mentions m on m.user_id in (?1, ?3) and m.conversation_id = p.conversation_id \
         and m.seq > max(p.read_seq, p.access_since_seq)) \
         select conversation_id, seq, total from (select conversation_id, seq, \
         count(*) over (partition by conversation_id) as total, \
         row_number() over (partition by conversation_id order by seq) as place from found) \
         where place <= ?4 order by conversation_id, seq",
    )
    .bind(viewer.0)
    .bind(mine)
    .bind(Uuid::nil())
    .bind(MENTION_SEQS_SHOWN)
    .fetch_all(conn)
    .await
    .db()?;
    let mut found: IdMap<Uuid, Mentions> = IdMap::default();
    for (conversation, seq, total) in rows {
        let mentions = found.entry(conversation).or_default();
        mentions.count = from_db(total);
        mentions.seqs.push(from_db(seq));
    }
    Ok(found)
}

async fn others(conn: &mut SqliteConnection, viewer: UserId, direct: Vec<Uuid>) -> Result<IdMap<Uuid, Other>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        conversation_id: Uuid,
        delivered_seq: i64,
        read_seq: i64,
        #[sqlx(flatten)]
        user: UserRow,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select p.conversation_id, p.delivered_seq, p.read_seq, ",
        user_columns!(),
        " from json_each(?2) j join participants p on p.conversation_id = unhex(j.value) and p.user_id <> ?1 \
         join users u on u.id = p.user_id"
    ))
    .bind(viewer.0)
    .bind(id_list(direct))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|row| {
            let other = Other {
                user: row.user.into_user()?,
                delivered_seq: from_db(row.delivered_seq),
                read_seq: from_db(row.read_seq),
            };
            Ok((row.conversation_id, other))
        })
        .collect()
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

pub(super) async fn mine(
    conn: &mut SqliteConnection,
    viewer: UserId,
    filter: &ConversationFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Conversation>> {
    let (at, id) = keyset(List::Conversations, cursor)?;
    let rows: Vec<ViewRow> = sqlx::query_as(concat!(
        select_views!(),
        "where p.user_id is not null and c.deleted_at is null \
         and (?2 is null or (c.last_activity_at, c.id) < (?2, ?3)) and (?5 is null or c.kind = ?5) \
         and (?6 is null or (c.last_number > p.read_number) = ?6) \
         and (?7 is null or (c.archived_at is not null) = ?7) \
         order by c.last_activity_at desc, c.id desc limit ?4"
    ))
    .bind(viewer.0)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .bind(filter.kind.map(Text::text))
    .bind(filter.unread)
    .bind(filter.archived)
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
    .bind(pages::rows(limit))
    .bind(fold(query))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let items = complete(conn, viewer, rows).await?;
    Ok(page(items, limit, List::Public, |item| (item.last_activity_at, item.id.0)))
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
