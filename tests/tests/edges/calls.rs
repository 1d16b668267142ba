//! One REST call or one command, and what came of it in one word: `ok`, or the stable code of the refusal. A refusal
//! that is no whole problem document, or has another status than `docs/errors.md` says, is a failure.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use protocol::CloseCode;
use reqwest::Method;
use serde_json::{Value, json};
use starling_tests::{
    client::{Frame, Socket},
    cluster::Cluster,
};

/// The documented status of each code.
static STATUSES: LazyLock<HashMap<String, u16>> = LazyLock::new(|| {
    let lines = include_str!("../../../docs/errors.md").lines();
    let rows = lines.filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?.parse().ok()?))
    });
    rows.collect()
});

/// Whoever calls, over one pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    pub(crate) base: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// `ok`, or a code.
    pub(crate) word: String,
    /// The refused fields.
    pub(crate) fields: Vec<String>,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Http {
    pub(crate) fn new(cluster: &Cluster) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        Ok(Self { client, base: cluster.url() })
    }

    /// `METHOD /path` with a token and a body, where there are any.
    pub(crate) async fn call(&self, token: Option<&str>, line: &str, body: Option<&Value>) -> Result<Answer> {
        let (method, path) = line.split_once(' ').context("a method and a path")?;
        let mut request = self.client.request(method.parse::<Method>()?, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.read(request).await.with_context(|| format!("{line} {}", body.unwrap_or(&Value::Null)))
    }

    /// The same with bytes in place of JSON.
    pub(crate) async fn call_raw(&self, token: &str, line: &str, bytes: &[u8]) -> Result<Answer> {
        let (method, path) = line.split_once(' ').context("a method and a path")?;
        let request = self.client.request(method.parse::<Method>()?, format!("{}{path}", self.base));
        let request = request.bearer_auth(token).header("content-type", "application/json").body(bytes.to_vec());
        self.read(request).await.with_context(|| format!("{line} {:?}", String::from_utf8_lossy(bytes)))
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(Answer { word: "ok".into(), fields: Vec::new(), body, text });
        }
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        ensure!(kind == "application/problem+json", "{status} is no problem document: {kind} {text}");
        let code = body["code"].as_str().with_context(|| format!("{status} without a code: {text}"))?;
        ensure!(STATUSES.get(code) == Some(&status.as_u16()), "{status} is not the documented status of {text}");
        ensure!(!status.is_server_error(), "the server failed: {text}");
        Ok(Answer { word: code.to_owned(), fields: fields(&body["errors"]), body, text })
    }

    /// A call that must work; its body.
    pub(crate) async fn done(&self, token: &str, line: &str, body: Value) -> Result<Value> {
        let answer = self.call(Some(token), line, (!body.is_null()).then_some(&body)).await?;
        ensure!(answer.word == "ok", "{line} {body} answered {}", answer.text);
        Ok(answer.body)
    }

    /// A command on a socket of its own.
    pub(crate) async fn command(&self, token: Option<&str>, kind: &str, fields: &Value) -> Result<Answer> {
        let mut socket = match token {
            Some(token) => Socket::with_token(&self.base, token).await?,
            None => Socket::open(&self.base, "/v1/ws", &[]).await?.ok().context("the upgrade was refused")?,
        };
        let answer = ask(&mut socket, kind, fields).await?;
        if answer.body["type"] != "closed" {
            socket.close().await?;
        }
        Ok(answer)
    }
}

/// Sends a command and waits for its reply, or for the close that takes its place.
pub(crate) async fn ask(socket: &mut Socket, kind: &str, fields: &Value) -> Result<Answer> {
    let mut frame = fields.clone();
    (frame["type"], frame["ref"]) = (kind.into(), "asked".into());
    // A socket that is closed at once may be so before it is written to.
    let sent = socket.send(&frame).await;
    loop {
        let reply = match socket.recv().await? {
            Frame::Json(reply) if reply["type"] == "reply" && reply["ref"] == "asked" => reply,
            Frame::Json(_) => continue,
            Frame::Closed(code) => return Ok(closed(code)),
            Frame::Broken => bail!("the connection broke without a close; sending: {sent:?}"),
        };
        let word = match reply["ok"].as_bool() {
            Some(true) => "ok",
            _ => reply["error"]["code"].as_str().with_context(|| format!("a reply without a code: {reply}"))?,
        };
        let failed = STATUSES.get(word).is_some_and(|status| *status >= 500);
        ensure!(!failed, "the server failed: {frame} {reply}");
        let (word, fields, text) = (word.to_owned(), fields_of(&reply), reply.to_string());
        return Ok(Answer { word, fields, body: reply, text });
    }
}

fn closed(code: u16) -> Answer {
    let word = match code {
        code if code == CloseCode::NotAuthenticated.code() => "not_authenticated".to_owned(),
        code if code == CloseCode::UserDisabled.code() => "user_disabled".to_owned(),
        code => format!("closed with {code}"),
    };
    let body = json!({"type": "closed", "code": code});
    Answer { word, fields: Vec::new(), text: body.to_string(), body }
}

fn fields_of(reply: &Value) -> Vec<String> {
    fields(&reply["error"]["errors"])
}

fn fields(errors: &Value) -> Vec<String> {
    let errors = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str().map(str::to_owned)).collect()
}

/// The operations of the server's own document: `METHOD /path`, and what is said of them.
pub(crate) async fn operations(http: &Http) -> Result<Vec<(String, Value)>> {
    let document = http.call(None, "GET /v1/openapi.json", None).await?.body;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("operations of a path")? {
            operations.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
        }
    }
    ensure!(operations.len() > 60, "only {} operations", operations.len());
    Ok(operations)
}

/// No input makes a node panic, or call for an operator.
pub(crate) fn nobody_is_called(cluster: &Cluster) -> Result<()> {
    for node in cluster.gateways.iter().chain(&cluster.apis) {
        for line in node.log().lines() {
            let calls = line.contains("panicked at") || line.contains(" ERROR ");
            ensure!(!calls, "a node calls for an operator: {line}");
        }
    }
    Ok(())
}
