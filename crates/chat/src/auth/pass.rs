//! Tickets for events: `EventSource` sends no headers and comes back to the same URL for as long as the page is open,
//! so this one is good until the token that bought it ends, on every node.
//!
//! Nothing is kept of it, so it works while Redis is down: it says whose it is and is signed with the secret that signs
//! our tokens, or was before it was changed. It is no token: what is signed can be none, and no token is signed like it. It is revoked with its
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
        let auth = &self.inner.config.auth;
        if auth.accepted_secrets().next().is_none() {
            return Err(no_secret());
        }
        if ticket.len() > PASS_MAX {
            return Err(bad_ticket());
        }
        let (said, signature) = ticket.split_once('.').ok_or_else(bad_ticket)?;
        let text = signed(said);
        let signed_by = |secret: &[u8]| {
            let key = DecodingKey::from_secret(secret);
            crypto::verify(signature, text.as_bytes(), &key, Algorithm::HS256).unwrap_or(false)
        };
        if !auth.accepted_secrets().any(signed_by) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::{TicketPurpose, TicketRequest};

    use super::*;
    use crate::{
        AuthConfig, ChatConfig, Env,
        testing::{World, code},
    };

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    /// Another node on the same store and bus.
    fn node(world: &World, secret: Option<[u8; 32]>, previous: &[[u8; 32]]) -> Chat {
        let auth = AuthConfig {
            secret: secret.map(Vec::from),
            previous_secrets: previous.iter().map(|secret| secret.to_vec()).collect(),
            ..AuthConfig::default()
        };
        let config = ChatConfig { auth, ..ChatConfig::default() };
        let registry = prometheus::Registry::new();
        Chat::new(Arc::clone(&world.store), Arc::clone(&world.bus), Env::system(), config, &registry).unwrap()
    }

    #[tokio::test]
    async fn while_a_secret_is_changed_a_ticket_is_good_on_nodes_of_either_side() {
        let world = World::start().await;
        let ann = world.user("ann").await;
        let request = || TicketRequest { purpose: TicketPurpose::Events };
        let (before, after) = (node(&world, Some(OLD), &[NEW]), node(&world, Some(NEW), &[OLD]));
        let by_old = before.issue_ticket(&ann, request()).await.unwrap().ticket;
        let by_new = after.issue_ticket(&ann, request()).await.unwrap().ticket;
        assert_ne!(by_old, by_new, "each is signed with what its node signs with");
        for ticket in [&by_old, &by_new] {
            for node in [&before, &after] {
                assert_eq!(node.redeem_pass(ticket).await.unwrap().user.id, ann.user.id);
            }
        }
        let over = node(&world, Some(NEW), &[]);
        assert_eq!(over.redeem_pass(&by_new).await.unwrap().user.id, ann.user.id);
        assert_eq!(code(over.redeem_pass(&by_old).await), ErrorCode::NotAuthenticated);
        // A node that only accepts sells none.
        let only_accepts = node(&world, None, &[OLD]);
        assert_eq!(only_accepts.redeem_pass(&by_old).await.unwrap().user.id, ann.user.id);
        assert_eq!(code(only_accepts.issue_ticket(&ann, request()).await), ErrorCode::SignInDisabled);
        assert_eq!(code(node(&world, None, &[]).redeem_pass(&by_old).await), ErrorCode::SignInDisabled);
    }
}
