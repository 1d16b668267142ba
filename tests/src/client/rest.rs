//! REST as an app would call it: a base address, a token, JSON in and out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Calls with one person's token, or without any.
#[derive(Debug, Clone)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, when it is JSON; else null.
    pub body: Value,
    /// The body as it is.
    pub text: String,
    /// What was asked, for messages of failures.
    pub asked: String,
}

impl Rest {
    /// Calls to `http://ADDRESS:PORT`, under `/v1`.
    pub fn new(base: &str, token: Option<&str>) -> Result<Self> {
        Self::patient(base, token, Duration::from_secs(30))
    }

    /// The same, each of which fails when it takes longer than `patience`.
    pub fn patient(base: &str, token: Option<&str>, patience: Duration) -> Result<Self> {
        // Of its own for each: no connection of one person carries another's request.
        let http = reqwest::Client::builder().timeout(patience).no_proxy().build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: token.map(str::to_owned) })
    }

    /// The same person at another address.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// GET `/v1/{path}`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, None, &[]).await
    }

    /// POST `/v1/{path}`.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    /// PUT `/v1/{path}`, without a body.
    pub async fn put(&self, path: &str) -> Result<Answer> {
        self.call(Method::PUT, path, None, &[]).await
    }

    /// PATCH `/v1/{path}`.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Answer> {
        self.call(Method::PATCH, path, Some(body), &[]).await
    }

    /// DELETE `/v1/{path}`.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.call(Method::DELETE, path, None, &[]).await
    }

    /// Any call, with headers.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let asked = format!("{method} /v1/{path}");
        let mut request = self.http.request(method, format!("{}/v1/{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.with_context(|| asked.clone())?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.with_context(|| asked.clone())?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text, asked })
    }
}

impl Answer {
    /// The body of a call that worked.
    pub fn ok<T: DeserializeOwned>(self) -> Result<T> {
        ensure!(self.status.is_success(), "{} answered {}: {}", self.asked, self.status, self.text);
        serde_json::from_value(self.body).with_context(|| format!("{} answered {}", self.asked, self.text))
    }

    /// Fails unless the call worked.
    pub fn done(self) -> Result<()> {
        ensure!(self.status.is_success(), "{} answered {}: {}", self.asked, self.status, self.text);
        Ok(())
    }

    /// Status and code of a call that was refused with a problem document.
    pub fn problem(&self) -> Result<(u16, String)> {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let code = self.body.get("code").and_then(Value::as_str);
        ensure!(
            self.status.as_u16() >= 400 && kind.starts_with("application/problem+json"),
            "{} answered {} ({kind}): {}",
            self.asked,
            self.status,
            self.text
        );
        let code = code.with_context(|| format!("{} answered without a code: {}", self.asked, self.text))?;
        Ok((self.status.as_u16(), code.to_owned()))
    }
}
