//! Who somebody is: bearer tokens of ours and of other systems, built-in sign-in, sessions, tickets.
//!
//! A token in hand proves nothing for longer than a second: sessions and users are looked up again after that, so
//! that a revoked session and a disabled user are refused on every node. Nothing here logs a token or a secret.

mod authenticate;
mod claims;
#[cfg(test)]
mod external_tests;
mod jwks;
mod keys;
mod pass;
mod passwords;
mod secrets;
mod sessions;
mod sign_in;
#[cfg(test)]
mod testing;
mod tickets;
mod verify;

use std::{path::PathBuf, time::Duration};

use protocol::{OrgId, UserId};

pub use claims::{ExternalClaims, mint_external};
pub use jwks::usable_keys;

use self::{authenticate::CachedCaller, passwords::Passwords, verify::Verifier};
use crate::bounded::Bounded;

/// The org of everybody whose token names none, and of everybody who signs in here.
const DEFAULT_ORG: &str = "default";

/// How long a caller is believed without asking the store again: what a revoked session or a disabled user still
/// gets done on a node that did not hear of it.
const CALLER_TTL: Duration = Duration::from_secs(1);

/// Entries of each cache below; the oldest go first.
const CACHE_ENTRIES: usize = 10_000;

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
    /// HS256 secrets, ≥ 32 bytes each, that were (or soon are) the one above: what they signed is accepted, and nothing
    /// is signed with them. So a secret is changed node by node, and no node refuses what another one signed.
    pub previous_secrets: Vec<Vec<u8>>,
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
            previous_secrets: Vec::new(),
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

impl AuthConfig {
    /// Every secret whose signatures count: the one that signs first, most of what comes is its.
    fn accepted_secrets(&self) -> impl Iterator<Item = &[u8]> {
        self.secret.iter().chain(&self.previous_secrets).map(Vec::as_slice)
    }
}

/// What sign-in keeps in memory: keys, and caches that may be lost at any time.
pub(crate) struct Auth {
    verifier: Verifier,
    passwords: Passwords,
    /// SHA-256 of a token → who showed it, for [`CALLER_TTL`].
    callers: Bounded<[u8; 32], CachedCaller>,
    /// (org, `sub`) → the user and the claims that the store last saw, so that a token costs no write per request.
    externals: Bounded<(OrgId, String), (UserId, [u8; 32])>,
    /// Slug → org; orgs are never removed.
    orgs: Bounded<String, OrgId>,
}

impl Auth {
    /// Reads the keys. Fails when one does not parse; the message is fit for an operator. With a JWKS it must be
    /// called inside a tokio runtime; a URL that does not answer is no failure.
    pub(crate) fn new(config: &AuthConfig) -> std::result::Result<Self, String> {
        Ok(Self {
            verifier: Verifier::new(config)?,
            passwords: Passwords::new(),
            callers: Bounded::new(CACHE_ENTRIES, CALLER_TTL),
            externals: Bounded::new(CACHE_ENTRIES, Duration::from_mins(10)),
            orgs: Bounded::new(CACHE_ENTRIES, Duration::from_hours(1)),
        })
    }

    /// Asks the store again about this user's tokens: something about them changed on this node.
    pub(crate) fn forget_user(&self, user: UserId) {
        self.callers.retain(|caller| caller.user_id() != user);
    }
}
