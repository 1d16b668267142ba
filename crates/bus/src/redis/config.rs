//! Settings of the Redis bus, and what its URL means.
//!
//! Promises that neither an error nor a debug print of the settings tells a password.

use std::{fmt, time::Duration};

use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates, io::tcp::TcpSettings};
use rustls::crypto::CryptoProvider;

use crate::{BusError, Result};

/// The form that is named when a URL is refused.
const FORM: &str = "expected redis://[user:password@]host[:port][/database], or rediss:// for TLS";

/// What the operator may set.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://` or `rediss://` (TLS).
    pub url: String,
    /// Before every topic and key, so that programs can share a server.
    pub prefix: String,
    /// PEM certificates of the authorities that `rediss://` trusts instead of the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// Within this a command is answered or fails, connecting included.
    pub command_timeout: Duration,
    /// So long a topic that nobody here needs any more stays subscribed.
    pub linger: Duration,
    /// Most topics in one command.
    pub batch: usize,
    /// Most events that wait for the reader.
    pub queue: usize,
    /// Most connections for keys.
    pub pool_size: usize,
    /// Between two checks that the subscribing connection is alive, and how long its answer may take.
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
        self.client().map(drop)
    }

    /// A client for these settings; it connects when it is used.
    pub(super) fn client(&self) -> Result<Client> {
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("redis" | "rediss") => {}
            Some(scheme @ ("redis+sentinel" | "redis+cluster")) => {
                return Err(config(format!("{scheme}:// is not supported yet; {FORM}")));
            }
            Some(_) => return Err(config(format!("is not a Redis URL: {FORM}"))),
            None => return Err(config(format!("the Redis URL has no scheme: {FORM}"))),
        }
        // The library's own words may repeat parts of the URL, so they are not passed on.
        let info = self.url.as_str().into_connection_info();
        let info: ConnectionInfo = info.map_err(|_| config(format!("the Redis URL cannot be read: {FORM}")))?;
        // Without this, small commands wait for the acknowledgement of the one before.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if scheme.as_deref() == Some("rediss") && CryptoProvider::get_default().is_none() {
            // The process chooses the provider; where it did not, the handshake would panic.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let client = match (&self.ca_certificates, scheme.as_deref()) {
            (Some(pem), Some("rediss")) => {
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) })
            }
            _ => Client::open(info),
        };
        client
            .map_err(|_| config("the certificates of the Redis server's authority cannot be read: expected PEM".into()))
    }
}

fn config(text: String) -> BusError {
    BusError::Config(text)
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
        ] {
            assert!(RedisConfig::new(url).check().is_ok(), "{url}");
        }
        let client = RedisConfig::new("redis://user:p%40ss@h:6380/3").client().unwrap();
        let info = client.get_connection_info();
        assert_eq!(info.addr().to_string(), "h:6380");
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert!(info.tcp_settings().nodelay());
    }

    #[test]
    fn a_bad_url_gets_one_line_without_secrets() {
        for url in [
            "",
            "localhost:6379",
            "http://user:hunter2@localhost",
            "redis://user:hunter2@localhost:99999",
            "redis://:hunter2@",
            "redis://user:hunter2@localhost/database",
            "redis+sentinel://:hunter2@a,b/main",
            "redis+cluster://:hunter2@a,b",
        ] {
            let error = RedisConfig::new(url).check().unwrap_err().to_string();
            assert!(error.contains("redis://") && !error.contains('\n'), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let printed = format!("{:?}", RedisConfig::new("redis://user:hunter2@localhost"));
        assert!(!printed.contains("hunter2"), "{printed}");
        let mut config = RedisConfig::new("rediss://localhost");
        config.ca_certificates = Some(b"-----BEGIN CERTIFICATE-----\nnonsense\n".to_vec());
        assert!(config.check().is_err());
    }
}
