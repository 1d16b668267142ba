//! Built-in sign-in for those who have no login of their own: guests, passwords, refresh tokens.

use protocol::{
    ErrorCode, GuestRequest, LoginRequest, NAME_MAX, RefreshRequest, RegisterRequest, SessionId, Timestamp,
    TokenResponse, User, UserId,
};
use store::{NewSession, NewUser, Rotation};

use super::{
    DEFAULT_ORG,
    authenticate::{enabled, session_over},
    claims, passwords, secrets,
};
use crate::{Chat, ChatError, Result};

/// Longest refresh token that is looked up, bytes; ours have 43.
const REFRESH_TOKEN_MAX: usize = 128;

impl Chat {
    /// Signs in with a name alone.
    pub async fn sign_in_guest(&self, request: GuestRequest) -> Result<TokenResponse> {
        let secret = self.signing_secret(self.inner.config.auth.guest_sign_in)?;
        check_username(&request.username)?;
        check_device(request.device.as_deref())?;
        let user = self.inner.store.create_user(NewUser {
            id: UserId(self.inner.env.id()),
            org_id: self.org(DEFAULT_ORG).await?,
            display_name: request.username.clone(),
            username: request.username,
            password_hash: None,
            guest: true,
            now: self.inner.env.now(),
        });
        let user = user.await?;
        self.open_session(secret, user, request.device).await
    }

    /// Makes a user with a password.
    pub async fn register(&self, request: RegisterRequest) -> Result<TokenResponse> {
        let secret = self.signing_secret(self.inner.config.auth.password_sign_in)?;
        check_username(&request.username)?;
        passwords::check(&request.password)?;
        if let Some(name) = &request.display_name {
            protocol::check_line(name, NAME_MAX).map_err(|e| ChatError::field("display_name", e.message()))?;
        }
        check_device(request.device.as_deref())?;
        let org_id = self.org(DEFAULT_ORG).await?;
        // Asked before the hash, which is dear; the store decides when two come at once.
        if self.inner.store.credentials(org_id, &request.username).await?.is_some() {
            return Err(ChatError::new(ErrorCode::UsernameTaken, "somebody else has this username"));
        }
        let password_hash = self.inner.auth.passwords.hash(request.password).await?;
        let user = self.inner.store.create_user(NewUser {
            id: UserId(self.inner.env.id()),
            org_id,
            display_name: request.display_name.unwrap_or_else(|| request.username.clone()),
            username: request.username,
            password_hash: Some(password_hash),
            guest: false,
            now: self.inner.env.now(),
        });
        let user = user.await?;
        self.open_session(secret, user, request.device).await
    }

    /// Signs in with a password. Whether the user exists shows neither in the answer nor in its time.
    pub async fn login(&self, request: LoginRequest) -> Result<TokenResponse> {
        let secret = self.signing_secret(self.inner.config.auth.password_sign_in)?;
        check_device(request.device.as_deref())?;
        let possible =
            protocol::check_username(&request.username).is_ok() && passwords::check(&request.password).is_ok();
        let found = if possible {
            self.inner.store.credentials(self.org(DEFAULT_ORG).await?, &request.username).await?
        } else {
            // No user can have such a name or password: it is not worth a hash, and tells nothing.
            return Err(wrong_credentials());
        };
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let good = self.inner.auth.passwords.verify(request.password, hash).await?;
        let user = user.filter(|_| good).ok_or_else(wrong_credentials)?;
        self.open_session(secret, enabled(user)?, request.device).await
    }

    /// Exchanges a refresh token; one that was used before revokes its session.
    pub async fn refresh(&self, request: RefreshRequest) -> Result<TokenResponse> {
        // Sessions outlive a switch that was turned off: those who are in stay in.
        let secret = self.signing_secret(true)?;
        if request.refresh_token.len() > REFRESH_TOKEN_MAX {
            return Err(bad_refresh_token());
        }
        let (now, expires_at) = self.refresh_span()?;
        let fresh = secrets::generate();
        let (old_hash, new_hash) = (secrets::hash(&request.refresh_token), secrets::hash(&fresh));
        match self.inner.store.rotate_session(&old_hash, &new_hash, expires_at, now).await? {
            Rotation::Rotated { session, user } => self.tokens(secret, enabled(user)?, session, fresh, now),
            Rotation::Reused { session, user_id, user_seq } => {
                // Two have the same token, and one of them should not: neither keeps the session.
                tracing::warn!(user.id = %user_id, session.id = %session, "a refresh token was used twice");
                self.inner.auth.forget_user(user_id);
                self.publish_feed(user_id, user_seq).await;
                Err(session_over())
            }
            Rotation::Invalid => Err(bad_refresh_token()),
        }
    }

    async fn open_session(&self, secret: &[u8], user: User, device: Option<String>) -> Result<TokenResponse> {
        let (now, expires_at) = self.refresh_span()?;
        let (id, fresh) = (SessionId(self.inner.env.id()), secrets::generate());
        let session =
            NewSession { id, user_id: user.id, device, refresh_hash: secrets::hash(&fresh).to_vec(), expires_at, now };
        self.inner.store.create_session(session).await?;
        self.tokens(secret, user, id, fresh, now)
    }

    fn tokens(
        &self,
        secret: &[u8],
        user: User,
        session: SessionId,
        refresh_token: String,
        now: Timestamp,
    ) -> Result<TokenResponse> {
        let ttl = self.inner.config.auth.access_ttl;
        let access_token = claims::mint_own(secret, user.id, session, now, later(now, ttl)?)
            .map_err(|e| ChatError::new(ErrorCode::Internal, "something failed here").because(e))?;
        let token_type = "Bearer".to_owned();
        Ok(TokenResponse { access_token, token_type, expires_in: ttl.as_secs(), refresh_token, user })
    }

    /// The secret that signs our tokens: without one there is no signing in here.
    fn signing_secret(&self, switched_on: bool) -> Result<&[u8]> {
        let secret = self.inner.config.auth.secret.as_deref().filter(|_| switched_on);
        secret.ok_or_else(|| ChatError::new(ErrorCode::SignInDisabled, "this way of signing in is switched off"))
    }

    /// Now, and when a refresh token of now ends.
    fn refresh_span(&self) -> Result<(Timestamp, Timestamp)> {
        let now = self.inner.env.now();
        Ok((now, later(now, self.inner.config.auth.refresh_ttl)?))
    }
}

fn later(now: Timestamp, ttl: std::time::Duration) -> Result<Timestamp> {
    let millis = i64::try_from(ttl.as_millis()).ok().and_then(|ttl| now.unix_millis().checked_add(ttl));
    millis.and_then(Timestamp::from_unix_millis).ok_or_else(|| {
        ChatError::new(ErrorCode::Internal, "something failed here").because("a token's life is too long")
    })
}

fn check_username(username: &str) -> Result<()> {
    protocol::check_username(username).map_err(|e| ChatError::field("username", e.message()))
}

fn check_device(device: Option<&str>) -> Result<()> {
    let Some(device) = device else { return Ok(()) };
    protocol::check_line(device, NAME_MAX).map_err(|e| ChatError::field("device", e.message()))
}

fn wrong_credentials() -> ChatError {
    ChatError::new(ErrorCode::InvalidCredentials, "the username or the password is wrong")
}

fn bad_refresh_token() -> ChatError {
    ChatError::new(ErrorCode::NotAuthenticated, "the refresh token is not valid; sign in again")
}
