//! Settings of the Redis bus.
//!
//! Promises that neither an error nor a debug print of the settings tells a password.

use std::{fmt, time::Duration};

use super::url::Target;
use crate::Result;

/// What the operator may set.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://`, `redis+sentinel://…/master` or `redis+cluster://`, or each with `rediss` for TLS.
    pub url: String,
    /// Before every topic and key, so that programs can share a server.
    pub prefix: String,
    /// PEM certificates of the authorities that TLS trusts instead of the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// Within this a command is answered or fails, connecting included.
    pub command_timeout: Duration,
    /// So long a topic that nobody here needs any more stays subscribed.
    pub linger: Duration,
    /// Most topics in one command.
    pub batch: usize,
    /// Most events that wait for the reader.
    pub queue: usize,
    /// Most connections for keys, for each server.
    pub pool_size: usize,
    /// Between two checks that a subscribing connection is alive, and how long its answer may take; also between two
    /// looks at which servers there are (Sentinel, cluster).
    pub ping_interval: Duration,
    /// Longest wait between two attempts to connect; the first is 50 ms.
    pub backoff_max: Duration,
}

impl RedisConfig {
    /// Defaults, with this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "starling:".into(),
            ca_certificates: None,
            command_timeout: Duration::from_millis(500),
            linger: Duration::from_secs(5),
            batch: 200,
            queue: 65_536,
            pool_size: 8,
            ping_interval: Duration::from_secs(2),
            backoff_max: Duration::from_secs(2),
        }
    }

    /// Checks the settings without connecting.
    pub fn check(&self) -> Result<()> {
        self.target().map(drop)
    }

    /// What the URL means.
    pub(super) fn target(&self) -> Result<Target> {
        Target::parse(&self.url, self.ca_certificates.as_deref())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("url", &"…").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_url_is_taken_whole() {
        for url in [
            "redis://localhost",
            "redis://127.0.0.1:6380/3",
            "redis://user:p%40ss@redis.internal:6379/1?protocol=resp3",
            "redis://:secret@[::1]:6379",
            "rediss://redis.internal",
            "redis+sentinel://:secret@a,b:26380/main",
            "redis+cluster://a:7000,b:7001",
        ] {
            assert!(RedisConfig::new(url).check().is_ok(), "{url}");
        }
    }

    #[test]
    fn settings_are_printed_without_secrets() {
        let printed = format!("{:?}", RedisConfig::new("redis://user:hunter2@localhost"));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
