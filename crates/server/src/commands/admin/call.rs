//! Calls the operators' API of a node.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use crate::{
    Failure,
    cli::Call,
    commands::healthcheck,
    config::{Address, Config},
    failure::chain,
};

/// A node waits a second for the others.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where a node of a cluster listens when nobody says otherwise.
const LISTEN: (&str, u16) = ("127.0.0.1", 9180);

/// One node's operators' API.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// A call.
pub(super) struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
}

impl Request {
    /// Another segment of the path.
    pub(super) fn part(mut self, part: &str) -> Self {
        self.path.push(part.to_owned());
        self
    }

    /// A parameter, if it has a value.
    pub(super) fn query(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }
}

impl Client {
    pub(super) fn get(path: &str) -> Request {
        Self::request(Method::GET, path)
    }

    pub(super) fn post(path: &str) -> Request {
        Self::request(Method::POST, path)
    }

    pub(super) fn delete(path: &str) -> Request {
        Self::request(Method::DELETE, path)
    }

    fn request(method: Method, path: &str) -> Request {
        Request { method, path: vec![path.to_owned()], query: Vec::new() }
    }

    /// The node that the command line names, or the one on this machine.
    pub(super) fn of(config: &Config, call: &Call) -> Result<Self, Failure> {
        let Some(token) = config.settings.admin_token.clone() else {
            let mend = "set it to what the nodes have";
            return Err(Failure::configuration("STARLING_ADMIN_TOKEN", "is not set", mend));
        };
        let local = || {
            let (host, port) = LISTEN;
            let here = Address { host: host.to_owned(), port };
            let address = config.settings.admin_listen.as_ref().unwrap_or(&here);
            format!("http://{}:{}", healthcheck::host(address), address.port)
        };
        let base = call.url.as_ref().map_or_else(local, ToString::to_string);
        let base: Url = base.parse().map_err(|error| Failure::failed(format_args!("{base}: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Failure::failed(format_args!("--url {base} is no http:// or https:// address")));
        }
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        let http = http.map_err(|error| Failure::failed(format_args!("cannot ask: {error}")))?;
        Ok(Self { http, base, token })
    }

    pub(super) async fn send(&self, request: Request) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["admin", "v1"]).extend(&request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let sent = self.http.request(request.method, url.clone()).bearer_auth(&self.token).send().await;
        let answer = sent.map_err(|error| {
            Failure::failed(format_args!("no node answers at {}: {}; name one with --url", self.base, chain(&error)))
        })?;
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        let read: Option<Value> = serde_json::from_str(&body).ok();
        match read {
            Some(value) if status.is_success() => Ok(value),
            Some(problem) => Err(Failure::failed(format_args!("{}", in_words(&problem)))),
            None => Err(Failure::failed(format_args!("{} answers {status}: is that an admin address?", self.base))),
        }
    }
}

/// A problem document.
fn in_words(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let errors: Vec<_> = errors.map(|e| format!("{} {}", text(&e["field"]), text(&e["message"]))).collect();
    let detail = if errors.is_empty() { text(&problem["detail"]) } else { errors.join("; ") };
    format!("{detail} ({})", text(&problem["code"]))
}
