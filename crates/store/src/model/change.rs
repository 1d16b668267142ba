//! A batch of durable changes: what it touches, what was read under the locks, what it writes, what it made.

use std::collections::HashMap;

use protocol::{
    ConversationId, ConversationKind, History, Message, MessageId, OrgId, Posting, Role, Seq, SystemChange, Timestamp,
    User, UserId, UserSeq,
};

/// What a batch of changes touches: locked (conversations) and read after the lock (the rest).
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Rows to lock.
    pub conversations: Vec<ConversationId>,
    /// Participant rows to read.
    pub participants: Vec<(ConversationId, UserId)>,
    /// Sends to look for.
    pub client_ids: Vec<(ConversationId, UserId, String)>,
    /// Messages to read (each in one of `conversations`, else it is not found).
    pub messages: Vec<MessageId>,
    /// Users to read.
    pub users: Vec<UserId>,
}

/// A conversation's row under its lock.
#[derive(Debug, Clone)]
pub struct LockedConversation {
    /// Tenant.
    pub org_id: OrgId,
    /// Kind.
    pub kind: ConversationKind,
    /// Name.
    pub title: Option<String>,
    /// Who may send.
    pub posting: Posting,
    /// What new participants may read.
    pub history: History,
    /// Head.
    pub last_seq: Seq,
    /// Last message's number.
    pub last_number: u64,
    /// Last change of membership, role, posting or block.
    pub access_seq: Seq,
    /// How many active participants.
    pub participant_count: u64,
    /// How many active owners.
    pub owner_count: u64,
    /// Archived.
    pub archived_at: Option<Timestamp>,
    /// Deleted for all.
    pub deleted_at: Option<Timestamp>,
}

/// A participant's row, active or left.
#[derive(Debug, Clone)]
pub struct LockedParticipant {
    /// Role (the last one, when left).
    pub role: Role,
    /// Takes part now.
    pub active: bool,
    /// What they may read begins after this.
    pub access_since_seq: Seq,
}

/// A message as stored, with the request it came from.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Present state.
    pub message: Message,
    /// SHA-256 of the request that made it.
    pub fingerprint: Vec<u8>,
}

/// What was read after the locks were held. Rows that do not exist are absent.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    /// The locked rows.
    pub conversations: HashMap<ConversationId, LockedConversation>,
    /// The named participants.
    pub participants: HashMap<(ConversationId, UserId), LockedParticipant>,
    /// Sends that exist already, tombstones included.
    pub by_client_id: HashMap<(ConversationId, UserId, String), StoredMessage>,
    /// The named messages.
    pub messages: HashMap<MessageId, Message>,
    /// The named users.
    pub users: HashMap<UserId, User>,
}

/// A message to insert. Its sender must be in `users` of the scope.
#[derive(Debug, Clone)]
pub struct InsertMessage {
    /// Id, made before the batch.
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Its place, and its `changed_seq`.
    pub seq: Seq,
    /// Its number (a system message repeats the last one).
    pub number: u64,
    /// Who.
    pub sender_id: UserId,
    /// Text; empty for a system message.
    pub content: String,
    /// Set for a system message.
    pub system: Option<SystemChange>,
    /// What it replies to.
    pub reply_to_id: Option<MessageId>,
    /// What the sender called it.
    pub client_id: Option<String>,
    /// SHA-256 of the request.
    pub fingerprint: Vec<u8>,
    /// When.
    pub created_at: Timestamp,
}

/// A message to change. The content before an edit is kept in `message_edits`.
#[derive(Debug, Clone)]
pub struct UpdateMessage {
    /// Which.
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// The change's seq.
    pub changed_seq: Seq,
    /// What changes.
    pub update: MessageUpdate,
    /// When.
    pub at: Timestamp,
}

/// What changes of a message.
#[derive(Debug, Clone)]
pub enum MessageUpdate {
    /// New text; `edited_at` is set.
    Edit {
        /// The new text.
        content: String,
    },
    /// Becomes a tombstone: `deleted_at` is set, text and history are erased.
    Delete,
}

/// A participant's row to insert or change.
#[derive(Debug, Clone)]
pub struct WriteParticipant {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// What happens.
    pub write: ParticipantWrite,
    /// The change's seq.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
}

/// What happens to a participant's row.
#[derive(Debug, Clone)]
pub enum ParticipantWrite {
    /// Comes, or comes back: markers are set to the head (`seq` and the conversation's number), the feed moves
    /// (`member_user_seq`).
    Join {
        /// With this role.
        role: Role,
        /// What they may read begins after this.
        access_since_seq: Seq,
    },
    /// Goes: `left_at` is set, the row stays, the feed moves (`member_user_seq`).
    Leave,
    /// New role.
    Role(Role),
}

/// The conversation's row after the batch.
#[derive(Debug, Clone, Default)]
pub struct WriteConversation {
    /// New head.
    pub last_seq: Seq,
    /// New last number.
    pub last_number: u64,
    /// New value when membership, role or posting changed.
    pub access_seq: Option<Seq>,
    /// When the last message came; none: unchanged.
    pub last_activity_at: Option<Timestamp>,
    /// New title, description, picture, posting.
    pub patch: Option<protocol::ConversationPatch>,
    /// Archived (some) or not any more (none).
    pub archived_at: Option<Option<Timestamp>>,
    /// Deleted for all.
    pub deleted_at: Option<Timestamp>,
}

/// What a batch writes. Senders' markers are moved to their own newest text by the store.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    /// New messages, any conversations, ascending by seq within one.
    pub inserts: Vec<InsertMessage>,
    /// Changes of messages; the same message may come more than once (in order).
    pub updates: Vec<UpdateMessage>,
    /// Participants, in order.
    pub participants: Vec<WriteParticipant>,
    /// Conversations' rows.
    pub conversations: HashMap<ConversationId, WriteConversation>,
}

impl Writes {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty()
            && self.updates.is_empty()
            && self.participants.is_empty()
            && self.conversations.is_empty()
    }
}

/// What a committed batch made.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Present state, as read in the same transaction, of every message inserted or updated.
    pub messages: HashMap<MessageId, Message>,
    /// New feed heads, one entry per join or leave, in the order of `Writes::participants`.
    pub feeds: Vec<(ConversationId, UserId, UserSeq)>,
}
