//! What `REDIS_URL` means: one server, a Sentinel set, or a cluster, and how to sign in to each.
//!
//! Promises one line for a bad URL that says what is expected and repeats nothing of the URL: it holds passwords.

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates};
use rustls::crypto::CryptoProvider;

use crate::{BusError, Result};

const ONE: &str = "redis://[user:password@]host[:port][/database]";
const SENTINEL: &str = "redis+sentinel://[user:password@]host[:port][,host[:port]…]/master[/database]\
    [?sentinel_username=…&sentinel_password=…]";
const CLUSTER: &str = "redis+cluster://[user:password@]host[:port][,host[:port]…]";
/// Where Sentinels listen unless the URL says otherwise.
const SENTINEL_PORT: u16 = 26_379;
/// Where servers listen unless the URL says otherwise.
const SERVER_PORT: u16 = 6_379;

/// Where to begin looking for servers.
pub(super) enum Target {
    /// This one server.
    One(Client),
    /// Whichever server these Sentinels say is the master of this name.
    Sentinel { sentinels: Vec<(String, Client)>, master: String, login: Login },
    /// The masters of the cluster that these servers belong to.
    Cluster { seeds: Vec<(String, u16)>, login: Login },
}

/// How to sign in to a server whose address somebody tells.
#[derive(Clone)]
pub(super) struct Login {
    settings: RedisConnectionInfo,
    tls: bool,
    ca_certificates: Option<Vec<u8>>,
}

impl Login {
    /// A client of this server; it connects when it is used.
    pub(super) fn client(&self, host: &str, port: u16) -> Result<Client> {
        let addr = if self.tls {
            ConnectionAddr::TcpTls { host: host.into(), port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.into(), port)
        };
        let info = addr.into_connection_info().map_err(|_| config("the address of a Redis server cannot be read"))?;
        build(info.set_redis_settings(self.settings.clone()), self.tls, self.ca_certificates.as_deref())
    }
}

impl Target {
    /// Reads a URL. `ca_certificates`: PEM, trusted instead of the system's where the URL asks for TLS.
    pub(super) fn parse(url: &str, ca_certificates: Option<&[u8]>) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(config(format!("the Redis URL has no scheme: expected {ONE}")));
        };
        let scheme = scheme.to_ascii_lowercase();
        let tls = scheme.starts_with("rediss");
        if tls && CryptoProvider::get_default().is_none() {
            // The process chooses the provider; where it did not, the handshake would panic.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        match scheme.as_str() {
            "redis" | "rediss" => {
                // The library's own words may repeat parts of the URL, so they are not passed on.
                let info = url.into_connection_info().map_err(|_| unreadable(ONE))?;
                Ok(Self::One(build(info, tls, ca_certificates)?))
            }
            "redis+sentinel" | "rediss+sentinel" => sentinel(rest, tls, ca_certificates),
            "redis+cluster" | "rediss+cluster" => cluster(rest, tls, ca_certificates),
            _ => Err(config(format!(
                "is not a Redis URL: expected {ONE}, {SENTINEL} or {CLUSTER}, each with rediss for TLS"
            ))),
        }
    }
}

fn sentinel(rest: &str, tls: bool, ca_certificates: Option<&[u8]>) -> Result<Target> {
    let bad = |why: &str| config(format!("{why}: expected {SENTINEL}"));
    let parts = Parts::split(rest, SENTINEL_PORT).ok_or_else(|| unreadable(SENTINEL))?;
    let (master, db) = match parts.path.split('/').collect::<Vec<_>>()[..] {
        [master] => (master, "0"),
        [master, db] => (master, db),
        _ => return Err(bad("the path of the Redis URL is not a master and a database")),
    };
    let master = decode(master).ok_or_else(|| unreadable(SENTINEL))?;
    if master.is_empty() {
        return Err(bad("the Redis URL names no master"));
    }
    let db = db.parse().ok().filter(|db: &i64| *db >= 0);
    let db = db.ok_or_else(|| bad("the database of the Redis URL is not a number"))?;
    let mut theirs = RedisConnectionInfo::default();
    for (name, value) in parts.options {
        let value = decode(value).ok_or_else(|| unreadable(SENTINEL))?;
        theirs = match name {
            "sentinel_username" => theirs.set_username(value),
            "sentinel_password" => theirs.set_password(value),
            _ => return Err(bad("the Redis URL has an option that is not known")),
        };
    }
    let certificates = ca_certificates.map(<[u8]>::to_vec);
    let of_sentinels = Login { settings: theirs, tls, ca_certificates: certificates.clone() };
    let sentinels = parts.hosts.iter().map(|(host, port)| Ok((name(host, *port), of_sentinels.client(host, *port)?)));
    Ok(Target::Sentinel {
        sentinels: sentinels.collect::<Result<_>>()?,
        master,
        login: Login { settings: parts.settings.set_db(db), tls, ca_certificates: certificates },
    })
}

fn cluster(rest: &str, tls: bool, ca_certificates: Option<&[u8]>) -> Result<Target> {
    let parts = Parts::split(rest, SERVER_PORT).ok_or_else(|| unreadable(CLUSTER))?;
    if !parts.path.is_empty() || !parts.options.is_empty() {
        return Err(config(format!("a cluster has one database and no options: expected {CLUSTER}")));
    }
    let login = Login { settings: parts.settings, tls, ca_certificates: ca_certificates.map(<[u8]>::to_vec) };
    for (host, port) in &parts.hosts {
        login.client(host, *port)?;
    }
    Ok(Target::Cluster { seeds: parts.hosts, login })
}

/// A URL of several hosts, taken apart.
struct Parts<'a> {
    settings: RedisConnectionInfo,
    hosts: Vec<(String, u16)>,
    /// Without slashes around it.
    path: &'a str,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str, port: u16) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let mut settings = RedisConnectionInfo::default();
        if !user.is_empty() {
            settings = settings.set_username(decode(user)?);
        }
        if !password.is_empty() {
            settings = settings.set_password(decode(password)?);
        }
        let hosts = hosts.split(',').map(|host| address(host, port)).collect::<Option<_>>()?;
        let options = query.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| option.split_once('=')).collect::<Option<_>>()?;
        Some(Self { settings, hosts, path: path.trim_end_matches('/'), options })
    }
}

/// `host`, `host:port` or `[v6]:port`; the library judges what a host is.
fn address(text: &str, port: u16) -> Option<(String, u16)> {
    let info = format!("redis://{text}").into_connection_info().ok()?;
    let ConnectionAddr::Tcp(host, read) = info.addr().clone() else { return None };
    let end = text.rsplit_once(']').map_or(text, |(_, end)| end);
    (!host.is_empty() && !text.contains(['@', '/'])).then_some((host, if end.contains(':') { read } else { port }))
}

/// `%40` is `@`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn build(info: ConnectionInfo, tls: bool, ca_certificates: Option<&[u8]>) -> Result<Client> {
    // Without this, small commands wait for the acknowledgement of the one before.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = match ca_certificates {
        Some(pem) if tls => {
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) })
        }
        _ => Client::open(info),
    };
    client.map_err(|_| config("the certificates of the Redis server's authority cannot be read: expected PEM"))
}

/// How a server is called in logs and errors.
pub(super) fn name(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn unreadable(form: &str) -> BusError {
    config(format!("the Redis URL cannot be read: expected {form}"))
}

fn config(text: impl Into<String>) -> BusError {
    BusError::Config(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Target {
        Target::parse(url, None).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn one_server_is_taken_whole() {
        let Target::One(client) = parsed("redis://user:p%40ss@h:6380/3") else { panic!("another kind") };
        let info = client.get_connection_info();
        assert_eq!(info.addr().to_string(), "h:6380");
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert!(info.tcp_settings().nodelay());
    }

    #[test]
    fn a_sentinel_set_has_hosts_a_master_and_two_logins() {
        let url =
            "redis+sentinel://u:p%40ss@a,b:7000,[::1]:7001/my%20set/2?sentinel_password=s%26t&sentinel_username=w";
        let Target::Sentinel { sentinels, master, login } = parsed(url) else { panic!("another kind") };
        assert_eq!(master, "my set");
        let names: Vec<_> = sentinels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a:26379", "b:7000", "[::1]:7001"]);
        for (_, client) in &sentinels {
            let theirs = client.get_connection_info().redis_settings();
            assert_eq!((theirs.username(), theirs.password(), theirs.db()), (Some("w"), Some("s&t"), 0));
        }
        let master = login.client("10.0.0.1", 6379).unwrap();
        let ours = master.get_connection_info().redis_settings();
        assert_eq!((ours.username(), ours.password(), ours.db()), (Some("u"), Some("p@ss"), 2));
        assert!(master.get_connection_info().tcp_settings().nodelay());
    }

    #[test]
    fn a_cluster_has_hosts_and_one_login_and_tls_is_in_the_scheme() {
        let Target::Cluster { seeds, login } = parsed("rediss+cluster://:secret@one:7000,two/") else {
            panic!("another kind")
        };
        assert_eq!(seeds, [("one".to_owned(), 7_000), ("two".to_owned(), 6_379)]);
        let client = login.client("one", 7_000).unwrap();
        assert!(matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        assert_eq!(client.get_connection_info().redis_settings().password(), Some("secret"));
        let Target::Sentinel { sentinels, login, .. } = parsed("REDISS+SENTINEL://a/main") else {
            panic!("another kind")
        };
        for client in [&sentinels[0].1, &login.client("b", 1).unwrap()] {
            assert!(matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }));
        }
    }

    #[test]
    fn a_bad_url_gets_one_line_without_secrets() {
        for url in [
            "",
            "localhost:6379",
            "http://user:hunter2@localhost",
            "redis+other://:hunter2@localhost",
            "redis://user:hunter2@localhost:99999",
            "redis://:hunter2@",
            "redis://user:hunter2@localhost/database",
            "redis+sentinel://:hunter2@a,b",
            "redis+sentinel://:hunter2@a,b/",
            "redis+sentinel://:hunter2@a,,b/main",
            "redis+sentinel://:hunter2@/main",
            "redis+sentinel://:hunter2@a:port/main",
            "redis+sentinel://:hunter2@a/main/hunter2",
            "redis+sentinel://:hunter2@a/main/-1",
            "redis+sentinel://:hunter2@a/main/1/2",
            "redis+sentinel://:hunter2%zz@a/main",
            "redis+sentinel://:hunter2%@a/main",
            "redis+sentinel://a/main?sentinel_pasword=hunter2",
            "redis+sentinel://a/main?hunter2",
            "redis+cluster://:hunter2@",
            "redis+cluster://:hunter2@a,b:99999",
            "redis+cluster://:hunter2@a/1",
            "redis+cluster://:hunter2@a?protocol=hunter2",
        ] {
            let Err(error) = Target::parse(url, None) else { panic!("accepted: {url}") };
            let error = error.to_string();
            assert!(error.contains(": expected redis") && !error.contains('\n'), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_read_are_refused_for_each_kind() {
        let nonsense = b"-----BEGIN CERTIFICATE-----\nnonsense\n";
        for url in ["rediss://localhost", "rediss+sentinel://a/main", "rediss+cluster://a"] {
            assert!(Target::parse(url, Some(nonsense)).is_err(), "{url}");
        }
    }
}
