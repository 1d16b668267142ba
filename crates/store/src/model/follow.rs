//! Markers, access, and what a gateway follows: memberships and feeds.

use protocol::{
    Changes, Conversation, ConversationId, ConversationKind, Notification, NotificationPreferences, Posting,
    Preferences, Seq, SessionId, Timestamp, UserId, UserSeq,
};

use super::{change::LockedParticipant, watermark::Watermark};

/// A marker to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkRow {
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Delivered up to here; none: not asked. Not kept above 100 participants.
    pub delivered_seq: Option<Seq>,
    /// Read up to here (and so delivered); none: not asked.
    pub read_seq: Option<Seq>,
}

/// Markers after they were moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The database's epoch, as it was when they were. Empty where none of the rows was there.
    pub epoch: String,
    /// For each row that was asked for; none: not a participant.
    pub items: Vec<Option<Marked>>,
}

/// Where the markers are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Delivered marker.
    pub delivered_seq: Seq,
    /// Read marker.
    pub read_seq: Seq,
    /// Number of the last message at or before the read marker.
    pub read_number: u64,
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
    /// Who may send.
    pub posting: Posting,
    /// Archived.
    pub archived_at: Option<Timestamp>,
    /// Direct, and one of the two has blocked the other.
    pub blocked: bool,
    /// How many take part.
    pub participant_count: u64,
}

/// The conversations a user takes part in.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    /// The database's epoch, read in the same snapshot.
    pub epoch: String,
    /// Head of the user's feed.
    pub user_seq: UserSeq,
    /// What could be seen in that snapshot: who has all of it resumes from here ([`crate::Store::changed_since`]).
    pub watermark: Watermark,
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

/// Heads of conversations, in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// The database's epoch: another one than before means that the database was restored from a backup.
    pub epoch: String,
    /// What could be seen in that snapshot.
    pub watermark: Watermark,
    /// Each that was asked for and is there, in no particular order.
    pub items: Vec<(ConversationId, Seq)>,
}

/// What changed for a user since a watermark, in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Since {
    /// The database's epoch.
    pub epoch: String,
    /// What can be seen now: who replays `items` to their heads has everything up to here.
    pub watermark: Watermark,
    /// Conversations that changed, most recently active first.
    pub items: Vec<ChangedSince>,
}

/// One conversation that changed since a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedSince {
    /// Which.
    pub conversation_id: ConversationId,
    /// Replay what was changed after this (it may repeat what was seen, and misses nothing); below `last_seq`. None:
    /// too far back, or the watermark is not of this history: the conversation is to be fetched anew.
    pub cursor: Option<Seq>,
    /// Its head.
    pub last_seq: Seq,
}

/// A page of what a user missed in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The page.
    pub page: Changes,
    /// What they may read begins after this, in the snapshot of the page.
    pub access_since_seq: Seq,
}

/// Who takes part in a conversation, at its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The head.
    pub last_seq: Seq,
    /// The conversation was deleted: nobody takes part.
    pub is_deleted: bool,
    /// Each with what they may read: what comes after this.
    pub access_since_seq: Vec<(UserId, Seq)>,
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
    /// The user's settings of a conversation that they take part in.
    Preferences(Preferences),
    /// The user's settings for all conversations.
    NotificationPreferences(NotificationPreferences),
    /// A notification came, or was read.
    Notification(Box<Notification>),
    /// The user blocked somebody (true), or no longer.
    Blocked(UserId, bool),
}
