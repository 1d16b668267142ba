//! What tokens say, read with suspicion. Pure: times come in as arguments.
//!
//! Ours name a user and a session of this store. Another system's describe a user; of their free text only what
//! fits our rules is taken, because a strange name is no reason to lock somebody out.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use protocol::{NAME_MAX, OrgRole, SessionId, Timestamp, USERNAME_MAX, User, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DEFAULT_ORG;

/// `iss` of our own access tokens.
pub(super) const OWN_ISSUER: &str = "starling";

/// How far another system's clock may be off, seconds.
const LEEWAY_SECONDS: i64 = 5;
/// Longest `sub`, characters.
const SUBJECT_MAX: usize = 255;
/// Longest `org`, characters.
const ORG_MAX: usize = 64;
/// Longest `picture`, characters.
const PICTURE_MAX: usize = 2_000;
/// Times past this (the year 9999) are cut to it.
const LATEST_UNIX_SECONDS: i64 = 253_402_300_799;

/// Claims of a token as another system would make it.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl ExternalClaims {
    /// Of this user until this moment (Unix seconds), and nothing besides.
    pub fn of(sub: impl Into<String>, exp: u64) -> Self {
        Self {
            sub: sub.into(),
            exp,
            org: None,
            preferred_username: None,
            name: None,
            picture: None,
            role: None,
            iss: None,
            aud: None,
        }
    }
}

/// Mints an HS256 token as another system would (`starling token`, tests, the load tester).
pub fn mint_external(secret: &[u8], claims: &ExternalClaims) -> std::result::Result<String, String> {
    sign(secret, claims).map_err(|e| format!("the token cannot be signed: {e}"))
}

/// Signs our own access token.
pub(super) fn mint_own(
    secret: &[u8],
    user: UserId,
    session: SessionId,
    now: Timestamp,
    expires_at: Timestamp,
) -> jsonwebtoken::errors::Result<String> {
    #[derive(Serialize)]
    struct Claims {
        iss: &'static str,
        sub: UserId,
        sid: SessionId,
        iat: i64,
        exp: i64,
    }
    let claims = Claims {
        iss: OWN_ISSUER,
        sub: user,
        sid: session,
        iat: now.get().unix_timestamp(),
        exp: expires_at.get().unix_timestamp(),
    };
    sign(secret, &claims)
}

fn sign(secret: &[u8], claims: &impl Serialize) -> jsonwebtoken::errors::Result<String> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
}

/// Which claim was missing or wrong, or that the token's time is over. For the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClaimError {
    #[error("claim `{0}` is missing or wrong")]
    Bad(&'static str),
    #[error("the token has expired")]
    Expired,
}

/// A user as another system's token describes them, fit for the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Profile {
    pub(super) org: String,
    pub(super) external_id: String,
    pub(super) username: String,
    pub(super) display_name: Option<String>,
    pub(super) avatar_url: Option<String>,
    pub(super) role: Option<OrgRole>,
}

impl Profile {
    /// The user is as the token has it: nothing is to be written.
    pub(super) fn says_nothing_new_of(&self, user: &User) -> bool {
        self.display_name.as_ref().is_none_or(|name| *name == user.display_name)
            && (self.avatar_url.is_none() || self.avatar_url == user.avatar_url)
            && self.role.is_none_or(|role| role == user.role)
    }
}

/// The claims of a token whose signature was good.
pub(super) struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// Whether this is a token that we made (given that our secret signed it).
    pub(super) fn is_own(&self) -> bool {
        self.text("iss") == Some(OWN_ISSUER) && self.0.contains_key("sid")
    }

    /// The user and session of our own token.
    pub(super) fn own(&self) -> Result<(UserId, SessionId), ClaimError> {
        let user = self.text("sub").and_then(|sub| sub.parse().ok()).ok_or(ClaimError::Bad("sub"))?;
        let session = self.text("sid").and_then(|sid| sid.parse().ok()).ok_or(ClaimError::Bad("sid"))?;
        Ok((user, session))
    }

    /// Checks `iss` and `aud` where the operator wants them.
    pub(super) fn check_origin(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), ClaimError> {
        if issuer.is_some_and(|wanted| self.text("iss") != Some(wanted)) {
            return Err(ClaimError::Bad("iss"));
        }
        let Some(wanted) = audience else { return Ok(()) };
        let named: BTreeSet<&str> = match self.0.get("aud") {
            Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        };
        if named.contains(wanted) { Ok(()) } else { Err(ClaimError::Bad("aud")) }
    }

    /// Checks `exp` (required) and `nbf`, and tells when the token ends.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<Timestamp, ClaimError> {
        let now = now.get().unix_timestamp();
        if self.0.contains_key("nbf") && self.seconds("nbf")? > now + LEEWAY_SECONDS {
            return Err(ClaimError::Bad("nbf"));
        }
        let exp = self.seconds("exp")?;
        if exp + LEEWAY_SECONDS <= now {
            return Err(ClaimError::Expired);
        }
        Timestamp::from_unix_millis(exp * 1_000).ok_or(ClaimError::Bad("exp"))
    }

    /// The user that another system's token describes.
    pub(super) fn profile(&self) -> Result<Profile, ClaimError> {
        let subject = self.text("sub").ok_or(ClaimError::Bad("sub"))?;
        if protocol::check_line(subject, SUBJECT_MAX).is_err() {
            return Err(ClaimError::Bad("sub"));
        }
        let org = match self.0.get("org") {
            None | Some(Value::Null) => DEFAULT_ORG,
            Some(org) => org.as_str().filter(|slug| is_slug(slug)).ok_or(ClaimError::Bad("org"))?,
        };
        Ok(Profile {
            org: org.to_owned(),
            external_id: subject.to_owned(),
            username: fit_username(self.text("preferred_username").unwrap_or(subject)),
            display_name: self.text("name").and_then(fit_line),
            avatar_url: self.text("picture").and_then(fit_url),
            role: match self.text("role") {
                Some("admin") => Some(OrgRole::Admin),
                Some("member") => Some(OrgRole::Member),
                _ => None,
            },
        })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Value::as_str)
    }

    /// A time in seconds, whole or not (RFC 7519 allows both).
    fn seconds(&self, claim: &'static str) -> Result<i64, ClaimError> {
        match self.0.get(claim).and_then(Value::as_f64) {
            // `as` saturates, and 9999-12-31 is far from where that would matter.
            Some(seconds) if seconds >= 0.0 => Ok((seconds as i64).min(LATEST_UNIX_SECONDS)),
            _ => Err(ClaimError::Bad(claim)),
        }
    }
}

fn is_slug(text: &str) -> bool {
    (1..=ORG_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
}

/// The nearest username that [`protocol::check_username`] takes.
fn fit_username(wanted: &str) -> String {
    let fitted: String = wanted
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' })
        .skip_while(|c| !c.is_alphanumeric())
        .take(USERNAME_MAX)
        .collect();
    if fitted.is_empty() { "user".to_owned() } else { fitted }
}

fn fit_line(text: &str) -> Option<String> {
    let fitted: String = text.trim().chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    protocol::check_line(&fitted, NAME_MAX).is_ok().then_some(fitted)
}

fn fit_url(text: &str) -> Option<String> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    (web && protocol::check_line(text, PICTURE_MAX).is_ok()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(map) => Claims(map),
            _ => panic!("claims are an object"),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1_000).unwrap()
    }

    #[test]
    fn a_profile_takes_what_fits_and_drops_the_rest() {
        let profile = claims(json!({
            "sub": "auth0|42", "org": "acme", "preferred_username": "zoë@example.org",
            "name": " Zoë\u{7} ", "picture": "javascript:alert(1)", "role": "emperor", "extra": [1],
        }))
        .profile()
        .unwrap();
        assert_eq!(profile.org, "acme");
        assert_eq!(profile.external_id, "auth0|42");
        assert_eq!(profile.username, "zoë-example.org");
        assert_eq!(profile.display_name.as_deref(), Some("Zoë"));
        assert_eq!((profile.avatar_url, profile.role), (None, None));
    }

    #[test]
    fn a_token_without_a_usable_subject_or_org_is_refused() {
        for bad in [json!({}), json!({"sub": ""}), json!({"sub": 5}), json!({"sub": "x".repeat(256)})] {
            assert_eq!(claims(bad).profile(), Err(ClaimError::Bad("sub")));
        }
        for org in [json!(""), json!("Acme"), json!("a b"), json!("x".repeat(65)), json!(7)] {
            assert_eq!(claims(json!({"sub": "a", "org": org})).profile(), Err(ClaimError::Bad("org")));
        }
        assert_eq!(claims(json!({"sub": "a", "org": null})).profile().unwrap().org, "default");
    }

    #[test]
    fn times_have_five_seconds_of_leeway() {
        let token = claims(json!({"exp": 1_000, "nbf": 900.5}));
        assert_eq!(token.check_time(at(1_004)), Ok(at(1_000)));
        assert_eq!(token.check_time(at(1_005)), Err(ClaimError::Expired));
        assert!(token.check_time(at(895)).is_ok());
        assert_eq!(token.check_time(at(894)), Err(ClaimError::Bad("nbf")));
        for bad in [json!({}), json!({"exp": "soon"}), json!({"exp": -1}), json!({"exp": null})] {
            assert_eq!(claims(bad).check_time(at(0)), Err(ClaimError::Bad("exp")));
        }
        assert!(claims(json!({"exp": 1e300})).check_time(at(1_000)).is_ok());
    }

    #[test]
    fn issuer_and_audience_are_required_once_configured() {
        let token = claims(json!({"iss": "a", "aud": ["x", "y"]}));
        assert!(token.check_origin(None, None).is_ok());
        assert!(token.check_origin(Some("a"), Some("y")).is_ok());
        assert_eq!(token.check_origin(Some("b"), None), Err(ClaimError::Bad("iss")));
        assert_eq!(token.check_origin(None, Some("z")), Err(ClaimError::Bad("aud")));
        assert_eq!(claims(json!({})).check_origin(Some("a"), None), Err(ClaimError::Bad("iss")));
        assert_eq!(claims(json!({})).check_origin(None, Some("a")), Err(ClaimError::Bad("aud")));
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_username_that_is_allowed(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}") {
            prop_assert_eq!(protocol::check_username(&fit_username(&text)), Ok(()));
        }
    }
}
