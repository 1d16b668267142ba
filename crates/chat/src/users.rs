//! People and profiles. Nobody sees a user of another org; a disabled user can be looked at, not found.

use bus::Topic;
use protocol::{Event, EventType, Page, ProfilePatch, User, UserId};
use store::{OrgUsersFilter, Seen};

use crate::{
    Caller, Chat, ChatError, Result, check,
    envelope::{PresenceEvent, UserEvent},
};

/// Most users of whom one transaction notes that they are there.
const NOTED_AT_ONCE: usize = 1_000;

impl Chat {
    /// For the gateway: notes that users, each once, are there now.
    pub async fn note_seen(&self, users: &[UserId]) -> Result<()> {
        for users in users.chunks(NOTED_AT_ONCE) {
            let last_seen_at = Some(self.inner.env.now());
            let seen: Vec<_> = users.iter().map(|user| Seen { user_id: *user, last_seen_at }).collect();
            self.inner.store.note_seen(&seen).await?;
        }
        Ok(())
    }

    /// Changes the caller's profile. Their own devices and who watches them are told.
    pub async fn update_profile(&self, caller: &Caller, patch: ProfilePatch) -> Result<User> {
        check::profile_patch(&patch)?;
        let updated = self.inner.store.update_profile(caller.user.id, &patch).await?;
        let user = updated.ok_or_else(|| ChatError::not_found("user"))?;
        self.tell_profile(&user);
        Ok(user)
    }

    fn tell_profile(&self, user: &User) {
        let event = Event::plain(EventType::UserUpdated, user);
        let payloads = [
            (Topic::User(user.id), UserEvent::encode_frame(&event, None)),
            (Topic::Presence(user.id), PresenceEvent::encode_frame(&event)),
        ];
        for (topic, payload) in payloads {
            match payload {
                Ok(payload) => self.inner.writer.publish(topic, payload),
                Err(error) => tracing::error!(%error, "a profile could not be serialised"),
            }
        }
    }

    /// A user of the caller's org.
    pub async fn user(&self, caller: &Caller, id: UserId) -> Result<User> {
        let user = self.inner.store.user(id).await?;
        user.filter(|user| user.org_id == caller.user.org_id).ok_or_else(|| ChatError::not_found("user"))
    }

    /// Users of the caller's org by prefix, without those who are disabled. `limit` 1–100 (50 when absent).
    pub async fn search_users(
        &self,
        caller: &Caller,
        query: &str,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<User>> {
        let limit = check::limit(limit)?;
        check::query(query)?;
        check::cursor(cursor)?;
        let filter = OrgUsersFilter { query: query.to_owned(), disabled: Some(false), role: None };
        Ok(self.inner.store.org_users(caller.user.org_id, &filter, cursor, limit).await?)
    }
}
