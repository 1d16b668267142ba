//! Not there yet.
#![allow(unused_variables, clippy::too_many_arguments)]

use async_trait::async_trait;
use protocol::{
    Announcement, AnnouncementList, ConversationId, MessageNotification, Notification, NotificationId,
    NotificationPreferences, NotificationPreferencesPatch, OrgId, Page, Preferences, PreferencesPatch, Timestamp,
    Unread, UserId, UserSeq,
};

use super::SqliteStore;
use crate::{Announced, Inbox, NewAnnouncement, NewAudit, Result, StoreError};

#[async_trait]
impl Inbox for SqliteStore {
    async fn set_preferences(
        &self,
        user: UserId,
        conversation: ConversationId,
        patch: &PreferencesPatch,
        now: Timestamp,
    ) -> Result<Option<(Preferences, Option<UserSeq>)>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn notification_preferences(&self, user: UserId) -> Result<NotificationPreferences> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn set_notification_preferences(
        &self,
        user: UserId,
        patch: &NotificationPreferencesPatch,
        now: Timestamp,
    ) -> Result<(NotificationPreferences, Option<UserSeq>)> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn unread(&self, user: UserId, now: Timestamp) -> Result<Unread> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn notifications(
        &self,
        user: UserId,
        unread_only: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Notification>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn message_notifications(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageNotification>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn announce(&self, new: NewAnnouncement, audit: NewAudit) -> Result<Announced> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn announcements(
        &self,
        org: OrgId,
        user: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementList> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn announcements_after(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<Announcement>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn read_announcements(&self, org: OrgId, user: UserId, seq: u64) -> Result<u64> {
        Err(StoreError::Internal("not there yet".into()))
    }
}
