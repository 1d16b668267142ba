//! A client of event streams: it reads line by line, and says what it saw when it waits in vain.

use std::net::SocketAddr;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::{DEADLINE, Person};

/// One event, as the HTML standard dispatches it, or a comment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) event: String,
    /// Null for a comment or an id alone.
    pub(crate) data: Value,
    /// The id that came with it.
    pub(crate) id: Option<String>,
    pub(crate) comment: bool,
}

pub(crate) struct Stream {
    response: Response,
    text: String,
    /// The last id that came.
    pub(crate) id: Option<String>,
    pub(crate) seen: Vec<Item>,
}

/// A request that no proxy of the machine sees.
pub(crate) fn get(address: SocketAddr, query: &str) -> RequestBuilder {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("http://{address}/v1/events{query}"))
}

pub(crate) async fn send(request: RequestBuilder) -> Response {
    timeout(DEADLINE, request.send()).await.expect("an answer").unwrap()
}

impl Stream {
    /// A stream of this person's, after this id.
    pub(crate) async fn open(address: SocketAddr, who: &Person, id: Option<&str>) -> Self {
        let mut request = get(address, "").bearer_auth(&who.token);
        if let Some(id) = id {
            request = request.header("last-event-id", id);
        }
        Self::of(request).await
    }

    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = send(request).await;
        assert_eq!(response.status(), 200);
        Self { response, text: String::new(), id: None, seen: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What comes next; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (item, rest) = (parse(block), self.text.len() - rest.len());
                self.text.drain(..rest);
                self.id = item.id.clone().or(self.id.take());
                self.seen.push(item.clone());
                return Some(item);
            }
            let chunk = timeout(DEADLINE, self.response.chunk()).await;
            match chunk.unwrap_or_else(|_| panic!("nothing comes after {:#?}", self.last())) {
                Ok(Some(bytes)) => self.text.push_str(std::str::from_utf8(&bytes).unwrap()),
                // A node that was killed.
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next item that is as wanted; others are passed over.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Item) -> bool) -> Item {
        loop {
            let Some(item) = self.next().await else { panic!("the stream ended after {:#?}", self.last()) };
            if wanted(&item) {
                return item;
            }
        }
    }

    pub(crate) async fn event(&mut self, kind: &str) -> Item {
        self.until(|item| item.event == kind).await
    }

    /// Reads until events flow; the reply.
    pub(crate) async fn live(&mut self) -> Value {
        let reply = self.event("reply").await.data;
        assert_eq!((&reply["ok"], &reply["ref"]), (&true.into(), &Value::Null), "{reply}");
        reply["data"].clone()
    }

    /// The newest id, when there is one or as soon as one comes.
    pub(crate) async fn newest_id(&mut self) -> String {
        while self.id.is_none() {
            self.until(|item| item.id.is_some()).await;
        }
        self.id.clone().unwrap()
    }

    /// Reads to the end; the code that it ended with.
    pub(crate) async fn ends(&mut self) -> Option<u64> {
        while self.next().await.is_some() {}
        self.seen.iter().rev().find(|item| item.event == "close").and_then(|item| item.data["code"].as_u64())
    }

    /// The newest items, for messages of failures.
    fn last(&self) -> Vec<String> {
        let short = |item: &Item| format!("{item:?}").chars().take(300).collect();
        self.seen.iter().rev().take(10).rev().map(short).collect()
    }

    /// Frames so far.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.seen.iter().filter(|item| !item.data.is_null()).map(|item| item.data.clone()).collect()
    }
}

fn parse(block: &str) -> Item {
    let mut item = Item::default();
    let mut data = String::new();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => value.clone_into(&mut item.event),
            Some(("data", value)) => data.push_str(value),
            Some(("id", value)) => item.id = Some(value.to_owned()),
            Some(("retry", value)) => assert!(value.parse::<u64>().is_ok_and(|after| after >= 300), "{line}"),
            Some(("", "heartbeat")) => item.comment = true,
            _ => panic!("a line that is none of ours: {line:?}"),
        }
    }
    if !data.is_empty() {
        item.data = serde_json::from_str(&data).unwrap();
    }
    item
}
