//! Where to connect, and that it is ours: on this machine, unless somebody says that they own what is elsewhere.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;

/// Where to connect and who with.
#[derive(Debug, Clone)]
pub struct Target {
    /// Base URL of REST (`http://host:port`).
    pub api: String,
    /// Base URLs of gateways; sockets are spread over them.
    pub gateways: Vec<String>,
    /// The cluster's HS256 secret, with which tokens are minted.
    pub secret: String,
}

/// Reads a base URL: without a path, without a slash at the end.
pub(crate) fn base_url(text: &str) -> Result<String> {
    let url = Url::parse(text).with_context(|| format!("`{text}` is no URL: write http://HOST:PORT"))?;
    ensure!(matches!(url.scheme(), "http" | "https"), "`{text}` is no http:// or https:// URL");
    ensure!(url.host_str().is_some(), "`{text}` names no host");
    ensure!(url.path() == "/" && url.query().is_none(), "`{text}` has a path: write http://HOST:PORT alone");
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Fails for a URL of another machine.
pub(crate) fn must_be_here(url: &str) -> Result<()> {
    let parsed = Url::parse(url)?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if !is_here(&host) {
        bail!("{url} is not on this machine: say --i-own-this-server if it is yours to load, and nothing else is hit");
    }
    Ok(())
}

/// Fails for a database or Redis of another machine. What is told names the host alone: such URLs hold passwords.
pub(crate) fn service_must_be_here(url: &str) -> Result<()> {
    for host in hosts(url) {
        // A path is a socket of this machine, and so is none at all.
        let here = host.is_empty() || host.starts_with('/') || is_here(&host);
        ensure!(here, "{host} is not on this machine: say --i-own-this-server if its database is yours to load");
    }
    Ok(())
}

/// The hosts in the URL of a service, which may name several, and may name them as parameters.
fn hosts(url: &str) -> Vec<String> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.split('/').next().unwrap_or_default();
    let addresses = authority.rsplit('@').next().unwrap_or_default();
    let named = parameters.split('&').filter_map(|pair| pair.split_once('='));
    let named = named.filter(|(name, _)| ["host", "hostaddr"].contains(name)).map(|(_, value)| value);
    let all = addresses.split(',').map(bare).chain(named.flat_map(|value| value.split(',')));
    all.map(|host| host.replace("%2F", "/").replace("%2f", "/")).collect()
}

/// Without its port and its brackets.
fn bare(address: &str) -> &str {
    match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.split(':').next().unwrap_or_default(),
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_scheme_a_host_and_a_port() {
        assert_eq!(base_url("http://127.0.0.1:8080/").unwrap(), "http://127.0.0.1:8080");
        for bad in ["127.0.0.1:8080", "ws://127.0.0.1:1", "http://h/v1", "http://", "", "http://h:99999"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loaded_without_a_word() {
        for here in ["http://127.0.0.1:1", "http://127.8.9.1:1", "http://localhost:1", "http://[::1]:1"] {
            must_be_here(here).unwrap();
        }
        for elsewhere in ["http://chat.example.com", "http://10.0.0.1:1", "http://127.0.0.1.example.com"] {
            assert!(must_be_here(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn only_services_of_this_machine_are_loaded_without_a_word() {
        for here in [
            "postgres://u:p%40@127.0.0.1:5432/x",
            "postgres:///x",
            "postgres:///x?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/x",
            "redis://localhost",
            "redis+cluster://[::1]:7000,127.0.0.1:7001",
        ] {
            service_must_be_here(here).unwrap();
        }
        for elsewhere in
            ["postgres://u:p@db/x", "postgres:///x?sslmode=off&host=10.0.0.7", "redis+cluster://127.0.0.1:1,10.0.0.7:1"]
        {
            assert!(!service_must_be_here(elsewhere).unwrap_err().to_string().contains("u:p"), "{elsewhere}");
        }
    }
}
