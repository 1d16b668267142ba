//! Messages, and changes as a client that was away gets them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Attachment, ConversationId, ConversationPatch, Mention, MentionRange, MessageId, Reaction, Role, Sender, Seq,
    Timestamp, UserId,
};

/// Who made a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A person's or bot's text.
    Text,
    /// The conversation itself says that something about it changed; see [`SystemChange`].
    System,
}

/// What a system message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum SystemChange {
    /// The conversation was made, with these first participants (its maker among them).
    #[serde(rename = "conversation.created")]
    ConversationCreated {
        /// The first participants.
        users: Vec<Sender>,
    },
    /// The title, description, picture or policy changed.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated {
        /// The new values of what changed.
        changes: ConversationPatch,
    },
    /// Put aside: nothing may be sent until somebody takes it out again.
    #[serde(rename = "conversation.archived")]
    ConversationArchived,
    /// Taken out of the archive.
    #[serde(rename = "conversation.unarchived")]
    ConversationUnarchived,
    /// Closed for all; nothing may be sent any more.
    #[serde(rename = "conversation.deleted")]
    ConversationDeleted,
    /// People came.
    #[serde(rename = "participant.added")]
    ParticipantAdded {
        /// Who.
        users: Vec<Sender>,
    },
    /// Somebody left (the message's sender is the user) or was removed (it is somebody else).
    #[serde(rename = "participant.removed")]
    ParticipantRemoved {
        /// Who.
        user: Sender,
    },
    /// Somebody's role changed.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated {
        /// Who.
        user: Sender,
        /// Their new role.
        role: Role,
    },
}

/// The message that a message replies to, in its present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// Id.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// Who wrote it.
    pub sender: Sender,
    /// Its text, cut to 200 characters; empty when deleted, and always where `history` is `since_join`: it may be from
    /// before its reader came. There a client shows the text that it has of the message.
    pub content: String,
    /// Set when it was deleted.
    #[schema(required)]
    pub deleted_at: Option<Timestamp>,
}

/// The thread under a message. Derived: it changes with the replies' own events and takes no seq.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Thread {
    /// Replies, deleted ones included (as in `number`).
    pub reply_count: u64,
    /// The last one's place. A client adds what it knows of replies with a greater seq, in whatever order they came.
    pub last_reply_seq: Seq,
    /// When the last one came.
    pub last_reply_at: Timestamp,
    /// Who wrote the last ones, the latest first, each once, at most three.
    pub last_repliers: Vec<Sender>,
}

/// How many of the last repliers a [`Thread`] names.
pub const THREAD_REPLIERS_SHOWN: usize = 3;

/// A message in its present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Id.
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Its place in the conversation.
    pub seq: Seq,
    /// Its last change; equal to `seq` when it never changed.
    pub changed_seq: Seq,
    /// Dense count of messages that are not system messages, this one included.
    pub number: u64,
    /// Kind.
    pub kind: MessageKind,
    /// Who sent it; for a system message, who did what it says.
    pub sender: Sender,
    /// The text; empty when deleted and for system messages.
    pub content: String,
    /// What changed, for a system message.
    #[schema(required)]
    pub system: Option<SystemChange>,
    /// What the sender called it.
    #[schema(required)]
    pub client_id: Option<String>,
    /// What it replies to.
    #[schema(required)]
    pub reply_to: Option<Quote>,
    /// The message whose thread it is in.
    #[schema(required)]
    pub thread_root_id: Option<MessageId>,
    /// The thread under it.
    #[schema(required)]
    pub thread: Option<Thread>,
    /// Who is mentioned and where, by offset.
    pub mentions: Vec<Mention>,
    /// Files that go with it; none when deleted.
    pub attachments: Vec<Attachment>,
    /// Emoji under it, in the order in which each was first used.
    pub reactions: Vec<Reaction>,
    /// When it was pinned.
    #[schema(required)]
    pub pinned_at: Option<Timestamp>,
    /// When it was last edited.
    #[schema(required)]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted: then this is a tombstone.
    #[schema(required)]
    pub deleted_at: Option<Timestamp>,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// `POST /v1/conversations/{id}/messages`, and the body of the command `message.send`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// The text, 1–4,000 characters; may be empty when there are attachments.
    #[serde(default)]
    pub content: String,
    /// 1–64 characters, unique per sender and conversation: a retry with it gets the first message back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// A message of the same conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_id: Option<MessageId>,
    /// The message of the same conversation whose thread this belongs to; itself in no thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_root_id: Option<MessageId>,
    /// Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of
    /// admins, are found in the text.
    #[serde(default, deserialize_with = "crate::object::option_many", skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<MentionRange>>,
    /// Files that go with it, at most 10.
    #[serde(default, deserialize_with = "crate::object::many", skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// `PATCH /v1/messages/{id}` (the sender).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// The new text; may be empty when the message has attachments.
    pub content: String,
    /// Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of
    /// admins, are found in the text.
    #[serde(default, deserialize_with = "crate::object::option_many", skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<MentionRange>>,
}

/// What a message said before an edit, in `GET /v1/messages/{id}/edits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageVersion {
    /// The text then.
    pub content: String,
    /// When it was replaced.
    pub replaced_at: Timestamp,
}

/// `GET /v1/messages/{id}/edits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageVersions {
    /// Oldest first, the present text not included; empty for a message that was never edited, or was deleted.
    pub items: Vec<MessageVersion>,
}

/// `GET /v1/messages/{id}/thread`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ThreadPage {
    /// The message that the thread hangs under.
    pub root: Message,
    /// Replies, ascending by seq.
    pub items: Vec<Message>,
    /// The seq to go on after; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// What a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ChangeType {
    /// A message that came after the cursor.
    #[serde(rename = "message.created")]
    Created,
    /// A message from before the cursor that changed.
    #[serde(rename = "message.updated")]
    Updated,
    /// A tombstone, whether or not the client ever knew the message.
    #[serde(rename = "message.deleted")]
    Deleted,
}

/// One changed message, in its present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What happened to it, as seen from the cursor.
    #[serde(rename = "type")]
    pub kind: ChangeType,
    /// The change's seq: the message's `changed_seq`.
    pub seq: Seq,
    /// The message.
    pub data: Message,
}

impl Change {
    /// The change that `message` is for somebody whose cursor is `from`.
    pub fn of(message: Message, from: Seq) -> Self {
        let kind = if message.deleted_at.is_some() {
            ChangeType::Deleted
        } else if message.seq > from {
            ChangeType::Created
        } else {
            ChangeType::Updated
        };
        Self { kind, seq: message.changed_seq, data: message }
    }
}

/// The one value of a `changes` frame's `type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ChangesTag {
    /// `changes`
    #[default]
    #[serde(rename = "changes")]
    Changes,
}

/// What happened in a conversation after a cursor: moves it from `from` to `to` in one step.
/// The frame `changes`, and the answer of `changes.get` and `GET …/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// Always `changes`.
    #[serde(rename = "type")]
    pub tag: ChangesTag,
    /// Where.
    pub conversation_id: ConversationId,
    /// The cursor it starts from.
    pub from: Seq,
    /// The cursor it leads to.
    pub to: Seq,
    /// There is more after `to`: ask again.
    pub more: bool,
    /// Each changed message once, in its present state, ascending by `seq`.
    pub changes: Vec<Change>,
}

/// Which page of a conversation's history: at most one of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryWindow {
    /// The newest messages.
    Latest,
    /// Messages with a smaller seq, the nearest ones.
    Before(Seq),
    /// Messages with a greater seq, the nearest ones.
    After(Seq),
    /// Messages on both sides of a seq, it included.
    Around(Seq),
}

/// Somebody's id and what they see of themselves in a change of membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantRemoved {
    /// Which conversation is no longer theirs.
    pub conversation_id: ConversationId,
    /// Who: the receiver.
    pub user_id: UserId,
}
