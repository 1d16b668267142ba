//! Users and sessions as the store takes and gives them.

use protocol::{OrgId, OrgRole, SessionId, Timestamp, User, UserId, UserSeq};

/// A user to make.
#[derive(Clone)]
pub struct NewUser {
    /// Their id.
    pub id: UserId,
    /// Their org.
    pub org_id: OrgId,
    /// Checked by the caller.
    pub username: String,
    /// Checked by the caller.
    pub display_name: String,
    /// argon2id PHC string; none for a guest.
    pub password_hash: Option<String>,
    /// Signed in with a name alone.
    pub guest: bool,
    /// When.
    pub now: Timestamp,
}

/// A user as another system's token describes them.
#[derive(Debug, Clone)]
pub struct ExternalUser {
    /// Id to give them when they are new.
    pub id: UserId,
    /// Their org.
    pub org_id: OrgId,
    /// The token's `sub`.
    pub external_id: String,
    /// Wanted username (fit for [`protocol::check_username`]).
    pub username: String,
    /// The token's `name`.
    pub display_name: Option<String>,
    /// The token's `picture`.
    pub avatar_url: Option<String>,
    /// The token's `role`.
    pub role: Option<OrgRole>,
    /// When.
    pub now: Timestamp,
}

/// A session to open.
#[derive(Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// What the device called itself.
    pub device: Option<String>,
    /// SHA-256 of the refresh token.
    pub refresh_hash: Vec<u8>,
    /// When the refresh token ends.
    pub expires_at: Timestamp,
    /// When.
    pub now: Timestamp,
}

/// A session that still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// What the device called itself.
    pub device: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
}

/// Whose a session is, and whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// Whose.
    pub user_id: UserId,
    /// Neither revoked nor expired.
    pub active: bool,
}

/// Who a connection is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// None: no such user.
    pub user: Option<User>,
    /// Of the session that was named; none: there was none named, or there is no such session.
    pub session: Option<SessionState>,
}

/// What came of using a refresh token.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// Replaced.
    Rotated {
        /// The session goes on.
        session: SessionId,
        /// Whose.
        user: User,
    },
    /// Used before: the session is now revoked.
    Reused {
        /// The session.
        session: SessionId,
        /// Whose.
        user_id: UserId,
        /// The feed's new head.
        user_seq: UserSeq,
    },
    /// Unknown, expired or revoked.
    Invalid,
}

/// Somebody whose presence may be told, with when they were last connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub user_id: UserId,
    /// When they were last connected, if that was noted.
    pub last_seen_at: Option<Timestamp>,
}
