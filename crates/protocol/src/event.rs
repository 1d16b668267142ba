//! What the server pushes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConnectionId, ConversationId, Limits, ReplyError, Seq, SessionId, User, UserSeq};

/// An event's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// First on every connection; data: [`Connected`].
    #[serde(rename = "connected")]
    Connected,
    /// Durable, conversation; data: [`crate::Message`].
    #[serde(rename = "message.created")]
    MessageCreated,
    /// Durable, conversation; data: [`crate::Message`].
    #[serde(rename = "message.updated")]
    MessageUpdated,
    /// Durable, conversation; data: [`crate::Message`], a tombstone.
    #[serde(rename = "message.deleted")]
    MessageDeleted,
    /// Durable, user feed: a conversation is now the receiver's; data: [`crate::Conversation`].
    #[serde(rename = "conversation.created")]
    ConversationCreated,
    /// Durable, user feed: it is no longer; data: [`crate::ParticipantRemoved`].
    #[serde(rename = "participant.removed")]
    ParticipantRemoved,
    /// Durable, conversation: somebody reacted; data: [`crate::ReactionEvent`].
    #[serde(rename = "reaction.added")]
    ReactionAdded,
    /// Durable, conversation: somebody took a reaction back; data: [`crate::ReactionEvent`].
    #[serde(rename = "reaction.removed")]
    ReactionRemoved,
    /// Durable, user feed: the receiver's settings of a conversation; data: [`crate::Preferences`].
    #[serde(rename = "preferences.updated")]
    PreferencesUpdated,
    /// Durable, user feed: data: [`crate::Notification`].
    #[serde(rename = "notification.created")]
    NotificationCreated,
    /// Durable, user feed: it was read; data: [`crate::Notification`].
    #[serde(rename = "notification.updated")]
    NotificationUpdated,
    /// Durable, user feed: the receiver's settings for all conversations; data: [`crate::NotificationPreferences`].
    #[serde(rename = "notification_preferences.updated")]
    NotificationPreferencesUpdated,
    /// Durable, user feed: the receiver blocked somebody; data: [`crate::UserBlocked`].
    #[serde(rename = "user.blocked")]
    UserBlocked,
    /// Durable, user feed: and no longer; data: [`crate::UserBlocked`].
    #[serde(rename = "user.unblocked")]
    UserUnblocked,
    /// To an org; dense by its `seq`; data: [`crate::Announcement`].
    #[serde(rename = "announcement")]
    Announcement,
    /// Ephemeral, conversation; data: [`crate::Typing`].
    #[serde(rename = "typing")]
    Typing,
    /// Ephemeral, to who watches the user; data: [`crate::Presence`].
    #[serde(rename = "presence.updated")]
    PresenceUpdated,
    /// Ephemeral, to who watches the user, and to their own devices: their profile; data: [`User`].
    #[serde(rename = "user.updated")]
    UserUpdated,
    /// Ephemeral, to the receiver's own devices: their marker; data: [`crate::AnnouncementsRead`].
    #[serde(rename = "announcements.read")]
    AnnouncementsRead,
    /// Durable, user feed: a session ended; data: [`SessionRevoked`].
    #[serde(rename = "session.revoked")]
    SessionRevoked,
    /// Ephemeral, conversation; data: [`crate::Receipt`].
    #[serde(rename = "receipt.updated")]
    ReceiptUpdated,
    /// The client is too far behind, or its cursor is not of this history; data: [`Resync`].
    #[serde(rename = "resync_required")]
    ResyncRequired,
    /// The server asks the client to move; data: [`Reconnect`].
    #[serde(rename = "reconnect")]
    Reconnect,
    /// The server is alive; needs no answer; data: `{}`.
    #[serde(rename = "heartbeat")]
    Heartbeat,
}

impl EventType {
    /// Every event's type, for documents and tests.
    pub const ALL: &[Self] = &[
        Self::Connected,
        Self::MessageCreated,
        Self::MessageUpdated,
        Self::MessageDeleted,
        Self::ConversationCreated,
        Self::ParticipantRemoved,
        Self::ReactionAdded,
        Self::ReactionRemoved,
        Self::PreferencesUpdated,
        Self::NotificationCreated,
        Self::NotificationUpdated,
        Self::NotificationPreferencesUpdated,
        Self::UserBlocked,
        Self::UserUnblocked,
        Self::Announcement,
        Self::Typing,
        Self::PresenceUpdated,
        Self::UserUpdated,
        Self::AnnouncementsRead,
        Self::SessionRevoked,
        Self::ReceiptUpdated,
        Self::ResyncRequired,
        Self::Reconnect,
        Self::Heartbeat,
    ];
}

/// An event frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event<T> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// In which conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// The change's place, for a conversation's durable events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// The change's place, for a user's durable events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_seq: Option<UserSeq>,
    /// The event's fields.
    pub data: T,
}

impl<T> Event<T> {
    /// An event that belongs to the connection alone.
    pub fn plain(kind: EventType, data: T) -> Self {
        Self { kind, conversation_id: None, seq: None, user_seq: None, data }
    }
}

/// Data of `session.revoked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionRevoked {
    /// Which; null: all of the user's.
    #[schema(required)]
    pub session_id: Option<SessionId>,
}

/// Data of `connected`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connected {
    /// This connection.
    pub connection_id: ConnectionId,
    /// Who is connected.
    pub user: User,
    /// Names the database's history: cursors are good within one epoch.
    pub epoch: String,
    /// Head of the user's feed.
    pub user_seq: UserSeq,
    /// `seq` of the org's last announcement; 0 when there is none.
    pub announcement_seq: u64,
    /// Silence of two of these means a dead server.
    pub heartbeat_interval_ms: u64,
    /// What this connection may do.
    pub limits: Limits,
}

/// Why a client must fetch by REST instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResyncReason {
    /// The cursor's epoch is another one: the database was restored.
    EpochChanged,
    /// The cursor is above the head.
    CursorAhead,
    /// It is none of ours: a `Last-Event-ID` that no node made.
    BadCursor,
    /// More changes were missed than a resume carries.
    TooFarBehind,
}

/// Data of `resync_required`; without a conversation, everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resync {
    /// Which conversation; null: all, and the user's feed.
    #[schema(required)]
    pub conversation_id: Option<ConversationId>,
    /// Why.
    pub reason: ResyncReason,
}

/// Data of `reconnect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reconnect {
    /// When to move, milliseconds from now.
    pub after_ms: u64,
}

/// The one value of a reply's `type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ReplyTag {
    /// `reply`
    #[default]
    #[serde(rename = "reply")]
    Reply,
}

/// The answer to a command: `ok` with `data`, or not with `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reply<T> {
    /// Always `reply`.
    #[serde(rename = "type")]
    pub tag: ReplyTag,
    /// The command's `ref`; null when it could not be read.
    #[serde(rename = "ref")]
    #[schema(required)]
    pub reference: Option<String>,
    /// Done, or refused.
    pub ok: bool,
    /// The answer.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReplyError>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Reply<T> {
    /// Done.
    pub fn done(reference: Option<String>, data: T) -> Self {
        Self { tag: ReplyTag::Reply, reference, ok: true, data: Some(data), error: None }
    }

    /// Refused.
    pub fn refused(reference: Option<String>, error: ReplyError) -> Self {
        Self { tag: ReplyTag::Reply, reference, ok: false, data: None, error: Some(error) }
    }
}
