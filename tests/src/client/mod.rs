//! A client as the SDKs are: one socket at a time, resumed with its cursors wherever it connects next.
//!
//! Promises to do what `docs/protocol.md` asks of a client, and to write down each time the server did not do its
//! part: see [`View::violations`], which [`Client::check`] turns into a failure.

mod core;
mod list;
mod rest;
mod socket;
mod sse;
mod task;
mod view;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use protocol::{Changes, Conversation, ConversationId, Message, MessageId, Reply, UserId, should_reconnect};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::task::Task;
pub(crate) use self::{core::WATCH_REF, view::Load};
pub use self::{
    core::{Answered, BROKEN, Core, Draw, Output, Persistence, is_passing},
    list::List,
    rest::{Answer, Rest},
    socket::{Frame, Socket},
    sse::{EventStream, Item, Pass, SseClient},
    view::{Timeline, View, shared},
};
use crate::audit::Entry;

/// Nothing that a test waits for takes longer, unless it says so.
pub const SOON: Duration = Duration::from_secs(30);
/// How a connection ended that the client left when the server asked it to `reconnect`.
pub const MOVED: u16 = 1000;

/// A connected person, on one device.
pub struct Client {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
    start: Instant,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    core: Core,
    base: String,
    token: String,
    /// Who waits for the reply to which command.
    waiting: HashMap<u64, oneshot::Sender<Reply<Value>>>,
}

enum Order {
    Command { frame: Value, persistence: Persistence, reply: oneshot::Sender<Reply<Value>> },
    Watch(Vec<UserId>),
    Break,
    Want(bool),
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
        Self::with_core(base, token, Core::new(chance()), Instant::now())
    }

    /// The same that writes down all it says and hears, at times since `start`: [`Client::take_log`].
    pub fn recording(base: &str, token: &str, start: Instant) -> Self {
        Self::with_core(base, token, Core::new(chance()).recording(), start)
    }

    fn with_core(base: &str, token: &str, core: Core, start: Instant) -> Self {
        let state = State { core, base: base.to_owned(), token: token.to_owned(), waiting: HashMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let (orders, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(Task::new(Arc::clone(&shared), queue, start).run());
        Self { shared, orders, task, start }
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
                    ensure!(is_passing(error.code), "sending {content:?} was refused: {error:?}");
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
            self.shared.state.lock().core.view.loaded(page);
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
    pub async fn command(&self, kind: &str, fields: Value) -> Result<Reply<Value>> {
        let answer = timeout(SOON, self.order(kind, fields, Persistence::Once)?).await;
        answer
            .with_context(|| format!("no reply to `{kind}` within {SOON:?}; {}", self.summary()))?
            .with_context(|| format!("the connection ended before the reply to `{kind}`"))
    }

    /// Says a command again and again, the same each time, until there is an answer; for no longer than `patience`.
    pub async fn persist(&self, kind: &str, fields: Value, patience: Duration) -> Result<Reply<Value>> {
        let answer = timeout(patience, self.order(kind, fields, Persistence::UntilAnswered)?).await;
        answer.with_context(|| format!("no answer to `{kind}` within {patience:?}"))?.context("the client has ended")
    }

    fn order(&self, kind: &str, mut frame: Value, persistence: Persistence) -> Result<oneshot::Receiver<Reply<Value>>> {
        frame["type"] = kind.into();
        let (reply, answer) = oneshot::channel();
        let order = Order::Command { frame, persistence, reply };
        self.orders.send(order).map_err(|_| anyhow!("the client has ended: {}", self.summary()))?;
        Ok(answer)
    }

    /// Watches these users too, over all connections: [`View::presence`].
    pub fn watch(&self, users: Vec<UserId>) -> Result<()> {
        self.orders.send(Order::Watch(users)).map_err(|_| anyhow!("the client has ended: {}", self.summary()))
    }

    /// Writes down what a fresh `GET conversations` gave just now, and when it was asked for.
    pub fn listed(&self, asked: Duration, conversations: Vec<Conversation>) {
        self.shared.state.lock().core.listed(self.start.elapsed(), asked, conversations);
    }

    // ---- connections

    /// Waits until events flow.
    pub async fn live(&self) -> Result<()> {
        self.wait("the client is live", |state| state.core.is_live().then_some(())).await
    }

    /// Breaks the connection without a close, as a lost network does; the client comes back by itself.
    pub async fn break_connection(&self) -> Result<()> {
        self.live().await?;
        let before = self.shared.state.lock().core.closes().len();
        self.orders.send(Order::Break).map_err(|_| anyhow!("the client has ended"))?;
        self.wait("the connection is broken", |state| (state.core.closes().len() > before).then_some(())).await
    }

    /// Breaks the connection and stays away until [`Client::online`].
    pub async fn offline(&self) -> Result<()> {
        let _ = self.orders.send(Order::Want(false));
        self.wait("the client is offline", |state| state.core.is_away().then_some(())).await
    }

    /// Ends [`Client::offline`]; returns when events flow.
    pub async fn online(&self) -> Result<()> {
        let _ = self.orders.send(Order::Want(true));
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
        self.shared.state.lock().core.connections()
    }

    /// The codes that its connections ended with, in order; 1006 for one that broke.
    pub fn closes(&self) -> Vec<u16> {
        self.shared.state.lock().core.closes().to_vec()
    }

    /// Waits for a close that ends the client for good, and returns its code.
    pub async fn stopped(&self) -> Result<u16> {
        self.wait("the server sends the client away", |state| {
            state.core.closes().last().copied().filter(|code| !should_reconnect(*code))
        })
        .await
    }

    // ---- looking

    /// A copy of what it knows now.
    pub fn view(&self) -> View {
        self.shared.state.lock().core.view.clone()
    }

    /// Looks at what it knows now, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.shared.state.lock().core.view)
    }

    /// Whether events flow now.
    pub fn is_live(&self) -> bool {
        self.shared.state.lock().core.is_live()
    }

    /// Everything that was said and heard since the last time, when it is recording.
    pub fn take_log(&self) -> Vec<Entry> {
        self.shared.state.lock().core.take_log()
    }

    /// Waits until `look` finds something in what the client knows.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&View) -> Option<T>) -> Result<T> {
        self.wait(what, |state| look(&state.core.view)).await
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
        let view = &state.core.view;
        let violations = &view.violations;
        ensure!(violations.is_empty(), "the server broke the protocol:\n{}", violations.join("\n"));
        let unannounced = view.unannounced();
        ensure!(
            !state.core.is_live() || unannounced.is_empty(),
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
        let (core, view) = (&state.core, &state.core.view);
        let timelines: Vec<_> = view.timelines.iter().collect();
        let timelines = timelines.iter().map(|(id, timeline)| {
            let last: Vec<_> = timeline.messages.values().rev().take(5).map(|message| &message.content).collect();
            format!("\n  {id}: cursor {}, gone {}, newest first {last:?}", timeline.cursor, timeline.gone)
        });
        format!(
            "the client saw: live {}, connections {}, closes {:?}, user_seq {}, {} events, resyncs {:?}, violations \
             {:?}{}",
            core.is_live(),
            core.connections(),
            core.closes(),
            view.user_seq,
            view.events.len(),
            view.resyncs,
            view.violations,
            timelines.collect::<String>()
        )
    }
}

/// Chance for backoff.
fn chance() -> Draw {
    Box::new(|most| rand::rng().random_range(Duration::ZERO..most))
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
