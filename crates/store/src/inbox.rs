//! What is told to people: settings, badges, notifications, announcements.

use async_trait::async_trait;
use protocol::{
    Announcement, AnnouncementList, ConversationId, MessageNotification, Notification, NotificationId,
    NotificationPreferences, NotificationPreferencesPatch, OrgId, Page, Preferences, PreferencesPatch, Timestamp,
    Unread, UserId, UserSeq,
};

use crate::{Announced, NewAnnouncement, NewAudit, Result};

/// What is told to people, and what they want to be told of.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Changes a participant's settings, moving their feed when something changed. `None`: does not take part.
    async fn set_preferences(
        &self,
        user: UserId,
        conversation: ConversationId,
        patch: &PreferencesPatch,
        now: Timestamp,
    ) -> Result<Option<(Preferences, Option<UserSeq>)>>;
    /// A user's settings for all conversations; the default when they have none.
    async fn notification_preferences(&self, user: UserId) -> Result<NotificationPreferences>;
    /// Changes them, moving the feed when something changed.
    async fn set_notification_preferences(
        &self,
        user: UserId,
        patch: &NotificationPreferencesPatch,
        now: Timestamp,
    ) -> Result<(NotificationPreferences, Option<UserSeq>)>;
    /// The badges; muted is what is muted at `now`. One statement.
    async fn unread(&self, user: UserId, now: Timestamp) -> Result<Unread>;

    /// Stored notifications, newest first.
    async fn notifications(
        &self,
        user: UserId,
        unread_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>>;
    /// Conversations with unread messages whose every message the user wants to be told of at `now` (their own and the
    /// conversation's settings say `all`, neither is muted), last activity first.
    async fn message_notifications(&self, user: UserId, now: Timestamp, limit: u32)
    -> Result<Vec<MessageNotification>>;
    /// Marks notifications read (none: all), each moving the feed by one. The feed's head when any was marked.
    async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>>;
    /// Stored notifications that are not read.
    async fn unread_notifications(&self, user: UserId) -> Result<u64>;

    /// Makes an announcement under the org's lock, with its entry in the audit log; found again by its key.
    async fn announce(&self, new: NewAnnouncement, audit: NewAudit) -> Result<Announced>;
    /// Announcements, newest first, and the user's marker.
    async fn announcements(
        &self,
        org: OrgId,
        user: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementList>;
    /// Announcements after a seq, ascending, at most `limit`.
    async fn announcements_after(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Announcement>>;
    /// `seq` of the orgs' last announcements (0: none), batched.
    async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>>;
    /// Moves the user's marker forward, clamped to the head; where it is then.
    async fn read_announcements(&self, org: OrgId, user: UserId, seq: u64) -> Result<u64>;
}
