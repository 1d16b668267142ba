//! What settings must be together, by purpose.

use std::collections::HashMap;

use super::{Found, Origin, Settings};
use crate::failure::Failure;

/// What runs in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sockets and REST.
    Serve,
    /// Sockets.
    Gateway,
    /// REST and the web client.
    Api,
}

impl Role {
    /// As the subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Gateway => "gateway",
            Self::Api => "api",
        }
    }

    /// Holds sockets.
    pub fn has_gateway(self) -> bool {
        self != Self::Api
    }

    /// Answers REST.
    pub fn has_api(self) -> bool {
        self != Self::Gateway
    }
}

/// What the configuration is read for: a tool needs less than a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To run a node, or to say whether one would run.
    Node(Role),
    /// `starling migrate`
    Migrate,
    /// A tool that looks at single settings.
    Tool,
}

/// What a server runs on.
#[derive(Clone, PartialEq, Eq)]
pub enum Mode {
    /// Alone, in its data folder.
    Embedded,
    /// A node of a cluster.
    Cluster {
        /// Postgres.
        database_url: String,
        /// Redis; empty for a purpose that does not need it.
        redis_url: String,
    },
}

impl Mode {
    /// `embedded` or `cluster`
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Cluster { .. } => "cluster",
        }
    }
}

/// Checks what single values cannot tell.
pub(super) fn check(s: &Settings, found: &HashMap<&'static str, Found>, purpose: Purpose) -> Result<Mode, Failure> {
    if s.jwks_url.is_some() && s.jwks_file.is_some() {
        let what = "STARLING_JWKS_FILE is set too, and only one key set is read";
        return Err(Failure::configuration("STARLING_JWKS_URL", what, "leave one of the two out"));
    }
    check_previous_secrets(s)?;
    let mode = mode(s, purpose)?;
    if let (Mode::Cluster { .. }, Purpose::Node(_)) = (&mode, purpose) {
        check_sign_in(s, found)?;
    }
    Ok(mode)
}

/// The secret that signs is no previous one: that both are the same means that a step of the change was forgotten.
fn check_previous_secrets(s: &Settings) -> Result<(), Failure> {
    let Some(secret) = &s.jwt_secret else { return Ok(()) };
    match s.jwt_secrets_previous.iter().position(|previous| previous == secret) {
        None => Ok(()),
        Some(at) => Err(Failure::configuration(
            "STARLING_JWT_SECRETS_PREVIOUS",
            format_args!("entry {} of the list is STARLING_JWT_SECRET itself", at + 1),
            "list only the others: docs/operations.md has the steps in which a secret is changed",
        )),
    }
}

fn mode(s: &Settings, purpose: Purpose) -> Result<Mode, Failure> {
    let missing = |key: &str, what: &str, mend: &str| Err(Failure::configuration(key, what, mend));
    let one = "set both for a node of a cluster, or neither for the embedded server";
    match (purpose, &s.database_url, &s.redis_url) {
        (_, Some(database_url), Some(redis_url)) => {
            Ok(Mode::Cluster { database_url: database_url.clone(), redis_url: redis_url.clone() })
        }
        (Purpose::Migrate | Purpose::Tool, Some(url), None) => {
            Ok(Mode::Cluster { database_url: url.clone(), redis_url: String::new() })
        }
        (Purpose::Migrate, None, _) => missing(
            "DATABASE_URL",
            "is not set",
            "set it to the Postgres to migrate; the embedded server migrates by itself when it starts",
        ),
        (Purpose::Node(Role::Gateway | Role::Api), None, None) => missing(
            "DATABASE_URL",
            "is not set, and single roles work only in a cluster",
            "set DATABASE_URL and REDIS_URL, or run `starling serve`",
        ),
        (Purpose::Node(_), Some(_), None) => missing("REDIS_URL", "is not set, but DATABASE_URL is", one),
        (Purpose::Node(_), None, Some(_)) => missing("DATABASE_URL", "is not set, but REDIS_URL is", one),
        (Purpose::Node(_) | Purpose::Tool, None, _) => Ok(Mode::Embedded),
    }
}

fn check_sign_in(s: &Settings, found: &HashMap<&'static str, Found>) -> Result<(), Failure> {
    if s.jwt_secret.is_some() {
        return Ok(());
    }
    let secret = "STARLING_JWT_SECRET";
    let make = "set it to at least 32 random bytes, the same on every node (`openssl rand -hex 32` makes some)";
    if s.jwt_public_key_files.is_empty() && s.jwks_url.is_none() && s.jwks_file.is_none() {
        let mend = format!("{make}, or set STARLING_JWT_PUBLIC_KEY_FILES, STARLING_JWKS_URL or STARLING_JWKS_FILE");
        return Err(Failure::configuration(secret, "is not set, and nobody could sign in", mend));
    }
    // Starling signs its own tokens with it. Off by default without it; who asks for it must give it.
    for (key, on, name) in [
        ("guest_sign_in", s.guest_sign_in, "STARLING_GUEST_SIGN_IN"),
        ("password_sign_in", s.password_sign_in, "STARLING_PASSWORD_SIGN_IN"),
    ] {
        if on && found.get(key).is_some_and(|found| found.origin != Origin::Default) {
            return Err(Failure::configuration(secret, format_args!("is not set, but {name} needs it"), make));
        }
    }
    Ok(())
}
