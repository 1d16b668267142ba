//! Rows as they come, and the wire's types made of them (messages with what `details.rs` reads for them).

use protocol::{
    Attachment, ConversationId, Message, MessageId, MessageKind, OrgId, OrgRole, Quote, Reaction, Sender, SystemChange,
    Thread, Timestamp, User, UserId,
};
use sqlx::{FromRow, Row, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    columns::Columns,
    details::{MentionCell, Names, mentions},
    fault::Outcome,
    values::{count, moment},
};

pub(super) use super::details::messages;

/// Columns of [`UserRow`], from a table called `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.org_id, u.username, u.display_name, u.avatar_url, u.status_text, u.role AS org_role, u.guest,
         u.disabled_at, u.created_at"
    };
}
pub(super) use user_columns;

/// Columns of [`MessageRow`], from a table called `m` and [`message_joins`]. Unless all may read everything, a quote
/// has no text: it may be from before its reader came, and a live event is the same bytes for all. The subquery runs
/// for replies alone; a join would be one more for the planner on every read.
macro_rules! message_columns {
    () => {
        "m.id, m.conversation_id, m.seq, m.changed_seq, m.number, m.kind, m.content, m.system, m.client_id,
         m.edited_at, m.deleted_at, m.created_at, m.fingerprint, m.sender_id, m.thread_root_id, m.mentions,
         m.attachments, m.pinned_at, m.reaction_count, m.reply_count, m.last_reply_seq,
         m.last_reply_at, m.last_repliers,
         s.username AS sender_username, s.display_name AS sender_display_name, s.avatar_url AS sender_avatar_url,
         q.id AS quote_id, q.seq AS quote_seq,
         CASE WHEN q.id IS NULL THEN NULL
              WHEN (SELECT qc.history FROM conversations qc WHERE qc.id = q.conversation_id) = 'all'
              THEN left(q.content, 200) ELSE '' END AS quote_content,
         q.deleted_at AS quote_deleted_at, q.sender_id AS quote_sender_id, qs.username AS quote_username,
         qs.display_name AS quote_display_name, qs.avatar_url AS quote_avatar_url"
    };
}
pub(super) use message_columns;

/// Joins a message's sender, and what it replies to, to a table called `m`.
macro_rules! message_joins {
    () => {
        " LEFT JOIN users s ON s.id = m.sender_id
          LEFT JOIN messages q ON q.id = m.reply_to_id AND q.conversation_id = m.conversation_id
          LEFT JOIN users qs ON qs.id = q.sender_id "
    };
}
pub(super) use message_joins;

/// Whether one of the two in the direct conversation `$id` blocked the other.
macro_rules! blocked {
    ($id:literal) => {
        concat!(
            "EXISTS (SELECT FROM participants one
                     JOIN participants two ON two.conversation_id = one.conversation_id AND two.user_id <> one.user_id
                     JOIN blocks b ON b.user_id = one.user_id AND b.blocked_id = two.user_id AND b.active
                     WHERE one.conversation_id = ",
            $id,
            ")"
        )
    };
}
pub(super) use blocked;

/// A user.
pub(super) struct UserRow {
    id: Uuid,
    org_id: Uuid,
    username: String,
    display_name: String,
    avatar_url: Option<String>,
    status_text: Option<String>,
    org_role: OrgRole,
    guest: bool,
    disabled_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl FromRow<'_, PgRow> for UserRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        // In the order of `user_columns`.
        let mut columns = Columns::starting_with("id", row)?;
        Ok(Self {
            id: columns.take("id")?,
            org_id: columns.take("org_id")?,
            username: columns.take("username")?,
            display_name: columns.take("display_name")?,
            avatar_url: columns.take("avatar_url")?,
            status_text: columns.take("status_text")?,
            org_role: columns.word("org_role")?,
            guest: columns.take("guest")?,
            disabled_at: columns.take("disabled_at")?,
            created_at: columns.take("created_at")?,
        })
    }
}

impl UserRow {
    /// As others see them.
    pub(super) fn user(self) -> User {
        User {
            id: UserId(self.id),
            org_id: OrgId(self.org_id),
            username: self.username,
            display_name: self.display_name,
            avatar_url: self.avatar_url,
            status_text: self.status_text,
            role: self.org_role,
            guest: self.guest,
            disabled_at: moment(self.disabled_at),
            created_at: Timestamp::new(self.created_at),
        }
    }
}

/// A message with its sender and what it replies to.
pub(super) struct MessageRow {
    id: Uuid,
    conversation_id: Uuid,
    seq: i64,
    changed_seq: i64,
    number: i64,
    kind: MessageKind,
    content: String,
    system: Option<Json<SystemChange>>,
    client_id: Option<String>,
    edited_at: Option<OffsetDateTime>,
    deleted_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    /// SHA-256 of the request.
    pub(super) fingerprint: Vec<u8>,
    sender_id: Uuid,
    thread_root_id: Option<Uuid>,
    mentions: Option<Json<Vec<MentionCell>>>,
    attachments: Option<Json<Vec<Attachment>>>,
    pinned_at: Option<OffsetDateTime>,
    reaction_count: i32,
    thread: ThreadRow,
    sender_username: String,
    sender_display_name: String,
    sender_avatar_url: Option<String>,
    quote: QuoteRow,
}

/// What hangs under a message.
struct ThreadRow {
    reply_count: i64,
    last_reply_seq: Option<i64>,
    last_reply_at: Option<OffsetDateTime>,
    last_repliers: Option<Vec<Uuid>>,
}

/// What a message replies to: all or nothing.
struct QuoteRow {
    id: Option<Uuid>,
    seq: Option<i64>,
    content: Option<String>,
    deleted_at: Option<OffsetDateTime>,
    sender_id: Option<Uuid>,
    username: Option<String>,
    display_name: Option<String>,
    avatar_url: Option<String>,
}

impl FromRow<'_, PgRow> for MessageRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        // In the order of `message_columns`.
        let mut columns = Columns::starting_with("id", row)?;
        Ok(Self {
            id: columns.take("id")?,
            conversation_id: columns.take("conversation_id")?,
            seq: columns.take("seq")?,
            changed_seq: columns.take("changed_seq")?,
            number: columns.take("number")?,
            kind: columns.word("kind")?,
            content: columns.take("content")?,
            system: columns.take("system")?,
            client_id: columns.take("client_id")?,
            edited_at: columns.take("edited_at")?,
            deleted_at: columns.take("deleted_at")?,
            created_at: columns.take("created_at")?,
            fingerprint: columns.take("fingerprint")?,
            sender_id: columns.take("sender_id")?,
            thread_root_id: columns.take("thread_root_id")?,
            mentions: columns.take("mentions")?,
            attachments: columns.take("attachments")?,
            pinned_at: columns.take("pinned_at")?,
            reaction_count: columns.take("reaction_count")?,
            thread: ThreadRow {
                reply_count: columns.take("reply_count")?,
                last_reply_seq: columns.take("last_reply_seq")?,
                last_reply_at: columns.take("last_reply_at")?,
                last_repliers: columns.take("last_repliers")?,
            },
            sender_username: columns.take("sender_username")?,
            sender_display_name: columns.take("sender_display_name")?,
            sender_avatar_url: columns.take("sender_avatar_url")?,
            quote: QuoteRow {
                id: columns.take("quote_id")?,
                seq: columns.take("quote_seq")?,
                content: columns.take("quote_content")?,
                deleted_at: columns.take("quote_deleted_at")?,
                sender_id: columns.take("quote_sender_id")?,
                username: columns.take("quote_username")?,
                display_name: columns.take("quote_display_name")?,
                avatar_url: columns.take("quote_avatar_url")?,
            },
        })
    }
}

impl MessageRow {
    /// Those whose names the message shows, besides its sender and quote.
    pub(super) fn named(&self) -> Vec<Uuid> {
        let mentioned = self.mentions.iter().flat_map(|Json(cells)| cells.iter().filter_map(MentionCell::user));
        mentioned.chain(self.thread.last_repliers.iter().flatten().copied()).collect()
    }

    /// Where its reactions are, when it has any.
    pub(super) fn reacted(&self) -> Option<(Uuid, i64)> {
        (self.reaction_count > 0).then_some((self.conversation_id, self.seq))
    }

    /// In its present state.
    pub(super) fn message(self, names: &Names, reactions: Vec<Reaction>) -> Message {
        Message {
            id: MessageId(self.id),
            conversation_id: ConversationId(self.conversation_id),
            seq: count(self.seq),
            changed_seq: count(self.changed_seq),
            number: count(self.number),
            kind: self.kind,
            sender: Sender {
                id: UserId(self.sender_id),
                username: self.sender_username,
                display_name: self.sender_display_name,
                avatar_url: self.sender_avatar_url,
            },
            content: self.content,
            system: self.system.map(|Json(system)| system),
            client_id: self.client_id,
            reply_to: self.quote.quote(),
            thread_root_id: self.thread_root_id.map(MessageId),
            thread: self.thread.thread(names),
            mentions: self.mentions.map_or_else(Vec::new, |Json(cells)| mentions(cells, names)),
            attachments: self.attachments.map_or_else(Vec::new, |Json(attachments)| attachments),
            reactions,
            pinned_at: moment(self.pinned_at),
            edited_at: moment(self.edited_at),
            deleted_at: moment(self.deleted_at),
            created_at: Timestamp::new(self.created_at),
        }
    }

    /// The message of a row that has none where an outer join found nothing.
    pub(super) fn optional(row: &PgRow) -> Outcome<Option<Self>> {
        match row.try_get::<Option<Uuid>, _>("id")? {
            None => Ok(None),
            Some(_) => Ok(Some(Self::from_row(row)?)),
        }
    }
}

impl ThreadRow {
    fn thread(self, names: &Names) -> Option<Thread> {
        Some(Thread {
            reply_count: count(self.reply_count),
            last_reply_seq: count(self.last_reply_seq?),
            last_reply_at: Timestamp::new(self.last_reply_at?),
            last_repliers: self.last_repliers.into_iter().flatten().filter_map(|id| names.get(&id).cloned()).collect(),
        })
    }
}

impl QuoteRow {
    fn quote(self) -> Option<Quote> {
        Some(Quote {
            id: MessageId(self.id?),
            seq: count(self.seq?),
            sender: Sender {
                id: UserId(self.sender_id?),
                username: self.username?,
                display_name: self.display_name?,
                avatar_url: self.avatar_url,
            },
            content: self.content?,
            deleted_at: moment(self.deleted_at),
        })
    }
}

/// All rows as users.
pub(super) fn users(rows: Vec<UserRow>) -> Vec<User> {
    rows.into_iter().map(UserRow::user).collect()
}
