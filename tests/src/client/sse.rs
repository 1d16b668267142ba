//! A client without sockets: events come as a stream, commands go by REST. It comes back by itself with the last id, as
//! `EventSource` does, and knows no cursors.
//!
//! It writes down what the server should not have done, besides what a [`View`] finds: a conversation that goes on
//! further than what was told of it.

mod stream;
mod task;

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;
use protocol::{Conversation, ConversationId, HelloReply};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};

pub use self::stream::{EventStream, Item, Pass};
use super::{Rest, SOON, view::View};
use crate::audit::{Entry, Happened};

/// A person who follows what happens by a stream.
pub struct SseClient {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    start: Instant,
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
    /// Whether it connects at all.
    wanted: bool,
    /// It is to end its stream.
    leave: bool,
    /// It has an open stream, or is asking for one.
    busy: bool,
    /// Conversations that this stream showed anew: what was before is fetched.
    shown: HashSet<ConversationId>,
    /// Statuses of a load balancer without a node to ask are no refusals.
    patient: bool,
    log: Option<Vec<Entry>>,
}

impl SseClient {
    /// Connects and returns when events flow.
    pub async fn connect(base: &str, pass: Pass, rest: &Rest) -> Result<Self> {
        let client = Self::with_state(State::new(base, pass), rest, Instant::now());
        client.live().await?;
        Ok(client)
    }

    /// Starts to connect, keeps trying while a load balancer finds no node, and writes down all that it hears, at times
    /// since `start`: [`SseClient::take_log`].
    pub fn recording(base: &str, pass: Pass, rest: &Rest, start: Instant) -> Self {
        let mut state = State { patient: true, log: Some(Vec::new()), ..State::new(base, pass) };
        state.view.without_events();
        Self::with_state(state, rest, start)
    }

    fn with_state(state: State, rest: &Rest, start: Instant) -> Self {
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), start });
        let task = tokio::spawn(task::run(Arc::clone(&shared), rest.clone()));
        Self { shared, task }
    }

    /// Waits until events flow.
    pub async fn live(&self) -> Result<()> {
        self.wait("the stream is live", |state| state.live.then_some(())).await
    }

    /// Whether events flow now.
    pub fn is_live(&self) -> bool {
        self.shared.state.lock().live
    }

    /// Breaks the stream; the client comes back by itself.
    pub async fn break_connection(&self) -> Result<()> {
        self.live().await?;
        let before = self.closes().len();
        self.shared.change(|state| state.leave = true);
        self.wait("the stream is broken", |state| (state.closes.len() > before).then_some(())).await
    }

    /// Breaks the stream and stays away until [`SseClient::online`].
    pub async fn offline(&self) -> Result<()> {
        self.shared.change(|state| state.wanted = false);
        self.wait("the stream is away", |state| (!state.busy).then_some(())).await
    }

    /// Ends [`SseClient::offline`]; returns when events flow.
    pub async fn online(&self) -> Result<()> {
        self.shared.change(|state| state.wanted = true);
        self.live().await
    }

    /// Looks at what it knows, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.shared.state.lock().view)
    }

    /// Everything that it heard since the last time, when it is recording.
    pub fn take_log(&self) -> Vec<Entry> {
        self.shared.state.lock().log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes down what a fresh `GET conversations` gave just now, and when it was asked for.
    pub fn listed(&self, asked: Duration, conversations: Vec<Conversation>) {
        self.shared.write(Happened::Listed { asked, conversations });
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

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    fn write(&self, what: Happened) {
        self.state.lock().write(self.start, what);
    }

    /// Waits until it is told to end its stream, or not to have one.
    async fn told_to_leave(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                if state.leave || !state.wanted {
                    return;
                }
            }
            changed.await;
        }
    }

    async fn wanted(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().wanted {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn new(base: &str, pass: Pass) -> Self {
        Self {
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
            wanted: true,
            leave: false,
            busy: false,
            shown: HashSet::new(),
            patient: false,
            log: None,
        }
    }

    fn write(&mut self, start: Instant, what: Happened) {
        if let Some(log) = &mut self.log {
            log.push(Entry { at: start.elapsed(), what });
        }
    }

    fn opened(&mut self) {
        self.shown.clear();
        if let Some(log) = self.log.as_mut().filter(|_| self.id.is_none()) {
            // Nothing to go on from: what it knew is fetched anew, as a page that is loaded again does.
            log.clear();
            self.view = View::default();
            self.view.without_events();
        }
    }

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
                if kind == "conversation.created"
                    && let Ok(id) = serde_json::from_value(item.data["data"]["id"].clone())
                {
                    self.shown.insert(id);
                }
                self.view.take(item.data);
            }
        }
    }

    /// The stream is live, and told of everything: what it did not tell is lost.
    fn begin(&mut self, reply: HelloReply) {
        for (id, head) in &reply.heads {
            let known = self.view.timelines.get(id).filter(|timeline| !timeline.gone && timeline.cursor != 0);
            if let Some(known) = known.filter(|known| known.cursor < *head && !self.shown.contains(id)) {
                let text = format!("{id} goes on from {head}, and was told up to {} only", known.cursor);
                self.view.violations.push(text);
            }
        }
        self.view.hello(reply, true);
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
