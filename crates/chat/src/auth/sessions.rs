//! The logins of a user: listing them and ending them. Whoever holds their sockets hears of it by the user's feed.

use protocol::{ErrorCode, LogoutRequest, Session, SessionId};

use crate::{Caller, Chat, ChatError, Result};

impl Chat {
    /// Ends the caller's session, or all of the user's; their sockets close with 4501.
    pub async fn logout(&self, caller: &Caller, request: LogoutRequest) -> Result<()> {
        let session = match (request.all, caller.session) {
            (true, _) => None,
            (false, Some(session)) => Some(session),
            (false, None) => {
                let message = "this token was issued by another system: end its session there";
                return Err(ChatError::new(ErrorCode::Forbidden, message));
            }
        };
        self.end_sessions(caller, session).await.map(drop)
    }

    /// The caller's sessions, newest first.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<Session>> {
        let records = self.inner.store.sessions(caller.user.id, self.inner.env.now()).await?;
        let session = |record: store::SessionRecord| Session {
            id: record.id,
            device: record.device,
            created_at: record.created_at,
            expires_at: record.expires_at,
            current: caller.session == Some(record.id),
        };
        Ok(records.into_iter().map(session).collect())
    }

    /// Ends one session of the caller.
    pub async fn revoke_session(&self, caller: &Caller, session: SessionId) -> Result<()> {
        if self.end_sessions(caller, Some(session)).await? { Ok(()) } else { Err(ChatError::not_found("session")) }
    }

    /// False when there was nothing to end.
    async fn end_sessions(&self, caller: &Caller, session: Option<SessionId>) -> Result<bool> {
        let user = caller.user.id;
        let moved = self.inner.store.revoke_sessions(user, session, self.inner.env.now()).await?;
        self.inner.auth.forget_user(user);
        if let Some(user_seq) = moved {
            self.publish_feed(user, user_seq).await;
        }
        Ok(moved.is_some())
    }
}
