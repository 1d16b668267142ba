//! A client without sockets: events come as a stream, commands go by REST. It comes back by itself with the last id, as
//! `EventSource` does, and knows no cursors.
//!
//! It writes down what the server should not have done, besides what a [`View`] finds: a conversation that goes on
//! further than what was told of it.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use parking_lot::Mutex;
use protocol::{Changes, ConversationId, HelloReply};
use reqwest::Response;
use serde_json::Value;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{Rest, SOON, view::View};

/// Before it comes back; `EventSource` waits for what the server said, and tests have no time.
const BACK_AFTER: Duration = Duration::from_millis(100);

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
    text: String,
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
        Ok(if status == 200 { Ok(Self { response, text: String::new() }) } else { Err(status) })
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What comes next, whenever that is; none at the end, however it came. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (item, rest) = (parse(block), self.text.len() - rest.len());
                self.text.drain(..rest);
                return Some(item);
            }
            let bytes = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap_or_else(|_| panic!("a stream that is not UTF-8")));
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

/// A person who follows what happens by a stream.
pub struct SseClient {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    view: View,
    base: String,
    pass: Pass,
    id: Option<String>,
    ids: Vec<String>,
    comments: usize,
    connections: usize,
    live: bool,
    /// Codes of `close`; 1006 for a stream that ended without one.
    closes: Vec<u16>,
    /// The status with which it was sent away for good.
    refused: Option<u16>,
}

impl SseClient {
    /// Connects and returns when events flow.
    pub async fn connect(base: &str, pass: Pass, rest: &Rest) -> Result<Self> {
        let state = State {
            view: View::default(),
            base: base.to_owned(),
            pass,
            id: None,
            ids: Vec::new(),
            comments: 0,
            connections: 0,
            live: false,
            closes: Vec::new(),
            refused: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let task = tokio::spawn(run(Arc::clone(&shared), rest.clone()));
        let client = Self { shared, task };
        client.live().await?;
        Ok(client)
    }

    /// Waits until events flow.
    pub async fn live(&self) -> Result<()> {
        self.wait("the stream is live", |state| state.live.then_some(())).await
    }

    /// Where the next connection goes.
    pub fn next_node(&self, base: &str) {
        base.clone_into(&mut self.shared.state.lock().base);
    }

    /// A copy of what it knows.
    pub fn view(&self) -> View {
        self.shared.state.lock().view.clone()
    }

    /// Every id that came, in order.
    pub fn ids(&self) -> Vec<String> {
        self.shared.state.lock().ids.clone()
    }

    /// How often events began to flow.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().connections
    }

    /// How its streams ended; 1006 without a word.
    pub fn closes(&self) -> Vec<u16> {
        self.shared.state.lock().closes.clone()
    }

    /// Waits until `look` finds something in what it knows.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&View) -> Option<T>) -> Result<T> {
        self.wait(what, |state| look(&state.view)).await
    }

    /// Waits until it knows everything up to this seq.
    pub async fn reaches(&self, id: ConversationId, seq: u64) -> Result<()> {
        let what = format!("the cursor of {id} reaches {seq}");
        self.until(&what, |view| view.cursor(id).filter(|cursor| *cursor >= seq).map(drop)).await
    }

    /// Waits for so many more comments.
    pub async fn comments(&self, more: usize) -> Result<()> {
        let wanted = self.shared.state.lock().comments + more;
        self.wait("comments come", |state| (state.comments >= wanted).then_some(())).await
    }

    /// Waits for another id than this one.
    pub async fn id_after(&self, id: Option<&str>) -> Result<String> {
        self.wait("a newer id comes", |state| state.id.clone().filter(|new| Some(&**new) != id)).await
    }

    /// Waits until the server sends it away for good; the status.
    pub async fn refused(&self) -> Result<u16> {
        self.wait("the server refuses it", |state| state.refused).await
    }

    /// Fails when the server did what it should not.
    pub fn check(&self) -> Result<()> {
        let state = self.shared.state.lock();
        ensure!(state.view.violations.is_empty(), "the server broke the protocol: {:#?}", state.view.violations);
        Ok(())
    }

    async fn wait<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            let changed = self.shared.changed.notified();
            if let Some(found) = look(&self.shared.state.lock()) {
                return Ok(found);
            }
            if timeout(SOON.saturating_sub(start.elapsed()), changed).await.is_err() {
                bail!("not within {SOON:?}: {what}; {self:?}");
            }
        }
    }
}

async fn run(shared: Arc<Shared>, rest: Rest) {
    loop {
        let (base, pass, id) = {
            let state = shared.state.lock();
            (state.base.clone(), state.pass.clone(), state.id.clone())
        };
        match EventStream::open(&base, &pass, id.as_deref()).await {
            Ok(Ok(stream)) => read(&shared, &rest, stream).await,
            // What `EventSource` gives up on. A page would try again later where the status says so.
            Ok(Err(status)) if status != 503 => {
                shared.state.lock().refused = Some(status);
                shared.changed.notify_waiters();
                return;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(BACK_AFTER).await;
    }
}

async fn read(shared: &Shared, rest: &Rest, mut stream: EventStream) {
    let mut close = 1006;
    while let Some(item) = stream.next().await {
        let to_load = {
            let mut state = shared.state.lock();
            if item.event == "close" {
                close = item.data["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(close);
            }
            state.take(item);
            state.view.take_to_load()
        };
        shared.changed.notify_waiters();
        for id in to_load {
            load(shared, rest, id).await;
        }
    }
    let mut state = shared.state.lock();
    state.live = false;
    state.closes.push(close);
    drop(state);
    shared.changed.notify_waiters();
}

/// Fetches a conversation that is new to the client. One that is not theirs any more answers nothing of use.
async fn load(shared: &Shared, rest: &Rest, id: ConversationId) {
    let mut after = 0;
    loop {
        let answer = rest.get(&format!("conversations/{id}/changes?after={after}&limit=500")).await;
        let Ok(page) = answer.and_then(super::Answer::ok::<Changes>) else { return };
        let more = page.more;
        after = page.to;
        shared.state.lock().view.loaded(page);
        shared.changed.notify_waiters();
        if !more {
            return;
        }
    }
}

impl State {
    fn take(&mut self, item: Item) {
        self.comments += usize::from(item.comment);
        if let Some(id) = item.id {
            self.ids.push(id.clone());
            self.id = Some(id);
        }
        match &*item.event {
            "" | "close" => {}
            "reply" => match serde_json::from_value::<HelloReply>(item.data["data"].clone()) {
                Ok(reply) => self.begin(reply),
                Err(error) => self.view.violations.push(format!("{error}: {}", item.data)),
            },
            kind => {
                if item.data["type"] != kind {
                    self.view.violations.push(format!("`event: {kind}` with {}", item.data));
                }
                self.view.take(item.data);
            }
        }
    }

    /// The stream is live, and told of everything: what it did not tell is lost.
    fn begin(&mut self, reply: HelloReply) {
        for (id, head) in &reply.heads {
            let known = self.view.timelines.get(id).filter(|timeline| !timeline.gone && timeline.cursor != 0);
            // Shown anew: what was before is fetched.
            let shown = self.view.events.iter().rev().take_while(|event| event["type"] != "connected");
            let shown = shown.filter(|event| event["type"] == "conversation.created");
            let shown =
                shown.filter_map(|event| event["conversation_id"].as_str()).any(|shown| shown == id.to_string());
            if let Some(known) = known.filter(|known| known.cursor < *head && !shown) {
                let text = format!("{id} goes on from {head}, and was told up to {} only", known.cursor);
                self.view.violations.push(text);
            }
        }
        for (id, timeline) in &mut self.view.timelines {
            timeline.gone |= !reply.heads.contains_key(id);
        }
        self.view.hello(reply);
        self.connections += 1;
        self.live = true;
    }
}

impl fmt::Debug for SseClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        let timelines = state.view.timelines.iter();
        f.debug_struct("SseClient")
            .field("live", &state.live)
            .field("connections", &state.connections)
            .field("closes", &state.closes)
            .field("refused", &state.refused)
            .field("id", &state.id)
            .field("cursors", &timelines.map(|(id, timeline)| (id, timeline.cursor, timeline.gone)).collect::<Vec<_>>())
            .field("resyncs", &state.view.resyncs)
            .field("violations", &state.view.violations)
            .finish_non_exhaustive()
    }
}

impl Drop for SseClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}
