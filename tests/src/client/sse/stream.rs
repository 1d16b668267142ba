//! An open event stream: items in, nothing of the protocol.

use anyhow::{Context, Result, bail};
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::SOON;

/// One event of a stream, or a comment, or an id alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// `event:`.
    pub event: String,
    /// `data:` as JSON; null when there is none.
    pub data: Value,
    /// `id:`.
    pub id: Option<String>,
    /// It has a comment.
    pub comment: bool,
}

/// An open stream and nothing more.
pub struct EventStream {
    response: Response,
    bytes: Vec<u8>,
}

/// How to get in.
#[derive(Debug, Clone)]
pub enum Pass {
    /// By the header.
    Token(String),
    /// By the URL, as `EventSource` does.
    Ticket(String),
}

impl EventStream {
    /// Asks for `/v1/events` of `http://ADDRESS:PORT`. The inner error is the status of a refusal.
    pub async fn open(base: &str, pass: &Pass, id: Option<&str>) -> Result<Result<Self, u16>> {
        // A connection of its own, without a time limit for the whole answer.
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}/v1/events", base.trim_end_matches('/'));
        let mut request = match pass {
            Pass::Token(token) => http.get(url).bearer_auth(token),
            Pass::Ticket(ticket) => http.get(format!("{url}?ticket={ticket}")),
        };
        if let Some(id) = id {
            request = request.header("last-event-id", id);
        }
        let response = timeout(SOON, request.send()).await.context("no answer in time")??;
        let status = response.status().as_u16();
        Ok(if status == 200 { Ok(Self { response, bytes: Vec::new() }) } else { Err(status) })
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What comes next, whenever that is; none at the end, however it came. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            // Bytes: what comes at once may end inside of a character.
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<_> = self.bytes.drain(..end + 2).collect();
                let text = std::str::from_utf8(&block[..end]).unwrap_or_else(|_| panic!("a stream that is not UTF-8"));
                return Some(parse(text));
            }
            self.bytes.extend_from_slice(&self.response.chunk().await.ok().flatten()?);
        }
    }

    /// The next event of this type, in time.
    pub async fn until(&mut self, event: &str) -> Result<Item> {
        let mut skipped = Vec::new();
        loop {
            let next = timeout(SOON, self.next()).await;
            match next.with_context(|| format!("no `{event}` after {skipped:?}"))? {
                Some(item) if item.event == event => return Ok(item),
                Some(item) => skipped.push(item.event),
                None => bail!("the stream ended before `{event}`, after {skipped:?}"),
            }
        }
    }
}

fn parse(block: &str) -> Item {
    let mut item = Item::default();
    let mut data = Vec::new();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => value.clone_into(&mut item.event),
            Some(("data", value)) => data.push(value),
            Some(("id", value)) => item.id = Some(value.to_owned()),
            Some(("", _)) => item.comment = true,
            Some(("retry", _)) => {}
            _ => panic!("a line that no stream of ours has: {line:?}"),
        }
    }
    if !data.is_empty() {
        let data = data.join("\n");
        item.data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("not JSON ({error}): {data}"));
    }
    item
}
