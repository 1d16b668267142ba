//! Tickets for events: `EventSource` sends no headers and comes back to the same URL for as long as the page is open,
//! so this one is good until the token that bought it ends, on every node.
//!
//! Nothing is kept of it, so it works while Redis is down: it says whose it is and is signed with the secret that signs
//! our tokens. It is no token: what is signed can be none, and no token is signed like it. It is revoked with its
//! session, which the store is asked about at each use; another system's token has none, nor has its ticket.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use protocol::{ErrorCode, Ticket};

use super::tickets::{Holder, bad_ticket};
use crate::{Caller, Chat, ChatError, Result};

/// What is signed begins with this. It has spaces, as no part of a JSON Web Token has.
const CONTEXT: &str = "a ticket for Starling's events ";
/// Longest ticket that is looked at, bytes; ours have about 250.
const PASS_MAX: usize = 512;

impl Chat {
    /// A ticket for events, as good as the token that buys it.
    pub(super) fn issue_pass(&self, holder: &Holder) -> Result<Ticket> {
        let secret = self.inner.config.auth.secret.as_deref().ok_or_else(no_secret)?;
        let internal = || ChatError::new(ErrorCode::Internal, "something failed here");
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(holder).map_err(|e| internal().because(e))?);
        let key = EncodingKey::from_secret(secret);
        let signature = crypto::sign(signed(&said).as_bytes(), &key, Algorithm::HS256);
        let signature = signature.map_err(|e| internal().because(e))?;
        let left = holder.expires_at.get() - self.inner.env.now().get();
        Ok(Ticket { ticket: format!("{said}.{signature}"), expires_in: left.whole_seconds().max(0).unsigned_abs() })
    }

    /// Who bought this ticket for events. Errors as of [`Chat::authenticate`].
    pub async fn redeem_pass(&self, ticket: &str) -> Result<Caller> {
        let secret = self.inner.config.auth.secret.as_deref().ok_or_else(no_secret)?;
        if ticket.len() > PASS_MAX {
            return Err(bad_ticket());
        }
        let (said, signature) = ticket.split_once('.').ok_or_else(bad_ticket)?;
        let key = DecodingKey::from_secret(secret);
        if !crypto::verify(signature, signed(said).as_bytes(), &key, Algorithm::HS256).unwrap_or(false) {
            return Err(bad_ticket());
        }
        let holder = URL_SAFE_NO_PAD.decode(said).map_err(|e| bad_ticket().because(e))?;
        self.holder(serde_json::from_slice(&holder).map_err(|e| bad_ticket().because(e))?).await
    }
}

fn signed(said: &str) -> String {
    format!("{CONTEXT}{said}")
}

fn no_secret() -> ChatError {
    ChatError::new(ErrorCode::SignInDisabled, "tickets for events need a secret to sign with, and none is configured")
}
