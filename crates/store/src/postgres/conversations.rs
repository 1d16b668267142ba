//! Conversations as one viewer sees them. However many are asked for, the statements are a handful: the rows, their
//! last messages (and what those show from other tables), the other ones of direct conversations and unread mentions,
//! in one snapshot.

use protocol::{
    Conversation, ConversationFilter, ConversationId, ConversationKind, History, Message, Notify, Page, Posting, Role,
    Seq, Subject, Timestamp, User, UserId,
};
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    fault::Outcome,
    keyset::older,
    rows::{MessageRow, UserRow, message_columns, message_joins, messages, user_columns},
    values::{Word, count, fold, moment, small},
};
use crate::IdMap;
use crate::cursor::{self, List};

/// Begins a transaction whose statements all see the same snapshot.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Columns of [`ConversationRow`], from `c` and the viewer's active participant row `p`, if any.
macro_rules! conversation_columns {
    () => {
        "c.id, c.kind, c.title, c.description, c.avatar_url, c.subject, c.posting, c.history, c.participant_count,
         c.last_seq, c.last_number, c.last_activity_at, c.archived_at, c.created_at,
         c.slow_mode_seconds, p.role, p.notify, p.read_seq, p.read_number, p.access_since_seq, p.muted_until,
         p.pinned_at"
    };
}

#[derive(FromRow)]
struct ConversationRow {
    id: Uuid,
    kind: String,
    title: Option<String>,
    description: Option<String>,
    avatar_url: Option<String>,
    subject: Option<Json<Subject>>,
    posting: String,
    history: String,
    participant_count: i64,
    last_seq: i64,
    last_number: i64,
    last_activity_at: OffsetDateTime,
    archived_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    role: Option<String>,
    notify: Option<String>,
    read_seq: Option<i64>,
    read_number: Option<i64>,
    access_since_seq: Option<i64>,
    muted_until: Option<OffsetDateTime>,
    slow_mode_seconds: i32,
    pinned_at: Option<OffsetDateTime>,
}

impl ConversationRow {
    fn unread(&self) -> u64 {
        self.read_number.map_or(0, |read| count(self.last_number - read))
    }

    fn view(self, last: Option<Message>, other: Option<Other>, mentions: Mentions) -> Outcome<Conversation> {
        let since = self.access_since_seq.map(count);
        let unread_count = self.unread();
        Ok(Conversation {
            id: ConversationId(self.id),
            kind: ConversationKind::of(&self.kind)?,
            title: self.title,
            description: self.description,
            avatar_url: self.avatar_url,
            subject: self.subject.map(|Json(subject)| subject),
            other_presence: None,
            other_delivered_seq: other.as_ref().map(|other| other.delivered_seq),
            other_read_seq: other.as_ref().map(|other| other.read_seq),
            other: other.map(|other| other.user),
            slow_mode_seconds: small(self.slow_mode_seconds),
            pinned_at: moment(self.pinned_at),
            role: self.role.as_deref().map(Role::of).transpose()?,
            posting: Posting::of(&self.posting)?,
            history: History::of(&self.history)?,
            notify: self.notify.as_deref().map(Notify::of).transpose()?.unwrap_or_default(),
            participant_count: count(self.participant_count),
            last_seq: count(self.last_seq),
            last_message: last.filter(|message| since.is_some_and(|since| message.seq > since)).map(Box::new),
            last_activity_at: Timestamp::new(self.last_activity_at),
            unread_count,
            mention_count: mentions.count,
            mention_seqs: mentions.seqs,
            last_number: count(self.last_number),
            read_number: self.read_number.map_or(0, count),
            read_seq: self.read_seq.map_or(0, count),
            muted_until: moment(self.muted_until),
            archived_at: moment(self.archived_at),
            created_at: Timestamp::new(self.created_at),
        })
    }
}

/// One conversation that the viewer takes part in, or may look at.
pub(super) async fn one(pool: &PgPool, viewer: UserId, id: ConversationId) -> Outcome<Option<Conversation>> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let row: Option<ConversationRow> = sqlx::query_as(concat!(
        "SELECT ",
        conversation_columns!(),
        " FROM conversations c
          JOIN users u ON u.id = $1 AND u.org_id = c.org_id
          LEFT JOIN participants p ON p.conversation_id = c.id AND p.user_id = u.id AND p.left_at IS NULL
          WHERE c.id = $2 AND c.deleted_at IS NULL AND (p.user_id IS NOT NULL OR c.kind = 'public')"
    ))
    .bind(viewer.0)
    .bind(id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let mut views = complete(&mut tx, viewer, row.into_iter().collect()).await?;
    tx.commit().await?;
    Ok(views.pop())
}

/// Those of `ids` that the viewer takes part in and that are not deleted, in no particular order.
pub(super) async fn some(tx: &mut PgConnection, viewer: UserId, ids: &[Uuid]) -> Outcome<Vec<Conversation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<ConversationRow> = sqlx::query_as(concat!(
        "SELECT ",
        conversation_columns!(),
        " FROM participants p JOIN conversations c ON c.id = p.conversation_id
          WHERE p.user_id = $1 AND p.conversation_id = ANY($2) AND p.left_at IS NULL AND c.deleted_at IS NULL"
    ))
    .bind(viewer.0)
    .bind(ids)
    .fetch_all(&mut *tx)
    .await?;
    complete(tx, viewer, rows).await
}

/// A page of the viewer's conversations, last activity first.
pub(super) async fn of_user(
    pool: &PgPool,
    viewer: UserId,
    filter: &ConversationFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Conversation>> {
    let before = cursor.map(|cursor| cursor::decode(List::Conversations, cursor)).transpose()?;
    let limit = limit.max(1);
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let rows: Vec<ConversationRow> = sqlx::query_as(concat!(
        "SELECT ",
        conversation_columns!(),
        " FROM participants p JOIN conversations c ON c.id = p.conversation_id
          WHERE p.user_id = $1 AND p.left_at IS NULL AND c.deleted_at IS NULL
            AND ",
        older!("c.last_activity_at", "c.id", "$2", "$3"),
        "AND ($5::text IS NULL OR c.kind = $5)
            AND ($6::boolean IS NULL OR (c.last_number > p.read_number) = $6)
            AND ($7::boolean IS NULL OR (c.archived_at IS NOT NULL) = $7)
          ORDER BY c.last_activity_at DESC, c.id DESC LIMIT $4"
    ))
    .bind(viewer.0)
    .bind(before.map(|(at, _)| at.get()))
    .bind(before.map(|(_, id)| id))
    .bind(i64::from(limit) + 1)
    .bind(filter.kind.map(Word::word))
    .bind(filter.unread)
    .bind(filter.archived)
    .fetch_all(&mut *tx)
    .await?;
    let page = page(&mut tx, viewer, List::Conversations, rows, limit).await?;
    tx.commit().await?;
    Ok(page)
}

/// A page of the lobby of the viewer's org, last activity first.
pub(super) async fn public(
    pool: &PgPool,
    viewer: UserId,
    query: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Conversation>> {
    let before = cursor.map(|cursor| cursor::decode(List::Public, cursor)).transpose()?;
    let limit = limit.max(1);
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let rows: Vec<ConversationRow> = sqlx::query_as(concat!(
        "SELECT ",
        conversation_columns!(),
        " FROM users u
          JOIN conversations c ON c.org_id = u.org_id AND c.kind = 'public' AND c.deleted_at IS NULL
          LEFT JOIN participants p ON p.conversation_id = c.id AND p.user_id = u.id AND p.left_at IS NULL
          WHERE u.id = $1 AND ($2 = '' OR strpos(c.title_key, $2) > 0)
            AND ",
        older!("c.last_activity_at", "c.id", "$3", "$4"),
        "ORDER BY c.last_activity_at DESC, c.id DESC LIMIT $5"
    ))
    .bind(viewer.0)
    .bind(fold(query))
    .bind(before.map(|(at, _)| at.get()))
    .bind(before.map(|(_, id)| id))
    .bind(i64::from(limit) + 1)
    .fetch_all(&mut *tx)
    .await?;
    let page = page(&mut tx, viewer, List::Public, rows, limit).await?;
    tx.commit().await?;
    Ok(page)
}

/// Makes a page of one row more than it shows.
async fn page(
    tx: &mut PgConnection,
    viewer: UserId,
    list: List,
    mut rows: Vec<ConversationRow>,
    limit: u32,
) -> Outcome<Page<Conversation>> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor =
        rows.last().filter(|_| more).map(|last| cursor::encode(list, Timestamp::new(last.last_activity_at), last.id));
    Ok(Page { items: complete(tx, viewer, rows).await?, next_cursor })
}

/// Adds what is in other tables.
async fn complete(tx: &mut PgConnection, viewer: UserId, rows: Vec<ConversationRow>) -> Outcome<Vec<Conversation>> {
    // Outsiders may not read the last message.
    let inside: Vec<Uuid> = rows.iter().filter(|row| row.role.is_some()).map(|row| row.id).collect();
    let direct: Vec<Uuid> =
        rows.iter().filter(|row| row.kind == ConversationKind::Direct.word()).map(|row| row.id).collect();
    let unread: Vec<Uuid> = rows.iter().filter(|row| row.unread() > 0).map(|row| row.id).collect();
    let mut last = last_messages(tx, viewer, &inside).await?;
    let mut others = others(tx, viewer, &direct).await?;
    let mut mentions = mentions(tx, viewer, &unread).await?;
    rows.into_iter()
        .map(|row| {
            let id = ConversationId(row.id);
            row.view(last.remove(&id), others.remove(&id), mentions.remove(&id).unwrap_or_default())
        })
        .collect()
}

async fn last_messages(tx: &mut PgConnection, viewer: UserId, ids: &[Uuid]) -> Outcome<IdMap<ConversationId, Message>> {
    if ids.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM unnest($1::uuid[]) AS k (id)
          CROSS JOIN LATERAL (
              SELECT * FROM messages m WHERE m.conversation_id = k.id ORDER BY m.seq DESC LIMIT 1) m",
        message_joins!()
    ))
    .bind(ids)
    .fetch_all(&mut *tx)
    .await?;
    let messages = messages(tx, rows, Some(viewer)).await?;
    Ok(messages.into_iter().map(|message| (message.conversation_id, message)).collect())
}

#[derive(FromRow)]
struct OtherRow {
    conversation_id: Uuid,
    read_seq: i64,
    delivered_seq: i64,
    #[sqlx(flatten)]
    user: UserRow,
}

/// The other one in a direct conversation.
struct Other {
    user: User,
    read_seq: Seq,
    delivered_seq: Seq,
}

async fn others(tx: &mut PgConnection, viewer: UserId, ids: &[Uuid]) -> Outcome<IdMap<ConversationId, Other>> {
    if ids.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<OtherRow> = sqlx::query_as(concat!(
        "SELECT p.conversation_id, p.read_seq, p.delivered_seq, ",
        user_columns!(),
        " FROM participants p JOIN users u ON u.id = p.user_id
          WHERE p.conversation_id = ANY($1) AND p.user_id <> $2"
    ))
    .bind(ids)
    .bind(viewer.0)
    .fetch_all(tx)
    .await?;
    let other = |row: OtherRow| {
        let (read_seq, delivered_seq) = (count(row.read_seq), count(row.delivered_seq));
        (ConversationId(row.conversation_id), Other { user: row.user.user(), read_seq, delivered_seq })
    };
    Ok(rows.into_iter().map(other).collect())
}

/// Mentions that the viewer has not read, and the places of the first hundred.
#[derive(Default)]
struct Mentions {
    count: u64,
    seqs: Vec<Seq>,
}

/// Of conversations where something is not read. Everybody is the nil user.
async fn mentions(tx: &mut PgConnection, viewer: UserId, ids: &[Uuid]) -> Outcome<IdMap<ConversationId, Mentions>> {
    if ids.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<(Uuid, i64, Vec<i64>)> = sqlx::query_as(
        "SELECT p.conversation_id, count(*), (array_agg(x.seq ORDER BY x.seq))[:100]
         FROM unnest($1::uuid[]) AS k (id)
         JOIN participants p ON p.conversation_id = k.id AND p.user_id = $2
         CROSS JOIN unnest(ARRAY[$2, '00000000-0000-0000-0000-000000000000'::uuid]) AS named (id)
         JOIN mentions x ON x.user_id = named.id AND x.conversation_id = k.id
                        AND x.seq > greatest(p.read_seq, p.access_since_seq)
         GROUP BY p.conversation_id",
    )
    .bind(ids)
    .bind(viewer.0)
    .fetch_all(tx)
    .await?;
    let mentions = |(id, mentions, seqs): (Uuid, i64, Vec<i64>)| {
        (ConversationId(id), Mentions { count: count(mentions), seqs: seqs.into_iter().map(count).collect() })
    };
    Ok(rows.into_iter().map(mentions).collect())
}
