//! Tickets: what a browser puts into a URL instead of its token.
//!
//! One for a socket is random, single use, 30 s, kept on the bus (not in one node's memory), because the socket may
//! open on another node than the one that sold the ticket. One for events is another thing: see [`super::pass`].

use std::{fmt::Write, time::Duration};

use bytes::Bytes;
use protocol::{ErrorCode, SessionId, Ticket, TicketPurpose, TicketRequest, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{
    authenticate::{Asker, enabled},
    secrets,
};
use crate::{Caller, Chat, ChatError, Result};

/// How long a ticket can be used.
const TICKET_TTL: Duration = Duration::from_secs(30);
/// Longest ticket that is looked up, bytes; ours have 43.
const TICKET_MAX: usize = 128;

/// Who bought a ticket: what the bus keeps under its hash.
#[derive(Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) user: UserId,
    pub(super) session: Option<SessionId>,
    /// When the token ends that it was bought with.
    pub(super) expires_at: Timestamp,
}

impl Chat {
    /// A ticket for one socket within 30 s, or for events until the caller's token ends.
    ///
    /// [`ErrorCode::SignInDisabled`] for events where the operator has configured no secret to sign with.
    pub async fn issue_ticket(&self, caller: &Caller, request: TicketRequest) -> Result<Ticket> {
        let holder = Holder { user: caller.user.id, session: caller.session, expires_at: caller.expires_at };
        if request.purpose == TicketPurpose::Events {
            return self.issue_pass(&holder);
        }
        let ticket = secrets::generate();
        let value = serde_json::to_vec(&holder)
            .map_err(|e| ChatError::new(ErrorCode::Internal, "something failed here").because(e))?;
        self.inner.bus.put(&key(&ticket), Bytes::from(value), TICKET_TTL).await?;
        Ok(Ticket { ticket, expires_in: TICKET_TTL.as_secs() })
    }

    /// Who bought this ticket for a socket; it is used up. The session and the user are looked at again.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Caller> {
        if ticket.is_empty() || ticket.len() > TICKET_MAX {
            return Err(bad_ticket());
        }
        let value = self.inner.bus.take(&key(ticket)).await?.ok_or_else(bad_ticket)?;
        let holder = serde_json::from_slice(&value).map_err(|e| bad_ticket().because(e))?;
        self.holder(holder).await
    }

    /// Whoever bought a ticket, if they are still welcome.
    pub(super) async fn holder(&self, holder: Holder) -> Result<Caller> {
        let now = self.inner.env.now();
        if holder.expires_at <= now {
            return Err(ChatError::new(ErrorCode::TokenExpired, "the access token of this ticket has expired"));
        }
        let user = self.known_user(holder.user, holder.session, Asker::Connection).await?;
        Ok(Caller { user: enabled(user)?, session: holder.session, expires_at: holder.expires_at })
    }
}

fn key(ticket: &str) -> String {
    let mut key = String::from("ticket:");
    for byte in secrets::hash(ticket) {
        // Writing to a String cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

pub(super) fn bad_ticket() -> ChatError {
    ChatError::new(ErrorCode::NotAuthenticated, "the ticket is not valid, or was used before")
}
