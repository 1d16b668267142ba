//! Rows of users and messages, and how they become the wire's types. A message's row alone does not say everything:
//! [`super::load`] adds names and reactions, for a whole page at once.

use protocol::{
    Attachment, ConversationId, Message, MessageId, MessageKind, OrgId, OrgRole, Quote, Sender, SystemChange, User,
    UserId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    codec::{Text, from_db, time, time_opt},
    error::corrupt,
};
use crate::{Result, StoreError, StoredMention};

/// Columns of [`UserRow`], of `users u`.
macro_rules! user_columns {
    () => {
        "u.id, u.org_id, u.username, u.display_name, u.avatar_url, u.status_text, u.role, u.guest, u.disabled_at, \
         u.created_at"
    };
}
pub(super) use user_columns;

/// Columns and tables of [`MessageRow`], of `messages m`, up to the joins: what comes next is `where`.
/// `from` is what stands before `messages m` (a driving table and `join`, or nothing).
/// Unless all may read everything, a quote has no text: it may be from before its reader came, and a live event is the
/// same bytes for all.
macro_rules! select_messages {
    ($from:literal, $on:literal) => {
        concat!(
            "select m.id, m.conversation_id, m.seq, m.changed_seq, m.number, m.kind, m.content, m.system, \
             m.client_id, m.fingerprint, m.edited_at, m.deleted_at, m.created_at, m.sender_id, m.thread_root_id, \
             m.mentions, m.attachments, m.pinned_at, m.reaction_count, m.reply_count, m.last_reply_seq, \
             m.last_reply_at, m.last_repliers, \
             s.username as sender_username, s.display_name as sender_display_name, s.avatar_url as sender_avatar_url, \
             q.id as quote_id, q.seq as quote_seq, case when q.id is null then null \
             when (select qc.history from conversations qc where qc.id = q.conversation_id) = 'all' \
             then substr(q.content, 1, 200) else '' end as quote_content, \
             q.deleted_at as quote_deleted_at, q.sender_id as quote_sender_id, \
             qs.username as quote_username, qs.display_name as quote_display_name, qs.avatar_url as quote_avatar_url \
             from ",
            $from,
            " messages m ",
            $on,
            " join users s on s.id = m.sender_id \
             left join messages q on q.id = m.reply_to_id and q.conversation_id = m.conversation_id \
             left join users qs on qs.id = q.sender_id "
        )
    };
    () => {
        select_messages!("", "")
    };
}
pub(super) use select_messages;

/// See [`user_columns`].
#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    pub(super) id: Uuid,
    org_id: Uuid,
    username: String,
    display_name: String,
    avatar_url: Option<String>,
    status_text: Option<String>,
    role: String,
    guest: bool,
    disabled_at: Option<i64>,
    created_at: i64,
}

impl UserRow {
    pub(super) fn into_user(self) -> Result<User> {
        Ok(User {
            id: UserId(self.id),
            org_id: OrgId(self.org_id),
            username: self.username,
            display_name: self.display_name,
            avatar_url: self.avatar_url,
            status_text: self.status_text,
            role: OrgRole::parse(&self.role)?,
            guest: self.guest,
            disabled_at: time_opt(self.disabled_at)?,
            created_at: time(self.created_at)?,
        })
    }
}

/// A range as it stands in `messages.mentions`.
#[derive(Serialize, Deserialize)]
struct MentionJson {
    o: u32,
    l: u32,
    u: Option<Uuid>,
}

/// Text of `messages.mentions`; null when there are none.
pub(super) fn mentions_to_db(mentions: &[StoredMention]) -> Result<Option<String>> {
    let ranges: Vec<MentionJson> =
        mentions.iter().map(|m| MentionJson { o: m.offset, l: m.length, u: m.user.map(|user| user.0) }).collect();
    json_to_db(&ranges)
}

/// What [`mentions_to_db`] wrote.
pub(super) fn mentions_from_db(text: Option<&str>) -> Result<Vec<StoredMention>> {
    let ranges: Vec<MentionJson> = json_from_db(text, "mentions")?;
    Ok(ranges
        .into_iter()
        .map(|range| StoredMention { offset: range.o, length: range.l, user: range.u.map(UserId) })
        .collect())
}

/// A list as JSON; null when it is empty.
pub(super) fn json_to_db<T: Serialize>(items: &[T]) -> Result<Option<String>> {
    if items.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(items).map(Some).map_err(|error| StoreError::Refused(Box::new(error)))
}

/// What [`json_to_db`] wrote.
pub(super) fn json_from_db<T: for<'de> Deserialize<'de>>(text: Option<&str>, what: &str) -> Result<Vec<T>> {
    text.map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|_| corrupt(what)))
}

/// See [`select_messages`].
#[derive(sqlx::FromRow)]
pub(super) struct MessageRow {
    pub(super) id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) seq: i64,
    changed_seq: i64,
    number: i64,
    kind: String,
    content: String,
    system: Option<String>,
    client_id: Option<String>,
    pub(super) fingerprint: Vec<u8>,
    edited_at: Option<i64>,
    deleted_at: Option<i64>,
    created_at: i64,
    sender_id: Uuid,
    thread_root_id: Option<Uuid>,
    pub(super) mentions: Option<String>,
    attachments: Option<String>,
    pinned_at: Option<i64>,
    pub(super) reaction_count: i64,
    pub(super) reply_count: i64,
    pub(super) last_reply_seq: Option<i64>,
    pub(super) last_reply_at: Option<i64>,
    pub(super) last_repliers: Option<String>,
    sender_username: String,
    sender_display_name: String,
    sender_avatar_url: Option<String>,
    quote_id: Option<Uuid>,
    quote_seq: Option<i64>,
    quote_content: Option<String>,
    quote_deleted_at: Option<i64>,
    quote_sender_id: Option<Uuid>,
    quote_username: Option<String>,
    quote_display_name: Option<String>,
    quote_avatar_url: Option<String>,
}

impl MessageRow {
    /// The message as far as its row says it: without thread, mentions and reactions.
    pub(super) fn into_bare(self) -> Result<Message> {
        let system = self.system.as_deref().map(serde_json::from_str::<SystemChange>).transpose();
        let attachments: Vec<Attachment> = json_from_db(self.attachments.as_deref(), "attachments")?;
        let quote_sender = match (self.quote_sender_id, self.quote_username, self.quote_display_name) {
            (Some(id), Some(username), Some(display_name)) => {
                Some(Sender { id: UserId(id), username, display_name, avatar_url: self.quote_avatar_url })
            }
            _ => None,
        };
        let reply_to = match (self.quote_id, self.quote_seq, quote_sender) {
            (Some(id), Some(seq), Some(sender)) => Some(Quote {
                id: MessageId(id),
                seq: from_db(seq),
                sender,
                content: self.quote_content.unwrap_or_default(),
                deleted_at: time_opt(self.quote_deleted_at)?,
            }),
            _ => None,
        };
        Ok(Message {
            id: MessageId(self.id),
            conversation_id: ConversationId(self.conversation_id),
            seq: from_db(self.seq),
            changed_seq: from_db(self.changed_seq),
            number: from_db(self.number),
            kind: if self.kind == "system" { MessageKind::System } else { MessageKind::Text },
            sender: Sender {
                id: UserId(self.sender_id),
                username: self.sender_username,
                display_name: self.sender_display_name,
                avatar_url: self.sender_avatar_url,
            },
            content: self.content,
            system: system.map_err(|_| corrupt("a system message"))?,
            client_id: self.client_id,
            reply_to,
            thread_root_id: self.thread_root_id.map(MessageId),
            thread: None,
            mentions: Vec::new(),
            attachments,
            reactions: Vec::new(),
            pinned_at: time_opt(self.pinned_at)?,
            edited_at: time_opt(self.edited_at)?,
            deleted_at: time_opt(self.deleted_at)?,
            created_at: time(self.created_at)?,
        })
    }
}
