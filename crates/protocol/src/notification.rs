//! Notifications to one user, and announcements to everybody of an org.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AnnouncementId, ConversationId, Message, MessageId, NotificationId, Sender, Timestamp, UserSeq};

/// Why somebody is notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A message mentions them by name.
    Mention,
    /// A message replies to one of theirs, or to a thread that they began.
    Reply,
    /// They were added to a conversation.
    Added,
}

/// A stored notification. Also data of `notification.created` and `notification.updated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// Id.
    pub id: NotificationId,
    /// Its place in the user's feed when it last changed.
    pub user_seq: UserSeq,
    /// Why.
    pub kind: NotificationKind,
    /// Where.
    pub conversation_id: ConversationId,
    /// Which message.
    pub message_id: MessageId,
    /// Who did it.
    pub actor: Sender,
    /// The message's present text, cut to 200 characters; empty when it was deleted or may not be read any more.
    pub preview: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was read.
    #[schema(required)]
    pub read_at: Option<Timestamp>,
}

/// New messages of one conversation whose every message the user wants to be told of: derived, never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageNotification {
    /// Where.
    pub conversation_id: ConversationId,
    /// How many are not read.
    pub unread_count: u64,
    /// The newest message.
    pub last_message: Message,
}

/// `GET /v1/notifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationList {
    /// Stored notifications, newest first.
    pub items: Vec<Notification>,
    /// Opaque cursor of the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// New messages by conversation, last activity first, at most 50; on the first page alone.
    pub messages: Vec<MessageNotification>,
    /// Stored notifications that are not read.
    pub unread_count: u64,
}

/// `POST /v1/notifications/read`: some, or all when `ids` is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadNotifications {
    /// Which, 1–100; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<NotificationId>>,
}

/// Answer of `POST /v1/notifications/read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationsRead {
    /// How many are still not read.
    pub unread_count: u64,
}

/// News for everybody of an org. Also data of `announcement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Announcement {
    /// Id.
    pub id: AnnouncementId,
    /// Its place among the org's announcements: dense from 1.
    pub seq: u64,
    /// Who wrote it.
    pub author: Sender,
    /// A headline.
    pub title: String,
    /// The text.
    pub content: String,
    /// Where to read more.
    #[schema(required)]
    pub url: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// `POST /v1/announcements` (org admins).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAnnouncement {
    /// A headline, 1–120 characters.
    pub title: String,
    /// The text, 1–4,000 characters.
    pub content: String,
    /// Where to read more (`https://…` or `http://…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `GET /v1/announcements`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnnouncementList {
    /// Newest first.
    pub items: Vec<Announcement>,
    /// Opaque cursor of the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The caller's marker: announcements up to this `seq` are read.
    pub read_seq: u64,
}

/// `POST /v1/announcements/read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadAnnouncements {
    /// Up to here; a value past the last one means the last one. Never goes back.
    pub seq: u64,
}

/// The caller's marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnnouncementsRead {
    /// Announcements up to here are read.
    pub read_seq: u64,
}
