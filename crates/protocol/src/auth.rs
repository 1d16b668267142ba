//! Bodies of the routes that sign people in, and tickets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{SessionId, Timestamp, User};

/// `POST /v1/auth/guest`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestRequest {
    /// The wanted name; 409 `username_taken` when in use.
    pub username: String,
    /// What to call this device in the list of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// `POST /v1/auth/register`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The wanted name.
    pub username: String,
    /// 8–256 characters.
    pub password: String,
    /// What to show; the username when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What to call this device in the list of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// `POST /v1/auth/login`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// What to call this device in the list of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// `POST /v1/auth/refresh`. A refresh token is used once; using it again revokes its session.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The token that the last sign-in or refresh gave.
    pub refresh_token: String,
}

/// `POST /v1/auth/logout`: ends the session of the access token, or all of the user's.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// End every session of this user.
    #[serde(default)]
    pub all: bool,
}

/// Answer of every route that signs somebody in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// Bearer token (JWT).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// Single use; see `POST /v1/auth/refresh`.
    pub refresh_token: String,
    /// Who signed in.
    pub user: User,
}

/// One login of the caller.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// What the device called itself.
    #[schema(required)]
    pub device: Option<String>,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
    /// The session of this very request.
    pub current: bool,
}

/// What a ticket opens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketPurpose {
    /// One WebSocket upgrade within 30 s.
    #[default]
    Ws,
    /// `GET /v1/events`, as often as wanted (`EventSource` comes back to the same URL), for as long as the token that
    /// bought it lives and its session is not revoked. Opens nothing else.
    Events,
}

/// `POST /v1/tickets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// What for.
    #[serde(default, rename = "for")]
    pub purpose: TicketPurpose,
}

/// Answer of `POST /v1/tickets`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// Pass it as `?ticket=`. One for `ws` works once.
    pub ticket: String,
    /// Seconds that it lives.
    pub expires_in: u64,
}
