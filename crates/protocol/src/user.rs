//! People.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{OrgId, Timestamp, UserId};

/// Role of a user in their org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrgRole {
    /// Anyone.
    Member,
    /// May announce, disable users and read reports.
    Admin,
}

/// A user as others of the org see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// The tenant.
    pub org_id: OrgId,
    /// Unique in the org, whatever the case of its letters.
    pub username: String,
    /// What to show.
    pub display_name: String,
    /// Picture, if any.
    #[schema(required)]
    pub avatar_url: Option<String>,
    /// A line about themselves.
    #[schema(required)]
    pub status_text: Option<String>,
    /// Role in the org.
    pub role: OrgRole,
    /// Signed in with a name alone.
    pub guest: bool,
    /// Set when an admin has disabled the user.
    #[schema(required)]
    pub disabled_at: Option<Timestamp>,
    /// When the user was created.
    pub created_at: Timestamp,
}

/// The part of a user that goes with each message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    /// Id.
    pub id: UserId,
    /// Unique in the org.
    pub username: String,
    /// What to show.
    pub display_name: String,
    /// Picture, if any.
    #[schema(required)]
    pub avatar_url: Option<String>,
}

impl From<&User> for Sender {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            avatar_url: user.avatar_url.clone(),
        }
    }
}

/// `PATCH /v1/me`: only the named fields change; `null` clears where a field may be absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// New display name, 1–120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// New picture (`https://…` or `http://…`, ≤ 2,000 characters), or null.
    #[serde(default, with = "crate::conversation::double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Option<Option<String>>,
    /// New status text, ≤ 120 characters, or null.
    #[serde(default, with = "crate::conversation::double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub status_text: Option<Option<String>>,
}
