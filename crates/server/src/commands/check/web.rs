//! Addresses that browsers know: what they would find out otherwise.

use std::net::IpAddr;

use reqwest::Url;

use super::Findings;
use crate::{
    config::{Config, Mode, Origins},
    parts,
};

pub(super) fn check(config: &Config, findings: &mut Findings) {
    let settings = &config.settings;
    if matches!(config.mode, Mode::Cluster { .. }) && !parts::any_page_may_connect(config) {
        findings.warn(
            "origins",
            "no web page may open a socket here",
            "set STARLING_PUBLIC_URL or STARLING_ALLOWED_ORIGINS if one should",
        );
    } else if matches!(settings.allowed_origins, Origins::Any) && matches!(config.mode, Mode::Cluster { .. }) {
        findings.warn("origins", "any web page may connect", "name those that should in STARLING_ALLOWED_ORIGINS");
    }
    if let Origins::Only(origins) = &settings.allowed_origins {
        let open = |origin: &&String| Url::parse(origin).is_ok_and(|url| url.scheme() == "http" && !is_here(&url));
        let open: Vec<_> = origins.iter().filter(open).map(String::as_str).collect();
        if !open.is_empty() {
            let what = format!("{} may connect without encryption: whoever is between reads along", open.join(", "));
            findings.warn("origins", what, "name them with https in STARLING_ALLOWED_ORIGINS");
        }
    }
    match &settings.public_url {
        Some(url) if url.scheme() == "http" && !is_here(url) => findings.warn(
            "public URL",
            format_args!("{url} is not encrypted: tokens and messages can be read on the way"),
            "end TLS at the proxy and name it with https",
        ),
        Some(url) => findings.ok("public URL", url),
        None => {}
    }
}

/// Whether it leads to this machine alone.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_this_machine_needs_no_tls() {
        for (url, here) in [
            ("http://localhost:8080", true),
            ("http://chat.localhost", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:8080", true),
            ("http://10.0.0.1", false),
            ("http://chat.example.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
