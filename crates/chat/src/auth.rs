//! Who somebody is: bearer tokens of ours and of other systems, built-in sign-in, sessions, tickets.

use std::{path::PathBuf, time::Duration};

use protocol::{
    GuestRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, Session, SessionId, Ticket,
    TicketRequest, TokenResponse,
};

use crate::{Caller, Chat, Result};

/// Where a key set is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// Fetched at start and again when an unknown `kid` shows up (at most every 30 s) and every 10 minutes.
    Url(String),
    /// Read at start and when it changes.
    File(PathBuf),
}

/// A public key for RS256, ES256 or EdDSA; which one is told by the PEM.
#[derive(Clone)]
pub struct VerifyKey {
    /// The key as PEM (SubjectPublicKeyInfo).
    pub pem: String,
}

/// Who may sign in and how.
#[derive(Clone)]
pub struct AuthConfig {
    /// HS256 secret, ≥ 32 bytes: verifies another system's tokens and signs ours.
    pub secret: Option<Vec<u8>>,
    /// Public keys of another system.
    pub keys: Vec<VerifyKey>,
    /// Public keys of another system, by reference.
    pub jwks: Option<JwksSource>,
    /// Wanted `iss` of another system's tokens; required when set.
    pub issuer: Option<String>,
    /// Wanted `aud` of another system's tokens; required when set.
    pub audience: Option<String>,
    /// Guest sign-in is on.
    pub guest_sign_in: bool,
    /// Register and log in are on.
    pub password_sign_in: bool,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// How long a refresh token lives.
    pub refresh_ttl: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            keys: Vec::new(),
            jwks: None,
            issuer: None,
            audience: None,
            guest_sign_in: false,
            password_sign_in: true,
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(24 * 30),
        }
    }
}

/// Claims of a token as another system would make it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ExternalClaims {
    /// The other system's id of the user.
    pub sub: String,
    /// Unix seconds.
    pub exp: u64,
    /// Org slug; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Wanted username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// `admin` or `member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// Mints an HS256 token as another system would (`starling token`, tests, the load tester).
pub fn mint_external(_secret: &[u8], _claims: &ExternalClaims) -> std::result::Result<String, String> {
    unimplemented!()
}

pub(crate) struct Auth {}

impl Auth {
    pub(crate) fn new(_config: &AuthConfig) -> std::result::Result<Self, String> {
        unimplemented!()
    }
}

impl Chat {
    /// Who shows this bearer token. Unknown users of another system are made on first sight.
    pub async fn authenticate(&self, _token: &str) -> Result<Caller> {
        unimplemented!()
    }

    /// Signs in with a name alone.
    pub async fn sign_in_guest(&self, _request: GuestRequest) -> Result<TokenResponse> {
        unimplemented!()
    }

    /// Makes a user with a password.
    pub async fn register(&self, _request: RegisterRequest) -> Result<TokenResponse> {
        unimplemented!()
    }

    /// Signs in with a password.
    pub async fn login(&self, _request: LoginRequest) -> Result<TokenResponse> {
        unimplemented!()
    }

    /// Exchanges a refresh token; one that was used before revokes its session.
    pub async fn refresh(&self, _request: RefreshRequest) -> Result<TokenResponse> {
        unimplemented!()
    }

    /// Ends the caller's session, or all of the user's; their sockets close with 4501.
    pub async fn logout(&self, _caller: &Caller, _request: LogoutRequest) -> Result<()> {
        unimplemented!()
    }

    /// The caller's sessions, newest first.
    pub async fn sessions(&self, _caller: &Caller) -> Result<Vec<Session>> {
        unimplemented!()
    }

    /// Ends one session of the caller.
    pub async fn revoke_session(&self, _caller: &Caller, _session: SessionId) -> Result<()> {
        unimplemented!()
    }

    /// A single-use ticket that opens one socket.
    pub async fn issue_ticket(&self, _caller: &Caller, _request: TicketRequest) -> Result<Ticket> {
        unimplemented!()
    }

    /// Who bought this ticket; it is used up.
    pub async fn redeem_ticket(&self, _ticket: &str) -> Result<Caller> {
        unimplemented!()
    }
}
