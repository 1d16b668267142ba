//! From a bearer token to what it says: signature first, then the claims. Knows keys and clocks, not the store.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use protocol::{ErrorCode, SessionId, Timestamp, UserId};

use super::{
    AuthConfig,
    claims::{ClaimError, Claims, Profile},
    jwks::Jwks,
    keys::Key,
};
use crate::ChatError;

/// Longest token that is looked at, bytes.
const TOKEN_MAX: usize = 16 * 1024;
/// Shortest HS256 secret, bytes (RFC 7518 asks for as many as the hash has).
const SECRET_MIN: usize = 32;

/// Why a token was refused: for the log, a client is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("not a JSON Web Token")]
    Format,
    #[error("no key for this algorithm and key id")]
    NoKey,
    #[error("the signature is wrong")]
    Signature,
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl From<TokenError> for ChatError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Claim(ClaimError::Expired) => {
                Self::new(ErrorCode::TokenExpired, "the access token has expired")
            }
            other => Self::new(ErrorCode::NotAuthenticated, "the access token is not valid").because(other),
        }
    }
}

/// What a good token says.
pub(super) struct Verified {
    pub(super) identity: Identity,
    /// When the token ends.
    pub(super) expires_at: Timestamp,
}

pub(super) enum Identity {
    /// Our own token.
    Own { user: UserId, session: SessionId },
    /// Another system's.
    External(Profile),
}

pub(super) struct Verifier {
    /// The one that signs now, and those before it.
    secrets: Vec<Key>,
    keys: Vec<Key>,
    jwks: Option<Arc<Jwks>>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Verifier {
    pub(super) fn new(config: &AuthConfig) -> Result<Self, String> {
        if config.accepted_secrets().any(|secret| secret.len() < SECRET_MIN) {
            return Err(format!("the JWT secret, and each previous one, must have at least {SECRET_MIN} bytes"));
        }
        let keys = config
            .keys
            .iter()
            .enumerate()
            .map(|(at, key)| Key::from_pem(&key.pem).map_err(|reason| format!("public key {}: {reason}", at + 1)));
        Ok(Self {
            secrets: config.accepted_secrets().map(Key::from_secret).collect(),
            keys: keys.collect::<Result<_, _>>()?,
            jwks: config.jwks.as_ref().map(Jwks::start).transpose()?,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        })
    }

    pub(super) async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::Format);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Format)?;
        if header.alg == Algorithm::HS256 {
            if self.secrets.is_empty() {
                return Err(TokenError::NoKey);
            }
            let claims = self.secrets.iter().find_map(|key| key.verify(token)).ok_or(TokenError::Signature)?;
            let claims = Claims(claims);
            if claims.is_own() {
                let (user, session) = claims.own()?;
                let expires_at = claims.check_time(now)?;
                return Ok(Verified { identity: Identity::Own { user, session }, expires_at });
            }
            return self.external(&claims, now);
        }
        let kid = header.kid.as_deref();
        let mut candidates: Vec<Key> = self.keys.iter().filter(|key| key.fits(header.alg, kid)).cloned().collect();
        let asymmetric = matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
        if let Some(jwks) = self.jwks.as_ref().filter(|_| asymmetric) {
            candidates.extend(jwks.candidates(header.alg, kid).await);
        }
        if candidates.is_empty() {
            return Err(TokenError::NoKey);
        }
        let claims = candidates.iter().find_map(|key| key.verify(token)).ok_or(TokenError::Signature)?;
        self.external(&Claims(claims), now)
    }

    /// The time comes last: "expired" is only said of a token that would be good otherwise.
    fn external(&self, claims: &Claims, now: Timestamp) -> Result<Verified, TokenError> {
        claims.check_origin(self.issuer.as_deref(), self.audience.as_deref())?;
        let profile = claims.profile()?;
        let expires_at = claims.check_time(now)?;
        Ok(Verified { identity: Identity::External(profile), expires_at })
    }
}

#[cfg(test)]
mod tests;
