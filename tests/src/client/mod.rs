//! A client as the SDKs are: one socket at a time, resumed with its cursors wherever it connects next.
//!
//! Promises to do what `docs/protocol.md` asks of a client, and to write down each time the server did not do its
//! part: see [`View::violations`], which [`Client::check`] turns into a failure.

mod rest;
mod socket;
mod view;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use protocol::{Changes, ConversationId, ErrorCode, Message, MessageId, Reply, Seq, should_reconnect};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

pub use self::{
    rest::{Answer, Rest},
    socket::{Frame, Socket},
    view::{Timeline, View},
};

/// Nothing that a test waits for takes longer, unless it says so.
pub const SOON: Duration = Duration::from_secs(30);
/// How a connection ended that the client left when the server asked it to `reconnect`.
pub const MOVED: u16 = 1000;
/// Between two attempts to connect, at most; half of it on average.
const BACKOFF: Duration = Duration::from_millis(400);

/// A connected person, on one device.
pub struct Client {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    view: View,
    base: String,
    token: String,
    /// The socket is open and `hello` was answered.
    live: bool,
    /// Sockets that went live so far.
    connections: usize,
    /// How sockets ended, in order; 1006 when one broke.
    closes: Vec<u16>,
    /// The client may connect.
    wanted: bool,
}

/// `ref` of the commands with which a conversation that is new to the client is fetched, before its id.
const LOAD: &str = "load:";

fn load(id: ConversationId, after: Seq) -> Value {
    json!({"type": "changes.get", "ref": format!("{LOAD}{id}"), "conversation_id": id, "after": after})
}

enum Order {
    Command { frame: Value, reply: oneshot::Sender<Reply<Value>> },
    Break,
}

impl Client {
    /// Connects to `http://ADDRESS:PORT` and returns when events flow.
    pub async fn connect(base: &str, token: &str) -> Result<Self> {
        let client = Self::connecting(base, token);
        client.live().await?;
        Ok(client)
    }

    /// Starts to connect, and keeps trying.
    pub fn connecting(base: &str, token: &str) -> Self {
        let state = State {
            view: View::default(),
            base: base.to_owned(),
            token: token.to_owned(),
            live: false,
            connections: 0,
            closes: Vec::new(),
            wanted: true,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let (orders, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(Task { shared: Arc::clone(&shared), orders: queue, next_ref: 0 }.run());
        Self { shared, orders, task }
    }

    // ---- talking

    /// Sends a text and returns the acknowledged message, over as many connections as that takes.
    pub async fn send(&self, to: ConversationId, content: &str) -> Result<Message> {
        self.send_as(to, content, &uuid::Uuid::now_v7().to_string()).await
    }

    /// [`Client::send`] with a `client_id` of the test's own.
    pub async fn send_as(&self, to: ConversationId, content: &str, client_id: &str) -> Result<Message> {
        let fields = json!({"conversation_id": to, "content": content, "client_id": client_id});
        let start = Instant::now();
        let mut last = anyhow!("no attempt was made");
        while start.elapsed() < SOON {
            match self.command("message.send", fields.clone()).await {
                Ok(Reply { ok: true, data: Some(message), .. }) => return Ok(serde_json::from_value(message)?),
                Ok(Reply { error: Some(error), .. }) => {
                    let passing = matches!(
                        error.code,
                        ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::Timeout | ErrorCode::RateLimited
                    );
                    ensure!(passing, "sending {content:?} was refused: {error:?}");
                    sleep(Duration::from_millis(error.retry_after_ms.unwrap_or(100))).await;
                    last = anyhow!("{error:?}");
                }
                Ok(reply) => bail!("a reply with neither data nor error: {reply:?}"),
                // The answer went with the connection: the same again, under the same client_id.
                Err(error) => last = error,
            }
        }
        Err(last).with_context(|| format!("{content:?} was not acknowledged within {SOON:?}; {}", self.summary()))
    }

    /// Fetches a conversation from its beginning, as an app does when it is opened. Conversations that are new to
    /// the client are fetched by themselves; of others it knows what came while it was there.
    pub async fn load(&self, id: ConversationId) -> Result<()> {
        let mut after = 0;
        loop {
            let reply = self.command("changes.get", json!({"conversation_id": id, "after": after})).await?;
            ensure!(reply.ok, "`changes.get` was refused: {:?}", reply.error);
            let page: Changes = serde_json::from_value(reply.data.unwrap_or_default())?;
            let more = page.more;
            after = page.to;
            self.shared.state.lock().view.loaded(page);
            self.shared.changed.notify_waiters();
            if !more {
                return Ok(());
            }
        }
    }

    /// Edits a message.
    pub async fn edit(&self, id: MessageId, content: &str) -> Result<Message> {
        self.done("message.edit", json!({"message_id": id, "content": content})).await
    }

    /// Deletes a message.
    pub async fn delete(&self, id: MessageId) -> Result<Message> {
        self.done("message.delete", json!({"message_id": id})).await
    }

    async fn done(&self, kind: &str, fields: Value) -> Result<Message> {
        let reply = self.command(kind, fields).await?;
        ensure!(reply.ok, "`{kind}` was refused: {:?}", reply.error);
        Ok(serde_json::from_value(reply.data.unwrap_or_default())?)
    }

    /// Sends any command once, as soon as there is a connection, and returns its reply. Fails when the connection
    /// ends before the reply comes.
    pub async fn command(&self, kind: &str, mut fields: Value) -> Result<Reply<Value>> {
        fields["type"] = kind.into();
        let (reply, answer) = oneshot::channel();
        let order = Order::Command { frame: fields, reply };
        self.orders.send(order).map_err(|_| anyhow!("the client has ended: {}", self.summary()))?;
        let answer = timeout(SOON, answer).await;
        answer
            .with_context(|| format!("no reply to `{kind}` within {SOON:?}; {}", self.summary()))?
            .with_context(|| format!("the connection ended before the reply to `{kind}`"))
    }

    // ---- connections

    /// Waits until events flow.
    pub async fn live(&self) -> Result<()> {
        self.wait("the client is live", |state| state.live.then_some(())).await
    }

    /// Breaks the connection without a close, as a lost network does; the client comes back by itself.
    pub async fn break_connection(&self) -> Result<()> {
        self.live().await?;
        let before = self.shared.state.lock().closes.len();
        self.orders.send(Order::Break).map_err(|_| anyhow!("the client has ended"))?;
        self.wait("the connection is broken", |state| (state.closes.len() > before).then_some(())).await
    }

    /// Breaks the connection and stays away until [`Client::online`].
    pub async fn offline(&self) -> Result<()> {
        self.shared.state.lock().wanted = false;
        if self.shared.state.lock().live {
            let _ = self.orders.send(Order::Break);
        }
        self.wait("the client is offline", |state| (!state.live).then_some(())).await
    }

    /// Ends [`Client::offline`]; returns when events flow.
    pub async fn online(&self) -> Result<()> {
        self.shared.state.lock().wanted = true;
        self.shared.changed.notify_waiters();
        self.live().await
    }

    /// Where the next connection goes.
    pub fn next_node(&self, base: &str) {
        base.clone_into(&mut self.shared.state.lock().base);
    }

    /// The token of the next connection.
    pub fn next_token(&self, token: &str) {
        token.clone_into(&mut self.shared.state.lock().token);
    }

    /// How often the client went live.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().connections
    }

    /// The codes that its connections ended with, in order; 1006 for one that broke.
    pub fn closes(&self) -> Vec<u16> {
        self.shared.state.lock().closes.clone()
    }

    /// Waits for a close that ends the client for good, and returns its code.
    pub async fn stopped(&self) -> Result<u16> {
        self.wait("the server sends the client away", |state| {
            state.closes.last().copied().filter(|code| !should_reconnect(*code))
        })
        .await
    }

    // ---- looking

    /// A copy of what it knows now.
    pub fn view(&self) -> View {
        self.shared.state.lock().view.clone()
    }

    /// Waits until `look` finds something in what the client knows.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&View) -> Option<T>) -> Result<T> {
        self.wait(what, |state| look(&state.view)).await
    }

    /// Waits for a message with this text, in its present state.
    pub async fn sees(&self, id: ConversationId, content: &str) -> Result<Message> {
        self.until(&format!("the message {content:?} arrives"), |view| {
            let messages = view.timelines.get(&id)?.messages.values();
            messages.rev().find(|message| message.content == content && message.deleted_at.is_none()).cloned()
        })
        .await
    }

    /// Waits until the client knows everything up to this seq.
    pub async fn reaches(&self, id: ConversationId, seq: u64) -> Result<()> {
        self.until(&format!("the cursor of {id} reaches {seq}"), |view| {
            view.cursor(id).filter(|cursor| *cursor >= seq).map(drop)
        })
        .await
    }

    /// Fails when the server sent what a correct one would not have sent.
    pub fn check(&self) -> Result<()> {
        let state = self.shared.state.lock();
        let violations = &state.view.violations;
        ensure!(violations.is_empty(), "the server broke the protocol:\n{}", violations.join("\n"));
        let unannounced = state.view.unannounced();
        ensure!(
            !state.live || unannounced.is_empty(),
            "events of conversations that nothing announced: {unannounced:?}"
        );
        Ok(())
    }

    async fn wait<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            let changed = self.shared.changed.notified();
            if let Some(found) = look(&self.shared.state.lock()) {
                return Ok(found);
            }
            let left = SOON.saturating_sub(start.elapsed());
            if timeout(left, changed).await.is_err() {
                bail!("not within {SOON:?}: {what}; {}", self.summary());
            }
        }
    }

    /// What it saw, in a few lines, for messages of failures.
    pub fn summary(&self) -> String {
        let state = self.shared.state.lock();
        let timelines: Vec<_> = state.view.timelines.iter().collect();
        let timelines = timelines.iter().map(|(id, timeline)| {
            let last: Vec<_> = timeline.messages.values().rev().take(5).map(|message| &message.content).collect();
            format!("\n  {id}: cursor {}, gone {}, newest first {last:?}", timeline.cursor, timeline.gone)
        });
        format!(
            "the client saw: live {}, connections {}, closes {:?}, user_seq {}, {} events, resyncs {:?}, violations \
             {:?}{}",
            state.live,
            state.connections,
            state.closes,
            state.view.user_seq,
            state.view.events.len(),
            state.view.resyncs,
            state.view.violations,
            timelines.collect::<String>()
        )
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())
    }
}

/// Owns the socket.
struct Task {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    next_ref: u64,
}

impl Task {
    async fn run(mut self) {
        loop {
            let (base, token) = loop {
                let changed = self.shared.changed.notified();
                {
                    let state = self.shared.state.lock();
                    if state.wanted {
                        break (state.base.clone(), state.token.clone());
                    }
                }
                changed.await;
            };
            let code = match Socket::with_token(&base, &token).await {
                Ok(socket) => self.serve(socket).await,
                Err(_) => None,
            };
            if let Some(code) = code {
                self.update(|state| {
                    state.live = false;
                    state.closes.push(code);
                });
                if !should_reconnect(code) {
                    return;
                }
            }
            let pause = rand::rng().random_range(Duration::ZERO..BACKOFF);
            sleep(pause).await;
        }
    }

    /// Takes a page of a conversation that is new; returns the command for the next one.
    async fn loaded(&self, id: ConversationId, reply: Reply<Value>) -> Option<Value> {
        match (reply.error, reply.data.map(serde_json::from_value::<Changes>)) {
            (None, Some(Ok(page))) => {
                let next = page.more.then(|| load(id, page.to));
                self.update(|state| state.view.loaded(page));
                next
            }
            (Some(error), _) if error.retry_after_ms.is_some() => {
                sleep(Duration::from_millis(error.retry_after_ms.unwrap_or_default())).await;
                Some(load(id, 0))
            }
            // No longer theirs.
            (Some(error), _) if matches!(error.code, ErrorCode::NotFound | ErrorCode::NotAParticipant) => None,
            other => {
                self.update(|state| state.view.violations.push(format!("`changes.get` of {id}: {other:?}")));
                None
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.changed.notify_waiters();
    }

    /// Serves a socket to its end and returns its close code.
    async fn serve(&mut self, mut socket: Socket) -> Option<u16> {
        let mut waiting: Vec<(String, oneshot::Sender<Reply<Value>>)> = Vec::new();
        let (mut live, mut move_at) = (false, None);
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                () = sleep_until(move_at.unwrap_or_else(Instant::now)), if move_at.is_some() => {
                    // The server may be gone already; the client leaves either way.
                    let _ = socket.close().await;
                    return Some(MOVED);
                }
                order = self.orders.recv(), if live => match order? {
                    Order::Break => return Some(1006),
                    Order::Command { mut frame, reply } => {
                        self.next_ref += 1;
                        let reference = self.next_ref.to_string();
                        frame["ref"] = reference.as_str().into();
                        waiting.push((reference, reply));
                        if socket.send(&frame).await.is_err() {
                            return Some(1006);
                        }
                        continue;
                    }
                },
            };
            let frame = match frame {
                Frame::Json(frame) => frame,
                Frame::Closed(code) => return Some(code),
                Frame::Broken => return Some(1006),
            };
            if frame["type"] == "reply" {
                let Ok(reply) = serde_json::from_value::<Reply<Value>>(frame.clone()) else {
                    self.update(|state| state.view.violations.push(format!("a malformed reply: {frame}")));
                    continue;
                };
                let reference = reply.reference.clone().unwrap_or_default();
                if reference == "hello" {
                    if !reply.ok {
                        self.update(|state| state.view.violations.push(format!("hello was refused: {frame}")));
                        return Some(1006);
                    }
                    live = true;
                    self.update(|state| {
                        match serde_json::from_value(reply.data.unwrap_or_default()) {
                            Ok(data) => state.view.hello(data),
                            Err(error) => state.view.violations.push(format!("hello's reply: {error}")),
                        }
                        state.live = true;
                        state.connections += 1;
                    });
                } else if let Some(id) = reference.strip_prefix(LOAD).and_then(|id| id.parse().ok()) {
                    if let Some(next) = self.loaded(id, reply).await
                        && socket.send(&next).await.is_err()
                    {
                        return Some(1006);
                    }
                } else if let Some(at) = waiting.iter().position(|(waits, _)| *waits == reference) {
                    // Who asked may have given up.
                    let _ = waiting.swap_remove(at).1.send(reply);
                } else {
                    self.update(|state| state.view.violations.push(format!("a reply that nobody waits for: {frame}")));
                }
                continue;
            }
            let connected = frame["type"] == "connected";
            if frame["type"] == "reconnect" {
                let after = Duration::from_millis(frame["data"]["after_ms"].as_u64().unwrap_or(0));
                move_at = Some(Instant::now() + after);
            }
            // Where to resume from is what was known before this connection said anything.
            let resume = self.shared.state.lock().view.resume();
            self.update(|state| state.view.event(frame));
            let new = self.shared.state.lock().view.take_to_load();
            for id in new {
                if socket.send(&load(id, 0)).await.is_err() {
                    return Some(1006);
                }
            }
            if connected {
                let hello = match resume {
                    Some(resume) => json!({"type": "hello", "ref": "hello", "resume": resume}),
                    None => json!({"type": "hello", "ref": "hello"}),
                };
                if socket.send(&hello).await.is_err() {
                    return Some(1006);
                }
            }
        }
    }
}
