//! From a bearer token to a caller: verified, then looked up in the store, then believed for a second.

use protocol::{ErrorCode, OrgId, SessionId, User, UserId};
use sha2::{Digest, Sha256};
use store::{Arrived, ExternalUser, Who};
use tokio::time::Instant;

use super::{claims::Profile, secrets, verify::Identity};
use crate::{Caller, Chat, ChatError, Result};

#[derive(Clone)]
pub(super) struct CachedCaller(Caller);

impl CachedCaller {
    pub(super) fn user_id(&self) -> UserId {
        self.0.user.id
    }
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// Something that lasts as long as the answer takes: it is read at once.
    Request,
    /// A connection that begins, maybe one of thousands: it is read with others.
    Connection,
}

impl Chat {
    /// Who shows this bearer token with a request. Unknown users of another system are made on first sight.
    ///
    /// [`ErrorCode::TokenExpired`] when nothing but its time is wrong, [`ErrorCode::SessionRevoked`],
    /// [`ErrorCode::UserDisabled`]; [`ErrorCode::NotAuthenticated`] for everything else.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        self.caller_by(token, Asker::Request).await
    }

    /// The same for a connection that begins: where many do, it is looked up with others and takes some tenths of a
    /// second.
    pub async fn authenticate_connection(&self, token: &str) -> Result<Caller> {
        self.caller_by(token, Asker::Connection).await
    }

    async fn caller_by(&self, token: &str, asker: Asker) -> Result<Caller> {
        let auth = &self.inner.auth;
        let (asked, now) = (Instant::now(), self.inner.env.now());
        let key = secrets::hash(token);
        if let Some(CachedCaller(caller)) = auth.callers.get(&key)
            && caller.expires_at > now
        {
            return Ok(caller);
        }
        let verified = auth.verifier.verify(token, now).await?;
        let (user, session) = match verified.identity {
            Identity::Own { user, session } => (self.known_user(user, Some(session), asker).await?, Some(session)),
            Identity::External(profile) => (self.external_user(profile, asker).await?, None),
        };
        let caller = Caller { user: enabled(user)?, session, expires_at: verified.expires_at };
        auth.callers.insert(key, CachedCaller(caller.clone()), asked);
        Ok(caller)
    }

    /// Whether the caller is still welcome, asked of the store and not of memory. For connections: what ended a
    /// session or disabled a user before they listened is not told to them again. Errors as of
    /// [`Chat::authenticate`].
    pub async fn recheck(&self, caller: &Caller) -> Result<()> {
        let user = self.known_user(caller.user.id, caller.session, Asker::Connection).await?;
        enabled(user).map(drop)
    }

    /// The user, by a session that still counts if by one.
    pub(super) async fn known_user(&self, id: UserId, session: Option<SessionId>, asker: Asker) -> Result<User> {
        let Arrived { user, session: state } = self.arrived(Who::User(id, session), asker).await?;
        if session.is_some() {
            match state.filter(|state| state.user_id == id) {
                Some(state) if state.active => {}
                Some(_) => return Err(session_over()),
                None => return Err(unknown_user()),
            }
        }
        user.ok_or_else(unknown_user)
    }

    async fn arrived(&self, who: Who, asker: Asker) -> Result<Arrived> {
        if asker == Asker::Connection {
            return self.inner.arrivals.who(who).await;
        }
        let arrived = self.inner.store.arrived(&[who], self.inner.env.now()).await?;
        arrived.into_iter().next().ok_or_else(unknown_user)
    }

    /// The user that another system's token describes. Written only when the token says something new.
    async fn external_user(&self, profile: Profile, asker: Asker) -> Result<User> {
        let auth = &self.inner.auth;
        let org_id = self.org(&profile.org).await?;
        let said = fingerprint(&profile)?;
        let key = (org_id, profile.external_id.clone());
        let cached = auth.externals.get(&key).filter(|(_, known)| *known == said);
        let asked = Instant::now();
        let who = match &cached {
            Some((id, _)) => Who::User(*id, None),
            None => Who::External(org_id, profile.external_id.clone()),
        };
        if let Some(user) = self.arrived(who, asker).await?.user
            && (cached.is_some() || profile.says_nothing_new_of(&user))
        {
            if cached.is_none() {
                auth.externals.insert(key, (user.id, said), asked);
            }
            return Ok(user);
        }
        let wanted = ExternalUser {
            id: UserId(self.inner.env.id()),
            org_id,
            external_id: profile.external_id,
            username: profile.username,
            display_name: profile.display_name,
            avatar_url: profile.avatar_url,
            role: profile.role,
            now: self.inner.env.now(),
        };
        let user = self.inner.store.upsert_external_user(wanted).await?;
        auth.externals.insert(key, (user.id, said), asked);
        Ok(user)
    }

    /// The org with this slug, made when it is new.
    pub(super) async fn org(&self, slug: &str) -> Result<OrgId> {
        let orgs = &self.inner.auth.orgs;
        let (key, asked) = (slug.to_owned(), Instant::now());
        if let Some(id) = orgs.get(&key) {
            return Ok(id);
        }
        let id = self.inner.store.ensure_org(slug).await?;
        orgs.insert(key, id, asked);
        Ok(id)
    }
}

/// Refuses a user whom an admin has disabled.
pub(super) fn enabled(user: User) -> Result<User> {
    match user.disabled_at {
        None => Ok(user),
        Some(_) => Err(ChatError::new(ErrorCode::UserDisabled, "this user has been disabled")),
    }
}

pub(super) fn session_over() -> ChatError {
    ChatError::new(ErrorCode::SessionRevoked, "this session has ended; sign in again")
}

/// A good token for somebody who is not in this store (another database, another deployment with the same secret).
fn unknown_user() -> ChatError {
    ChatError::new(ErrorCode::NotAuthenticated, "the access token is not valid")
}

fn fingerprint(profile: &Profile) -> Result<[u8; 32]> {
    let text = serde_json::to_vec(profile)
        .map_err(|e| ChatError::new(ErrorCode::Internal, "something failed here").because(e))?;
    Ok(Sha256::digest(text).into())
}
