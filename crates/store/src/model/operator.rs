//! What an operator is told.

use protocol::{ConversationId, MessageId, Notify, OrgId, Role, Seq, Timestamp, UserId};

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub id: MessageId,
    /// In it.
    pub conversation_id: ConversationId,
    /// Its place.
    pub seq: Seq,
    /// The place of its last change; its own when nothing happened to it.
    pub changed_seq: Seq,
    /// Who wrote it.
    pub sender_id: UserId,
    /// When it was committed, as the node's clock was that did it.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A user's part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What they may do there.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when; none while they take part.
    pub left_at: Option<Timestamp>,
    /// They may read what has its place after this.
    pub access_since_seq: Seq,
    /// Their devices said that they have everything up to here.
    pub delivered_seq: Seq,
    /// They read up to here.
    pub read_seq: Seq,
    /// What they want to be notified of.
    pub notify: Notify,
    /// No notifications until then.
    pub muted_until: Option<Timestamp>,
    /// The conversation's last change.
    pub last_seq: Seq,
    /// When the conversation was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// An org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Which.
    pub id: OrgId,
    /// Its name in tokens and on the command line.
    pub slug: String,
    /// Reports that nobody decided yet.
    pub open_reports: u64,
}
