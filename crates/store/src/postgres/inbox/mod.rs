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
        self.call(|| preferences::set(&self.pool, user, conversation, patch, now)).await
    }

    async fn notification_preferences(&self, user: UserId) -> Result<NotificationPreferences> {
        self.call(|| preferences::everywhere(&self.pool, user)).await
    }

    async fn set_notification_preferences(
        &self,
        user: UserId,
        patch: &NotificationPreferencesPatch,
        _now: Timestamp,
    ) -> Result<(NotificationPreferences, Option<UserSeq>)> {
        self.call(|| preferences::set_everywhere(&self.pool, user, patch)).await
    }

    async fn unread(&self, user: UserId, now: Timestamp) -> Result<Unread> {
        self.call(|| unread::unread(&self.pool, user, now)).await
    }

    async fn notifications(
        &self,
        user: UserId,
        unread_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>> {
        self.call(|| notifications::page(&self.pool, user, unread_only, cursor, limit)).await
    }

    async fn message_notifications(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageNotification>> {
        self.call(|| unread::messages(&self.pool, user, now, limit)).await
    }

    async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        self.call(|| notifications::read(&self.pool, user, ids, now)).await
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64> {
        self.call(|| notifications::unread(&self.pool, user)).await
    }

    async fn announce(&self, new: NewAnnouncement, audit: NewAudit) -> Result<Announced> {
        self.call(|| announcements::announce(&self.pool, &new, &audit)).await
    }

    async fn announcements(
        &self,
        org: OrgId,
        user: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementList> {
        self.call(|| announcements::page(&self.pool, org, user, cursor, limit)).await
    }

    async fn announcements_after(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Announcement>> {
        self.call(|| announcements::after(&self.pool, org, after, limit)).await
    }

    async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
        self.call(|| announcements::heads(&self.pool, orgs)).await
    }

    async fn read_announcements(&self, org: OrgId, user: UserId, seq: u64) -> Result<u64> {
        self.call(|| announcements::read(&self.pool, org, user, seq)).await
    }
}
