//! `starling healthcheck`: one request to the server on this machine, so that an image needs no other program.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use crate::{
    Failure,
    commands::say,
    config::{Address, Config},
};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(config: &Config, alive: bool) -> Result<ExitCode, Failure> {
    // Without an admin listener (embedded), an answer of the public one has to do.
    let (key, address, path) = match &config.settings.admin_listen {
        Some(admin) => ("STARLING_ADMIN_LISTEN", admin, if alive { "/healthz" } else { "/readyz" }),
        None => ("STARLING_LISTEN", &config.settings.listen, "/"),
    };
    if address.port == 0 {
        return Err(Failure::configuration(key, "port 0 names no server to ask", "set the port that it listens on"));
    }
    let url = format!("http://{}:{}{path}", host(address), address.port);
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
    let client = client.map_err(|error| Failure::failed(format_args!("cannot ask: {error}")))?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|error| Failure::failed(format_args!("{url}: {}", crate::failure::chain(&error))))?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    let body = if path == "/" { "" } else { body.trim() };
    say(format_args!("{url}: {status} {body}"));
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where to ask a server that listens on every address.
pub(super) fn host(address: &Address) -> String {
    match address.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1".into(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "[::1]".into(),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => address.host.clone(),
    }
}
