//! A batch of durable changes: what it touches, what was read under the locks, what it writes, what it made.

use std::collections::{HashMap, HashSet};

use protocol::{
    Attachment, ConversationId, ConversationKind, History, Message, MessageId, NotificationId, NotificationKind,
    NotificationPreferences, Notify, OrgId, Posting, Role, Seq, SystemChange, Timestamp, User, UserId, UserSeq,
};

use crate::{IdMap, IdSet};

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
    /// Reactions to look for: (message, user, emoji).
    pub reactions: Vec<(MessageId, UserId, String)>,
    /// Somebody may be notified: reads [`Locked::preferences`] and [`Locked::blocks`], and adds the senders of
    /// `messages` (and of the roots of their threads) to the participants and users that are read.
    pub notifies: bool,
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
    /// What it is about.
    pub description: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
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
    /// Seconds between two messages of one member; 0 = none.
    pub slow_mode_seconds: u32,
    /// Pinned messages.
    pub pin_count: u32,
    /// Direct, and one of the two has blocked the other.
    pub blocked: bool,
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
    /// When they last sent a message here.
    pub last_sent_at: Option<Timestamp>,
    /// What they want to be told of.
    pub notify: Notify,
    /// Muted until then.
    pub muted_until: Option<Timestamp>,
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
    /// The database's epoch: of which history the change is that this decision makes. Empty where no conversation of
    /// the scope is there.
    pub epoch: String,
    /// The locked rows.
    pub conversations: IdMap<ConversationId, LockedConversation>,
    /// The named participants.
    pub participants: IdMap<(ConversationId, UserId), LockedParticipant>,
    /// Sends that exist already, tombstones included.
    pub by_client_id: HashMap<(ConversationId, UserId, String), StoredMessage>,
    /// The named messages.
    pub messages: IdMap<MessageId, Message>,
    /// The named users.
    pub users: IdMap<UserId, User>,
    /// The named reactions that are there.
    pub reactions: HashSet<(MessageId, UserId, String)>,
    /// Settings of the named users who have any. Only where [`Scope::notifies`].
    pub preferences: IdMap<UserId, NotificationPreferences>,
    /// (who blocked, whom) among the named users. Only where [`Scope::notifies`].
    pub blocks: IdSet<(UserId, UserId)>,
}

/// A mention to store: a range of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMention {
    /// Where it begins, UTF-16 code units.
    pub offset: u32,
    /// How long it is, UTF-16 code units.
    pub length: u32,
    /// Who; none: everybody.
    pub user: Option<UserId>,
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
    /// The message whose thread it is in. The store counts it there (`thread` of the root; no seq).
    pub thread_root_id: Option<MessageId>,
    /// Who is mentioned.
    pub mentions: Vec<StoredMention>,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
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
        /// Who is mentioned now.
        mentions: Vec<StoredMention>,
    },
    /// Becomes a tombstone: `deleted_at` is set, text, attachments, mentions, reactions, pin and history are erased.
    Delete,
    /// Pinned (`pinned_at` is set), or not any more. The pin count is in [`WriteConversation`].
    Pin(bool),
    /// Somebody reacts.
    React {
        /// Who.
        user: UserId,
        /// With what.
        emoji: String,
    },
    /// Somebody takes a reaction back.
    Unreact {
        /// Who.
        user: UserId,
        /// Which.
        emoji: String,
    },
}

/// A notification to store; the user's feed moves.
#[derive(Debug, Clone)]
pub struct WriteNotification {
    /// Id.
    pub id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// Why.
    pub kind: NotificationKind,
    /// Where.
    pub conversation_id: ConversationId,
    /// Which message.
    pub message_id: MessageId,
    /// Who did it.
    pub actor_id: UserId,
    /// When.
    pub at: Timestamp,
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
    /// New title, description, picture, posting, slow mode (its `archived` is ignored here).
    pub patch: Option<protocol::ConversationPatch>,
    /// New count of pinned messages.
    pub pin_count: Option<u32>,
    /// Archived (some) or not any more (none).
    pub archived_at: Option<Option<Timestamp>>,
    /// Deleted for all.
    pub deleted_at: Option<Timestamp>,
}

/// What a batch writes. Senders' markers are moved to their own newest text by the store, which notes when they sent it
/// (`last_sent_at`).
#[derive(Debug, Clone, Default)]
pub struct Writes {
    /// New messages, any conversations, ascending by seq within one.
    pub inserts: Vec<InsertMessage>,
    /// Changes of messages; the same message may come more than once (in order).
    pub updates: Vec<UpdateMessage>,
    /// Participants, in order.
    pub participants: Vec<WriteParticipant>,
    /// Conversations' rows.
    pub conversations: IdMap<ConversationId, WriteConversation>,
    /// Notifications, at most one per user, message and kind.
    pub notifications: Vec<WriteNotification>,
}

impl Writes {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty()
            && self.updates.is_empty()
            && self.participants.is_empty()
            && self.conversations.is_empty()
            && self.notifications.is_empty()
    }
}

/// What a committed batch made.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Present state, as read in the same transaction, of every message inserted or updated; reactions without `mine`.
    pub messages: IdMap<MessageId, Message>,
    /// New feed heads, one entry per join or leave, in the order of `Writes::participants`, then one per notification
    /// that is new (one that is there already, the same user, message and kind, moves nothing), in their order.
    pub feeds: Vec<(ConversationId, UserId, UserSeq)>,
}
