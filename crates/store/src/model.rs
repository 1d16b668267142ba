//! What the store takes and gives besides the wire's own types.

use std::collections::HashMap;

use protocol::{
    Conversation, ConversationId, ConversationKind, History, Message, MessageId, OrgId, OrgRole, Posting, Role, Seq,
    SessionId, Subject, SystemChange, Timestamp, User, UserId, UserSeq,
};

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// The schema's version is the one that this binary needs.
    pub migrated: bool,
    /// Names the database's history (a random string made by the first migration; another one after a restore).
    pub epoch: String,
    /// The database's product and version.
    pub version: String,
}

/// A user to make.
#[derive(Clone)]
pub struct NewUser {
    /// Their id.
    pub id: UserId,
    /// Their org.
    pub org_id: OrgId,
    /// Checked by the caller.
    pub username: String,
    /// Checked by the caller.
    pub display_name: String,
    /// argon2id PHC string; none for a guest.
    pub password_hash: Option<String>,
    /// Signed in with a name alone.
    pub guest: bool,
    /// When.
    pub now: Timestamp,
}

/// A user as another system's token describes them.
#[derive(Debug, Clone)]
pub struct ExternalUser {
    /// Id to give them when they are new.
    pub id: UserId,
    /// Their org.
    pub org_id: OrgId,
    /// The token's `sub`.
    pub external_id: String,
    /// Wanted username (fit for [`protocol::check_username`]).
    pub username: String,
    /// The token's `name`.
    pub display_name: Option<String>,
    /// The token's `picture`.
    pub avatar_url: Option<String>,
    /// The token's `role`.
    pub role: Option<OrgRole>,
    /// When.
    pub now: Timestamp,
}

/// A session to open.
#[derive(Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// What the device called itself.
    pub device: Option<String>,
    /// SHA-256 of the refresh token.
    pub refresh_hash: Vec<u8>,
    /// When the refresh token ends.
    pub expires_at: Timestamp,
    /// When.
    pub now: Timestamp,
}

/// A session that still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// What the device called itself.
    pub device: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
}

/// Whose a session is, and whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// Whose.
    pub user_id: UserId,
    /// Neither revoked nor expired.
    pub active: bool,
}

/// What came of using a refresh token.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// Replaced.
    Rotated {
        /// The session goes on.
        session: SessionId,
        /// Whose.
        user: User,
    },
    /// Used before: the session is now revoked.
    Reused {
        /// The session.
        session: SessionId,
        /// Whose.
        user_id: UserId,
        /// The feed's new head.
        user_seq: UserSeq,
    },
    /// Unknown, expired or revoked.
    Invalid,
}

/// A conversation to make.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Its id.
    pub id: ConversationId,
    /// Its org.
    pub org_id: OrgId,
    /// Its kind.
    pub kind: ConversationKind,
    /// Who makes it (owner; in a direct conversation both are members).
    pub creator: UserId,
    /// Name.
    pub title: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
    /// What it is about.
    pub subject: Option<Subject>,
    /// Who may send.
    pub posting: Posting,
    /// What new participants may read.
    pub history: History,
    /// Unique per org for a direct conversation: pair and subject.
    pub direct_key: Option<String>,
    /// The first participants and their roles, the creator among them.
    pub participants: Vec<(UserId, Role)>,
    /// Id of the first system message.
    pub message_id: MessageId,
    /// What the first system message says.
    pub system: SystemChange,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, compared when the key is used again.
    pub fingerprint: Vec<u8>,
    /// When.
    pub now: Timestamp,
}

/// A conversation that was made or found.
#[derive(Debug, Clone)]
pub struct CreatedConversation {
    /// Its id.
    pub id: ConversationId,
    /// Made now.
    pub created: bool,
    /// The fingerprint it was made with.
    pub fingerprint: Vec<u8>,
    /// The first system message, when made now.
    pub message: Option<Message>,
    /// New heads of the participants' feeds, when made now.
    pub feeds: Vec<(UserId, UserSeq)>,
}

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

/// A marker to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Read up to here (and so delivered).
    Read(Seq),
    /// Delivered up to here.
    Delivered(Seq),
}

/// Where the markers are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Delivered marker.
    pub delivered_seq: Seq,
    /// Read marker.
    pub read_seq: Seq,
    /// One of them moved.
    pub moved: bool,
    /// How many take part: receipts of large conversations are not pushed.
    pub participant_count: u64,
}

/// What a viewer is to a conversation of their org that is not deleted.
#[derive(Debug, Clone)]
pub struct Access {
    /// Kind.
    pub kind: ConversationKind,
    /// The viewer's row while they take part.
    pub participant: Option<LockedParticipant>,
    /// Head.
    pub last_seq: Seq,
}

/// The conversations a user takes part in.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    /// The database's epoch, read in the same snapshot.
    pub epoch: String,
    /// Head of the user's feed.
    pub user_seq: UserSeq,
    /// Each with its head.
    pub items: Vec<Membership>,
}

/// One conversation of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub conversation_id: ConversationId,
    /// Its head.
    pub last_seq: Seq,
    /// What they may read begins after this.
    pub access_since_seq: Seq,
}

/// What moved a user's feed.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    /// Its head.
    pub user_seq: UserSeq,
    /// Ascending by `user_seq`.
    pub items: Vec<FeedItem>,
}

/// One change of a user's feed in its present state.
#[derive(Debug, Clone)]
pub struct FeedItem {
    /// Its place.
    pub user_seq: UserSeq,
    /// What it is.
    pub change: FeedChange,
}

/// What changed for a user.
#[derive(Debug, Clone)]
pub enum FeedChange {
    /// A conversation is theirs.
    Joined(Box<Conversation>),
    /// A conversation is no longer theirs.
    Left(ConversationId),
    /// A session was revoked.
    SessionRevoked(SessionId),
    /// The user was disabled or enabled.
    Disabled(bool),
}
