//! REST: one call, and why it was refused.

use std::{fmt, time::Duration};

use anyhow::Result;
use protocol::{ConversationId, Message, Problem, SendMessage};
use serde::{Serialize, de::DeserializeOwned};

/// A call that takes longer failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections that wait for their next call.
pub(crate) const POOL: usize = 512;

/// Calls one API.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The code of the server, or what the network did.
    pub(crate) code: String,
    /// Trying again may help.
    pub(crate) passing: bool,
    /// When to.
    pub(crate) retry_after: Option<Duration>,
    what: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refused {}

impl Rest {
    pub(crate) fn new(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(POOL).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    /// `GET` of a path such as `/v1/me`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, Refused> {
        self.answer(self.http.get(format!("{}{path}", self.base)).bearer_auth(token)).await
    }

    /// `POST` to a path.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &str,
        body: &impl Serialize,
    ) -> Result<T, Refused> {
        self.answer(self.http.post(format!("{}{path}", self.base)).bearer_auth(token).json(body)).await
    }

    /// Sends a message.
    pub(crate) async fn send(
        &self,
        token: &str,
        to: ConversationId,
        client_id: &str,
        content: &str,
    ) -> Result<Message, Refused> {
        let (content, client_id) = (content.to_owned(), Some(client_id.to_owned()));
        let body = SendMessage { content, client_id, ..SendMessage::default() };
        self.post(&format!("/v1/conversations/{to}/messages"), token, &body).await
    }

    /// The same call until it is no passing refusal, for `patience` at most.
    pub(crate) async fn patiently<T, F>(patience: Duration, mut call: impl FnMut() -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        let start = tokio::time::Instant::now();
        loop {
            match call().await {
                Err(refused) if refused.passing && start.elapsed() < patience => {
                    tokio::time::sleep(refused.retry_after.unwrap_or(Duration::from_millis(200))).await;
                }
                other => return other,
            }
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Refused> {
        let response = request.send().await.map_err(|error| self.network(&error))?;
        let (status, path) = (response.status(), response.url().path().to_owned());
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.text().await.map_err(|error| self.network(&error))?;
        if !status.is_success() {
            let problem = serde_json::from_str::<Problem>(&body).ok();
            let code = problem.as_ref().map_or_else(|| format!("http {}", status.as_u16()), |p| p.code.to_string());
            let detail = problem.map_or_else(|| shorten(&body), |problem| problem.detail);
            return Err(Refused {
                passing: status.as_u16() == 429 || status.is_server_error(),
                retry_after: after.map(Duration::from_secs),
                what: format!("{}{path} answered {} ({code}): {detail}", self.base, status.as_u16()),
                code,
            });
        }
        serde_json::from_str(&body).map_err(|_| Refused {
            code: "bad_answer".into(),
            passing: false,
            retry_after: None,
            what: format!("{}{path} answered what no Starling answers: {}", self.base, shorten(&body)),
        })
    }

    fn network(&self, error: &reqwest::Error) -> Refused {
        let (code, what) = if error.is_timeout() {
            ("timeout", format!("{} does not answer within {} s", self.base, PATIENCE.as_secs()))
        } else if error.is_connect() {
            ("connect", format!("cannot connect to {}: {}", self.base, root(error)))
        } else {
            ("broken", format!("{} broke the connection: {}", self.base, root(error)))
        };
        Refused { code: code.into(), passing: true, retry_after: None, what }
    }
}

/// The innermost cause: "connection refused", not what was done when it came.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn shorten(body: &str) -> String {
    let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 120 { line.chars().take(120).chain("…".chars()).collect() } else { line }
}
