//! One embedded server per test, and a way to call it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use api::ApiConfig;
use axum::{Router, body::Body, extract::Request, response::Response};
use bus::local::LocalBus;
use chat::{AuthConfig, Chat, ChatConfig, Clock, ExternalClaims};
use http::{HeaderMap, Method, StatusCode, header};
use prometheus::Registry;
use protocol::Timestamp;
use serde_json::{Value, json};
use store::{
    Store,
    sqlite::{SqliteConfig, SqliteStore},
};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const SECRET: &[u8] = b"a secret of the tests, 32 bytes+";

/// The machine's time plus what a test has skipped.
#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn skip(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let now = chat::SystemClock.now().unix_millis() + self.0.load(Ordering::SeqCst);
        Timestamp::from_unix_millis(now).unwrap()
    }
}

pub(crate) struct Server {
    router: Router,
    pub(crate) chat: Chat,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) registry: Registry,
    bus: LocalBus,
    /// `METHOD /path` of the document, of every call that succeeded.
    pub(crate) walked: Mutex<BTreeSet<String>>,
    /// Removed with the last node.
    dir: Arc<TempDir>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(auth(), ApiConfig::default()).await
    }

    pub(crate) async fn with(auth: AuthConfig, config: ApiConfig) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let store = Arc::new(SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap());
        store.migrate().await.unwrap();
        Self::node(store, LocalBus::start(), Arc::default(), dir, auth, config)
    }

    /// Another node of the same cluster.
    pub(crate) fn another(&self) -> Self {
        let (store, bus, clock) = (Arc::clone(&self.store), self.bus.node(), Arc::clone(&self.clock));
        Self::node(store, bus, clock, Arc::clone(&self.dir), auth(), ApiConfig::default())
    }

    fn node(
        store: Arc<SqliteStore>,
        bus: LocalBus,
        clock: Arc<TestClock>,
        dir: Arc<TempDir>,
        auth: AuthConfig,
        api: ApiConfig,
    ) -> Self {
        let registry = Registry::new();
        let config = ChatConfig { auth, ..ChatConfig::default() };
        let (store_dyn, bus_dyn, clock_dyn) =
            (Arc::clone(&store) as _, Arc::new(bus.node()) as _, Arc::clone(&clock) as _);
        let chat = Chat::new(store_dyn, bus_dyn, chat::Env::system().with_clock(clock_dyn), config, &registry).unwrap();
        let router = api::router(chat.clone(), api, &registry).unwrap();
        Self { router, chat, store, clock, registry, bus, walked: Mutex::default(), dir }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        Answer::read(response).await
    }

    /// `"POST /v1/me"`, with a JSON body unless it is null.
    pub(crate) async fn call(&self, token: &str, line: &str, body: Value) -> Answer {
        let mut request = request(line);
        if !token.is_empty() {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        if !body.is_null() {
            request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body.to_string());
        }
        let answer = self.send(request).await;
        if answer.status.is_success() {
            self.walked.lock().unwrap().insert(line.split('?').next().unwrap().to_owned());
        }
        answer
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, &format!("GET {path}"), Value::Null).await
    }

    /// Signs a guest in: their access token and id.
    pub(crate) async fn guest(&self, name: &str) -> (String, String) {
        let answer = self.call("", "POST /v1/auth/guest", json!({"username": name})).await.expect(201);
        (text(&answer, "access_token"), text(&answer["user"], "id"))
    }

    /// The token of an admin of the org.
    pub(crate) async fn admin(&self, subject: &str) -> String {
        let mut wanted = claims(subject);
        wanted.role = Some("admin".into());
        let token = mint(&wanted);
        assert_eq!(self.get(&token, "/v1/me").await.expect(200)["role"], "admin");
        token
    }

    /// A group of its creator and others.
    pub(crate) async fn group(&self, token: &str, others: &[&str]) -> String {
        let body = json!({"kind": "group", "title": "Group", "participant_ids": others});
        text(&self.call(token, "POST /v1/conversations", body).await.expect(201), "id")
    }
}

pub(crate) fn auth() -> AuthConfig {
    AuthConfig { secret: Some(SECRET.to_vec()), guest_sign_in: true, ..AuthConfig::default() }
}

pub(crate) fn claims(subject: &str) -> ExternalClaims {
    let exp = (chat::SystemClock.now().unix_millis() / 1_000 + 600) as u64;
    serde_json::from_value(json!({"sub": subject, "exp": exp})).unwrap()
}

pub(crate) fn mint(claims: &ExternalClaims) -> String {
    chat::mint_external(SECRET, claims).unwrap()
}

pub(crate) fn request(line: &str) -> Request {
    let (method, path) = line.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null when there is no body, a string when it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000_000).await.unwrap();
        let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        let body = match bytes.is_empty() {
            true => Value::Null,
            false if is_json => serde_json::from_slice(&bytes).unwrap(),
            false => Value::String(String::from_utf8(bytes.to_vec()).unwrap()),
        };
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Asserts that this is a whole problem document with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        self.body
    }

    /// As [`Self::refused`] with `invalid` and this field.
    #[track_caller]
    pub(crate) fn invalid(self, field: &str) {
        let body = self.refused(400, "invalid");
        assert_eq!(body["errors"][0]["field"], field, "{body}");
    }
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// Waits until it is so, at most five seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds().await {
        assert!(Instant::now() < end, "not within five seconds: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
