//! Conversations to make.

use protocol::{
    ConversationId, ConversationKind, History, Message, MessageId, OrgId, Posting, Role, Subject, SystemChange,
    Timestamp, UserId, UserSeq,
};

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
    /// Seconds between two messages of one member; 0 = none.
    pub slow_mode_seconds: u32,
    /// Unique per org for a direct conversation: pair and subject.
    pub direct_key: Option<String>,
    /// The first participants and their roles, the creator among them.
    pub participants: Vec<(UserId, Role)>,
    /// Id of the first system message.
    pub message_id: MessageId,
    /// What the first system message says.
    pub system: SystemChange,
    /// Who is told that they were added.
    pub notifications: Vec<super::WriteNotification>,
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
    /// New heads of the participants' feeds (each once, the highest), when made now.
    pub feeds: Vec<(UserId, UserSeq)>,
}
