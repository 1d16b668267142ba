//! People and profiles. Nobody sees a user of another org; a disabled user can be looked at, not found.

use protocol::{Page, ProfilePatch, User, UserId};
use store::OrgUsersFilter;

use crate::{Caller, Chat, ChatError, Result, check};

impl Chat {
    /// Changes the caller's profile.
    pub async fn update_profile(&self, caller: &Caller, patch: ProfilePatch) -> Result<User> {
        check::profile_patch(&patch)?;
        let updated = self.inner.store.update_profile(caller.user.id, &patch).await?;
        updated.ok_or_else(|| ChatError::not_found("user"))
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
