//! What a user wants of a conversation, and to be told of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConversationId, Notify, Seq, Timestamp};

/// A participant's own settings. Also data of `preferences.updated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preferences {
    /// Where.
    pub conversation_id: ConversationId,
    /// What to be told of.
    pub notify: Notify,
    /// Nothing is told, and the total of unread messages leaves it out, until then.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
    /// When the user pinned it to the top of their list.
    #[schema(required)]
    pub pinned_at: Option<Timestamp>,
}

/// `PATCH /v1/conversations/{id}/preferences`: only the named fields change; `null` clears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferencesPatch {
    /// What to be told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Muted until then, or null. A moment that has passed mutes nothing.
    #[serde(default, with = "crate::conversation::double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub muted_until: Option<Option<Timestamp>>,
    /// At the top of one's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// What a user wants to be told of, everywhere: with a conversation's own settings the stricter of the two counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotificationPreferences {
    /// What to be told of.
    pub notify: Notify,
    /// Nothing until then.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
}

/// `PATCH /v1/me/notification-preferences`: only the named fields change; `null` clears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationPreferencesPatch {
    /// What to be told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Nothing until then, or null.
    #[serde(default, with = "crate::conversation::double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub muted_until: Option<Option<Timestamp>>,
}

/// `GET /v1/unread`: the badges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unread {
    /// Messages after the read markers, muted conversations left out.
    pub unread_count: u64,
    /// Conversations that have such messages.
    pub conversation_count: u64,
    /// Mentions after the read markers, muted conversations included.
    pub mention_count: u64,
    /// Notifications that are not read.
    pub notification_count: u64,
    /// Announcements after the caller's marker.
    pub announcement_count: u64,
}

/// One marker of `POST /v1/read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadItem {
    /// Where.
    pub conversation_id: ConversationId,
    /// Up to here; a value past the head means the head.
    pub seq: Seq,
}

/// `POST /v1/read`: many conversations at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRead {
    /// 1–100, each conversation once.
    #[serde(deserialize_with = "crate::object::many")]
    pub items: Vec<ReadItem>,
}
