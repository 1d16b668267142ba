//! What is told to people, and what they want to be told of, one subject a file. What a user misses while away is
//! numbered in their feed, under their row's lock.

mod announcements;
pub(super) mod notifications;
mod preferences;
mod unread;

use async_trait::async_trait;
use protocol::{
    Announcement, AnnouncementList, ConversationId, MessageNotification, Notification, NotificationId,
    NotificationPreferences, NotificationPreferencesPatch, OrgId, Page, Preferences, PreferencesPatch, Timestamp,
    Unread, UserId, UserSeq,
};

use super::PostgresStore;
use crate::{Announced, Inbox, NewAnnouncement, NewAudit, Result};

#[async_trait]
impl Inbox for PostgresStore {
    async fn set_preferences(
        &self,
        user: UserId,
        conversation: ConversationId,
        patch: &PreferencesPatch,
        now: Timestamp,
    ) -> Result<Option<(Preferences, Option<UserSeq>)>> {
        self.call(|| async { preferences::set(&self.pool.get(), user, conversation, patch, now).await }).await
    }

    async fn notification_preferences(&self, user: UserId) -> Result<NotificationPreferences> {
        self.call(|| async { preferences::everywhere(&self.pool.get(), user).await }).await
    }

    async fn set_notification_preferences(
        &self,
        user: UserId,
        patch: &NotificationPreferencesPatch,
        _now: Timestamp,
    ) -> Result<(NotificationPreferences, Option<UserSeq>)> {
        self.call(|| async { preferences::set_everywhere(&self.pool.get(), user, patch).await }).await
    }

    async fn unread(&self, user: UserId, now: Timestamp) -> Result<Unread> {
        self.call(|| async { unread::unread(&self.pool.get(), user, now).await }).await
    }

    async fn notifications(
        &self,
        user: UserId,
        unread_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>> {
        self.call(|| async { notifications::page(&self.pool.get(), user, unread_only, cursor, limit).await }).await
    }

    async fn message_notifications(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageNotification>> {
        self.call(|| async { unread::messages(&self.pool.get(), user, now, limit).await }).await
    }

    async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        self.call(|| async { notifications::read(&self.pool.get(), user, ids, now).await }).await
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64> {
        self.call(|| async { notifications::unread(&self.pool.get(), user).await }).await
    }

    async fn announce(&self, new: NewAnnouncement, audit: NewAudit) -> Result<Announced> {
        self.call(|| async { announcements::announce(&self.pool.get(), &new, &audit).await }).await
    }

    async fn announcements(
        &self,
        org: OrgId,
        user: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementList> {
        self.call(|| async { announcements::page(&self.pool.get(), org, user, cursor, limit).await }).await
    }

    async fn announcements_after(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Announcement>> {
        self.call(|| async { announcements::after(&self.pool.get(), org, after, limit).await }).await
    }

    async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
        self.call(|| async { announcements::heads(&self.pool.get(), orgs).await }).await
    }

    async fn read_announcements(&self, org: OrgId, user: UserId, seq: u64) -> Result<u64> {
        self.call(|| async { announcements::read(&self.pool.get(), org, user, seq).await }).await
    }
}
