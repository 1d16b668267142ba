//! Notifications, and what people want to be told of.

use protocol::{
    ConversationId, NotificationList, NotificationPreferences, NotificationPreferencesPatch, NotificationsRead,
    Preferences, PreferencesPatch, ReadNotifications, Unread,
};

use crate::{Caller, Chat, ChatError, Result, check, policy::Refusal};

/// Most conversations that the first page of notifications names.
const MESSAGE_NOTIFICATIONS_MAX: u32 = 50;
/// Most notifications that are marked at once by id.
const READ_IDS_MAX: usize = 100;

impl Chat {
    /// The caller's notifications, newest first; on the first page also conversations with new messages that they want
    /// to be told of. `limit` 1–100 (50 when absent).
    pub async fn notifications(
        &self,
        caller: &Caller,
        unread_only: bool,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<NotificationList> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        let (store, user) = (&self.inner.store, caller.user.id);
        let page = store.notifications(user, unread_only, cursor, limit).await?;
        let messages = match cursor {
            None => store.message_notifications(user, self.inner.env.now(), MESSAGE_NOTIFICATIONS_MAX).await?,
            Some(_) => Vec::new(),
        };
        let unread_count = store.unread_notifications(user).await?;
        Ok(NotificationList { items: page.items, next_cursor: page.next_cursor, messages, unread_count })
    }

    /// Marks some of the caller's notifications read, or all. Ids that are not theirs are passed over.
    pub async fn read_notifications(&self, caller: &Caller, request: ReadNotifications) -> Result<NotificationsRead> {
        if let Some(ids) = &request.ids
            && !(1..=READ_IDS_MAX).contains(&ids.len())
        {
            return Err(ChatError::field("ids", format!("must have from 1 to {READ_IDS_MAX} items")));
        }
        let (store, user) = (&self.inner.store, caller.user.id);
        if let Some(user_seq) = store.read_notifications(user, request.ids.as_deref(), self.inner.env.now()).await? {
            self.publish_feed(user, user_seq).await;
        }
        Ok(NotificationsRead { unread_count: store.unread_notifications(user).await? })
    }

    /// The caller's settings for all conversations.
    pub async fn notification_preferences(&self, caller: &Caller) -> Result<NotificationPreferences> {
        Ok(self.inner.store.notification_preferences(caller.user.id).await?)
    }

    /// Changes them.
    pub async fn set_notification_preferences(
        &self,
        caller: &Caller,
        patch: NotificationPreferencesPatch,
    ) -> Result<NotificationPreferences> {
        let user = caller.user.id;
        let now = self.inner.env.now();
        let (preferences, moved) = self.inner.store.set_notification_preferences(user, &patch, now).await?;
        if let Some(user_seq) = moved {
            self.publish_feed(user, user_seq).await;
        }
        Ok(preferences)
    }

    /// Changes the caller's settings of one conversation.
    pub async fn set_preferences(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        patch: PreferencesPatch,
    ) -> Result<Preferences> {
        let user = caller.user.id;
        let now = self.inner.env.now();
        let Some((preferences, moved)) = self.inner.store.set_preferences(user, conversation, &patch, now).await?
        else {
            self.readable(caller, conversation).await?;
            // They joined between the two looks: to them it was not there yet.
            return Err(Refusal::NotFound.into());
        };
        if let Some(user_seq) = moved {
            self.publish_feed(user, user_seq).await;
        }
        Ok(preferences)
    }

    /// The caller's badges.
    pub async fn unread(&self, caller: &Caller) -> Result<Unread> {
        Ok(self.inner.store.unread(caller.user.id, self.inner.env.now()).await?)
    }
}
