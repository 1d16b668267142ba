//! People and profiles.

use protocol::{Page, ProfilePatch, User, UserId};

use crate::{Caller, Chat, Result};

impl Chat {
    /// Changes the caller's profile.
    pub async fn update_profile(&self, _caller: &Caller, _patch: ProfilePatch) -> Result<User> {
        unimplemented!()
    }

    /// A user of the caller's org.
    pub async fn user(&self, _caller: &Caller, _id: UserId) -> Result<User> {
        unimplemented!()
    }

    /// Users of the caller's org by prefix. `limit` 1–100 (50 when absent).
    pub async fn search_users(
        &self,
        _caller: &Caller,
        _query: &str,
        _cursor: Option<&str>,
        _limit: Option<u32>,
    ) -> Result<Page<User>> {
        unimplemented!()
    }
}
