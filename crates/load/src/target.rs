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
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !here {
        bail!("{url} is not on this machine: say --i-own-this-server if it is yours to load, and nothing else is hit");
    }
    Ok(())
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
}
