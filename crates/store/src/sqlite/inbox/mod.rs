//! What is told to people, and what they want to be told of: [`Inbox`], one module for each subject.
//!
//! Notifications are made by the change that they tell of (`change`), not here.

mod announcements;
mod badges;
mod notifications;
mod preferences;

use async_trait::async_trait;
use protocol::{
    Announcement, AnnouncementList, ConversationId, MessageNotification, Notification, NotificationId,
    NotificationPreferences, NotificationPreferencesPatch, OrgId, Page, Preferences, PreferencesPatch, Timestamp,
    Unread, UserId, UserSeq,
};

pub(super) use notifications::{NotificationRow, select_notifications};

use super::{SqliteStore, error::Db};
use crate::{Announced, Inbox, NewAnnouncement, NewAudit, Result};

#[async_trait]
impl Inbox for SqliteStore {
    async fn set_preferences(
        &self,
        user: UserId,
        conversation: ConversationId,
        patch: &PreferencesPatch,
        now: Timestamp,
    ) -> Result<Option<(Preferences, Option<UserSeq>)>> {
        let mut tx = self.write().await?;
        let set = preferences::set(&mut tx, user, conversation, patch, now).await?;
        tx.commit().await.db()?;
        Ok(set)
    }

    async fn notification_preferences(&self, user: UserId) -> Result<NotificationPreferences> {
        preferences::everywhere(&mut *self.reader().await?, user).await
    }

    async fn set_notification_preferences(
        &self,
        user: UserId,
        patch: &NotificationPreferencesPatch,
        _now: Timestamp,
    ) -> Result<(NotificationPreferences, Option<UserSeq>)> {
        let mut tx = self.write().await?;
        let set = preferences::set_everywhere(&mut tx, user, patch).await?;
        tx.commit().await.db()?;
        Ok(set)
    }

    async fn unread(&self, user: UserId, now: Timestamp) -> Result<Unread> {
        badges::unread(&mut *self.reader().await?, user, now).await
    }

    async fn notifications(
        &self,
        user: UserId,
        unread_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>> {
        notifications::list(&mut *self.reader().await?, user, unread_only, cursor, limit).await
    }

    async fn message_notifications(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageNotification>> {
        badges::messages(&mut *self.snapshot().await?, user, now, limit).await
    }

    async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        let mut tx = self.write().await?;
        let seq = notifications::read(&mut tx, user, ids, now).await?;
        tx.commit().await.db()?;
        Ok(seq)
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64> {
        notifications::unread(&mut *self.reader().await?, user).await
    }

    async fn announce(&self, new: NewAnnouncement, audit: NewAudit) -> Result<Announced> {
        let mut tx = self.write().await?;
        let announced = announcements::make(&mut tx, &new, &audit).await?;
        tx.commit().await.db()?;
        Ok(announced)
    }

    async fn announcements(
        &self,
        org: OrgId,
        user: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementList> {
        announcements::list(&mut *self.snapshot().await?, org, user, cursor, limit).await
    }

    async fn announcements_after(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Announcement>> {
        announcements::after(&mut *self.reader().await?, org, after, limit).await
    }

    async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
        announcements::heads(&mut *self.reader().await?, orgs).await
    }

    async fn read_announcements(&self, org: OrgId, user: UserId, seq: u64) -> Result<u64> {
        let mut tx = self.write().await?;
        let seq = announcements::read(&mut tx, org, user, seq).await?;
        tx.commit().await.db()?;
        Ok(seq)
    }
}
