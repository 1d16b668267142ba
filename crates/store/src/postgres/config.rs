//! How the store connects: what an operator may set, and what every session is told.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use tokio::time::Instant;

use super::{away::Away, doubt::Doubt};

/// How to connect to Postgres.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: String,
    /// Most connections of this node.
    pub max_connections: u32,
    /// How long a call waits for a connection; below the HTTP timeout, so that a dead database is a 503.
    pub acquire_timeout: Duration,
    /// How long Postgres works on one statement.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long one call may take in all, retries included: a server that froze answers nothing.
    pub call_timeout: Duration,
}

impl PostgresConfig {
    /// The defaults for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(9),
        }
    }

    /// Whether `url` can be a Postgres URL; if not, why, in words for an operator that never repeat the URL (it
    /// may hold a password).
    pub fn check(url: &str) -> Result<(), String> {
        parse(url).map(drop)
    }

    /// How to connect for ordinary work.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, String> {
        let millis = |time: Duration| time.as_millis().to_string();
        Ok(parse(&self.url)?.options([
            ("statement_timeout", millis(self.statement_timeout).as_str()),
            ("lock_timeout", millis(self.lock_timeout).as_str()),
            // A connection whose process is gone must not hold conversations locked.
            ("idle_in_transaction_session_timeout", millis(self.call_timeout).as_str()),
            // Every statement of this store is a few look-ups by an index. A plan that was cached while a table
            // was tiny would scan it (or hash all of it) when it has grown, until the next ANALYZE.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            // And what such a plan looks like does not hang on the values: to make it anew for each call costs Postgres
            // up to twice what running it does. The few statements for which it does (searches) say so
            // where they begin.
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            ("TimeZone", "UTC"),
        ]))
    }

    /// How to connect for migrations: they wait for each other, and may take their time.
    pub(super) fn migration_options(&self) -> Result<PgConnectOptions, String> {
        Ok(parse(&self.url)?.options([("statement_timeout", "0"), ("lock_timeout", "0"), ("TimeZone", "UTC")]))
    }

    /// A pool that connects when it is first needed, and asks its connections as far as there is doubt in them.
    pub(super) fn pool(&self, doubt: &Doubt, away: &Away) -> Result<PgPool, String> {
        let (used, kept) = ((doubt.clone(), away.clone()), (doubt.clone(), away.clone()));
        Ok(PgPoolOptions::new()
            .max_connections(self.max_connections.max(1))
            .acquire_timeout(self.acquire_timeout)
            // A round trip for each call is too dear.
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let (doubt, away) = used.clone();
                Box::pin(async move {
                    let allows = doubt.allows(connection, meta.idle_for).await;
                    if !allows {
                        away.suspect();
                    }
                    Ok(allows)
                })
            })
            .after_release(move |connection, meta| {
                let (doubt, away) = kept.clone();
                Box::pin(async move {
                    let (asked, learns) = (Instant::now(), away.would_learn(meta.age));
                    let keeps = doubt.keeps(connection, learns).await;
                    if keeps && learns {
                        away.answered(meta.age, asked);
                    }
                    Ok(keeps)
                })
            })
            .connect_lazy_with(self.connect_options()?))
    }
}

fn parse(url: &str) -> Result<PgConnectOptions, String> {
    const SHAPE: &str = "expected postgres://user:password@host:port/database";
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(format!("is not a Postgres URL: {SHAPE}"));
    }
    match PgConnectOptions::from_str(url) {
        // Statements are not logged: they would hold people's messages.
        Ok(options) => Ok(options.application_name("starling").disable_statement_logging()),
        Err(sqlx::Error::Configuration(reason)) => {
            // The reasons of the URL parser are short and general; anything else could quote its input.
            let reason = reason.to_string();
            let general = reason.len() < 80 && !reason.contains('`') && !reason.contains('"');
            Err(if general {
                format!("cannot be read ({reason}): {SHAPE}")
            } else {
                format!("cannot be read: {SHAPE}")
            })
        }
        Err(_) => Err(format!("cannot be read: {SHAPE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_explained_without_its_password() {
        for bad in [
            "",
            "mysql://u:hunter2@h/db",
            "postgres://u:hunter2@h:port/db",
            "postgres://u:hunter2@[h/db",
            "postgres://u:hunter2@h/db?sslmode=hunter2",
            "hunter2",
        ] {
            let reason = PostgresConfig::check(bad).unwrap_err();
            assert!(reason.contains("postgres://user:password@host:port/database"), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert_eq!(PostgresConfig::check("postgres://u:p@127.0.0.1:1/db?sslmode=disable"), Ok(()));
    }
}
