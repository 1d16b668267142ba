//! A node in this process: the real embedded store, the in-process bus, the real router on a port of its own; and
//! a client that says what it saw when it waits in vain.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bus::local::LocalBus;
use chat::{AuthConfig, Caller, Chat, ChatConfig, Env, ExternalClaims, mint_external};
use futures_util::{SinkExt, StreamExt};
use gateway::{Gateway, GatewayConfig};
use protocol::{
    Conversation, ConversationId, ConversationKind, CreateConversation, History, Limits, Message as ChatMessage,
    Posting, SendMessage,
};
use serde_json::{Value, json};
use store::{
    Store,
    sqlite::{SqliteConfig, SqliteStore},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Request, protocol::CloseFrame},
};

pub(crate) const SECRET: &[u8] = b"the secret of these tests, 32 bytes.";
/// Nothing here takes longer, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) chat: Chat,
    pub(crate) gateway: Gateway,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<LocalBus>,
    #[allow(dead_code)] // The tests of streams, which share this file, look at it.
    pub(crate) registry: prometheus::Registry,
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(GatewayConfig::default(), Limits { command_rate: 0, ..Limits::default() }).await
    }

    pub(crate) async fn with(config: GatewayConfig, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap());
        store.migrate().await.unwrap();
        let bus = Arc::new(LocalBus::start());
        let registry = prometheus::Registry::new();
        let chat = chat_on(&store, Arc::clone(&bus) as _, limits, &registry);
        let gateway = Gateway::start(chat.clone(), Arc::clone(&bus) as _, config, &registry).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, gateway.router()));
        Self { chat, gateway, store, bus, registry, address, _dir: dir }
    }

    pub(crate) async fn user(&self, name: &str) -> Person {
        let token = token(name, 3_600);
        self.person(token).await
    }

    /// An admin of the org of [`World::user`].
    pub(crate) async fn admin(&self, name: &str) -> Person {
        self.person(token_with(name, 3_600, None, Some("admin"))).await
    }

    /// Somebody of another org, its admin.
    pub(crate) async fn stranger(&self, name: &str) -> Person {
        self.person(token_with(name, 3_600, Some("elsewhere"), Some("admin"))).await
    }

    async fn person(&self, token: String) -> Person {
        let caller = self.chat.authenticate(&token).await.unwrap();
        Person { token, caller }
    }

    /// One more node on the same store and bus, in a runtime of its own, so that it can be killed.
    pub(crate) fn peer(&self, config: GatewayConfig) -> Peer {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (gateway, bus) = {
            let _inside = runtime.enter();
            let bus = Arc::new(self.bus.node());
            let registry = prometheus::Registry::new();
            let limits = self.chat.limits().clone();
            let chat = chat_on(&self.store, Arc::clone(&bus) as _, limits, &registry);
            let gateway = Gateway::start(chat, Arc::clone(&bus) as _, config, &registry).unwrap();
            tokio::spawn(serve(tokio::net::TcpListener::from_std(listener).unwrap(), gateway.router()));
            (gateway, bus)
        };
        Peer { gateway, bus, address, runtime: Some(runtime) }
    }

    pub(crate) async fn room(&self, owner: &Person, others: &[&Person]) -> Conversation {
        self.conversation(owner, others, History::All).await
    }

    pub(crate) async fn conversation(&self, owner: &Person, others: &[&Person], history: History) -> Conversation {
        let request = CreateConversation {
            kind: ConversationKind::Group,
            title: Some("room".into()),
            description: None,
            avatar_url: None,
            participant_ids: others.iter().map(|person| person.caller.user.id).collect(),
            subject: None,
            posting: Posting::default(),
            history,
            slow_mode_seconds: 0,
        };
        self.chat.create_conversation(&owner.caller, request, None).await.unwrap().0
    }

    pub(crate) async fn say(&self, who: &Person, room: ConversationId, text: &str) -> ChatMessage {
        chat::Told::into_message(self.chat.send(&who.caller, room, self::text(text)).await.unwrap().0)
    }

    pub(crate) fn request(&self, query: &str) -> Request<()> {
        request(self.address, query)
    }

    /// A connection that is authenticated at its upgrade and has said nothing.
    pub(crate) async fn connect(&self, who: &Person) -> Socket {
        let mut request = self.request("");
        request.headers_mut().insert("authorization", format!("Bearer {}", who.token).parse().unwrap());
        Socket::open(request).await
    }

    /// The same, with a kernel that takes in little; it is live.
    pub(crate) async fn narrow(&self, who: &Person) -> Socket {
        let mut socket = self.narrow_silent(who).await;
        socket.ask(json!({"type": "hello"})).await;
        socket
    }

    /// The same, that has said nothing yet.
    pub(crate) async fn narrow_silent(&self, who: &Person) -> Socket {
        let mut request = self.request("?await_hello=true");
        request.headers_mut().insert("authorization", format!("Bearer {}", who.token).parse().unwrap());
        Socket::open_narrow(self.address, request).await
    }

    /// A connection that is live.
    pub(crate) async fn live(&self, who: &Person) -> Socket {
        live(self.address, who).await
    }
}

/// Another node.
pub(crate) struct Peer {
    pub(crate) gateway: Gateway,
    pub(crate) bus: Arc<LocalBus>,
    pub(crate) address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Peer {
    /// A connection that is live.
    pub(crate) async fn live(&self, who: &Person) -> Socket {
        live(self.address, who).await
    }

    /// As `kill -9`: everything of it stops where it is.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// HTTP/1.1 as the server's own listener speaks it: a socket is plain TCP after its upgrade. (`axum::serve` puts
/// something in between, and would test another way of writing.)
async fn serve(listener: tokio::net::TcpListener, router: axum::Router) {
    while let Ok((stream, peer)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let router = router.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
            tower::ServiceExt::oneshot(router.clone(), request)
        });
        let http = hyper::server::conn::http1::Builder::new();
        let stream = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(async move { http.serve_connection(stream, service).with_upgrades().await });
    }
}

fn request(address: SocketAddr, query: &str) -> Request<()> {
    format!("ws://{address}/v1/ws{query}").into_client_request().unwrap()
}

async fn live(address: SocketAddr, who: &Person) -> Socket {
    let mut request = request(address, "");
    request.headers_mut().insert("authorization", format!("Bearer {}", who.token).parse().unwrap());
    let mut socket = Socket::open(request).await;
    socket.ask(json!({"type": "hello"})).await;
    socket
}

/// A message with this text.
pub(crate) fn text(content: &str) -> SendMessage {
    SendMessage {
        content: content.into(),
        client_id: None,
        reply_to_id: None,
        thread_root_id: None,
        mentions: None,
        attachments: Vec::new(),
    }
}

/// A domain on a store; one without a gateway stands for another node whose events do not come through.
pub(crate) fn chat_on(
    store: &Arc<dyn Store>,
    bus: Arc<dyn bus::Bus>,
    limits: Limits,
    registry: &prometheus::Registry,
) -> Chat {
    let auth = AuthConfig { secret: Some(SECRET.to_vec()), guest_sign_in: true, ..AuthConfig::default() };
    let config = ChatConfig { auth, limits, ..ChatConfig::default() };
    Chat::new(Arc::clone(store), bus, Env::system(), config, registry).unwrap()
}

/// A token as another system would mint it.
pub(crate) fn token(name: &str, seconds: u64) -> String {
    token_with(name, seconds, None, None)
}

fn token_with(name: &str, seconds: u64, org: Option<&str>, role: Option<&str>) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    let (org, role) = (org.map(Into::into), role.map(Into::into));
    let claims = ExternalClaims { org, role, ..ExternalClaims::of(name, exp) };
    mint_external(SECRET, &claims).unwrap()
}

#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) caller: Caller,
}

/// A client's socket. Everything that came is kept, and told when a wait is in vain.
pub(crate) struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seen: Vec<Value>,
    refs: u64,
}

impl Socket {
    pub(crate) async fn open(request: Request<()>) -> Self {
        let (inner, _) = timeout(DEADLINE, connect_async(request)).await.unwrap().unwrap();
        Self { inner, seen: Vec::new(), refs: 0 }
    }

    /// A client whose kernel takes in very little while nobody reads.
    pub(crate) async fn open_narrow(address: SocketAddr, request: Request<()>) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = timeout(DEADLINE, socket.connect(address)).await.unwrap().unwrap();
        let (inner, _) =
            timeout(DEADLINE, client_async(request, MaybeTlsStream::Plain(stream))).await.unwrap().unwrap();
        Self { inner, seen: Vec::new(), refs: 0 }
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Message>) {
        timeout(DEADLINE, self.inner.send(frame.into())).await.unwrap().unwrap();
    }

    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(DEADLINE, self.inner.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    self.seen.push(value.clone());
                    return value;
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                other => panic!("{other:?} instead of a frame, after {:#?}", self.seen),
            }
        }
    }

    /// The next frame that is as wanted; others are passed over.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Sends a command and gives its reply; what comes before it is passed over.
    pub(crate) async fn ask(&mut self, command: Value) -> Value {
        let reference = self.command(command).await;
        self.until(|frame| frame["type"] == "reply" && frame["ref"] == reference.as_str()).await
    }

    /// Sends a command; its `ref`.
    pub(crate) async fn command(&mut self, mut command: Value) -> String {
        self.refs += 1;
        let reference = self.refs.to_string();
        command["ref"] = reference.clone().into();
        self.send(Message::text(command.to_string())).await;
        reference
    }

    /// What came so far and passes, from the first frame on.
    pub(crate) fn seen(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.seen.iter().filter(|frame| wanted(frame)).cloned().collect()
    }

    /// Reads until the server answers a ping: whatever was sent to this socket before is seen by then.
    pub(crate) async fn settle(&mut self) {
        self.ask(json!({"type": "ping"})).await;
    }

    /// The close code that the server ends it with; frames before it are passed over.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(DEADLINE, self.inner.next()).await.expect("the server closes the socket") {
                Some(Ok(Message::Close(frame))) => return frame.map(|CloseFrame { code, .. }| code.into()),
                Some(Ok(Message::Text(text))) => self.seen.push(serde_json::from_str(&text).unwrap()),
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))) | None => return None,
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// As a network that breaks: no close frame.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

/// The seqs of a conversation that a client got, each `changes` frame spelled out.
pub(crate) fn seqs(frames: &[Value], room: ConversationId) -> Vec<u64> {
    let mut seqs = Vec::new();
    for frame in frames.iter().filter(|frame| frame["conversation_id"] == room.to_string()) {
        match frame["type"].as_str() {
            Some("changes") => {
                seqs.extend(frame["changes"].as_array().unwrap().iter().filter_map(|c| c["seq"].as_u64()));
            }
            Some("message.created" | "message.updated" | "message.deleted") => seqs.extend(frame["seq"].as_u64()),
            _ => {}
        }
    }
    seqs
}
