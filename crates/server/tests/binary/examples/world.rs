//! People, conversations and messages that the placeholders of the examples stand for. Each world is an org of its own,
//! so that one example does not meet what another one did.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use starling_tests::client::Socket;

use super::SECRET;
use crate::support::client;

/// Marks what a test does last: a time that no example has, fit as a `client_id` too.
const LAST: &str = "2098-12-31T00:00:00.000Z";

static WORLDS: AtomicU64 = AtomicU64::new(0);

/// Whom and what the examples name.
pub(super) struct World {
    /// Token of the caller: an admin of the org, signed in by another system.
    pub(super) me: String,
    /// Token of somebody who signed in here, and so has sessions.
    pub(super) signed_in: String,
    /// By placeholder, what is put in.
    real: Vec<(&'static str, String)>,
}

/// How a call ended.
pub(super) struct Answered {
    pub(super) status: u16,
    /// Null without a body, a string when it is no JSON.
    pub(super) body: Value,
}

/// Calls to one server, over connections that are kept.
pub(super) struct Rest {
    pub(super) base: String,
    http: reqwest::Client,
}

impl Rest {
    pub(super) fn new(base: &str) -> Self {
        Self { base: base.into(), http: client() }
    }
}

/// One call.
pub(super) async fn rest(to: &Rest, token: &str, method: &str, address: &str, body: Option<Value>) -> Answered {
    let mut request = to.http.request(method.parse().unwrap(), format!("{}{address}", to.base));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    };
    Answered { status, body }
}

/// A token as another system signs it.
fn token(org: &str, name: &str, role: &str) -> String {
    let exp = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_mins(10);
    let claims = json!({ "sub": name, "exp": exp.as_secs(), "org": org, "preferred_username": name, "role": role });
    chat::mint_external(SECRET.as_bytes(), &serde_json::from_value(claims).unwrap()).unwrap()
}

impl World {
    /// With somebody who signed in here as well when the example is about that: passwords cost time.
    pub(super) async fn make(to: &Rest, signs_in: bool) -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let org = format!("org-{number}");
        let (me, user) = (token(&org, "ann", "admin"), token(&org, "bob", "member"));
        let call = async |token: &str, line: &str, body: Value| {
            let (method, path) = line.split_once(' ').unwrap();
            let answer = rest(to, token, method, path, (!body.is_null()).then_some(body)).await;
            assert!(answer.status < 300, "{line}: {} {}", answer.status, answer.body);
            answer.body
        };
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let me_id = id(&call(&me, "GET /v1/me", Value::Null).await);
        let user_id = id(&call(&user, "GET /v1/me", Value::Null).await);
        let make = async |token: &str, kind: &str, others: &[&String]| {
            let body = json!({ "kind": kind, "title": kind, "participant_ids": others });
            id(&call(token, "POST /v1/conversations", body).await)
        };
        let conversation = make(&me, "group", &[&user_id]).await;
        let room = make(&user, "public", &[]).await;
        let joined = make(&user, "group", &[&me_id]).await;
        let messages = format!("POST /v1/conversations/{conversation}/messages");
        let message = call(&me, &messages, json!({ "content": "Hello everybody", "client_id": "1" })).await;
        let reply = json!({ "content": "hello @ann", "reply_to_id": message["id"], "thread_root_id": message["id"] });
        let reported = call(&user, &messages, reply).await;
        let reacted = format!("PUT /v1/messages/{}/reactions/%F0%9F%91%8D", id(&message));
        call(&user, &reacted, Value::Null).await;
        let report = json!({ "user_id": me_id, "reason": "other" });
        let report = call(&user, "POST /v1/reports", report).await;
        call(&me, "POST /v1/announcements", json!({ "title": "Welcome", "content": "To all." })).await;
        let told = call(&me, "GET /v1/notifications", Value::Null).await;
        let notification = id(&told["items"][0]);
        let connected = Socket::with_token(&to.base, &me).await.unwrap().until("connected").await.unwrap();
        let epoch = connected["data"]["epoch"].as_str().unwrap().to_owned();
        let [signed_in, refresh_token, session] = if signs_in { sign_in(to).await } else { Default::default() };
        let real = vec![
            ("me", me_id),
            ("user", user_id),
            ("conversation", conversation),
            ("room", room),
            ("joined", joined),
            ("message", id(&message)),
            ("reported", id(&reported)),
            ("session", session),
            ("report", id(&report)),
            ("notification", notification),
            ("access_token", me.clone()),
            ("refresh_token", refresh_token),
            ("epoch", epoch),
        ];
        Self { me, signed_in, real }
    }

    /// Changes the caller's settings: a feed is in order, so what was told of it before comes before this.
    pub(super) async fn change_preferences(&self, to: &Rest) {
        let body = json!({ "muted_until": LAST });
        let answer = rest(to, &self.me, "PATCH", "/v1/me/notification-preferences", Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Whether an event tells of [`Self::change_preferences`].
    pub(super) fn is_last_of_feed(event: &Value) -> bool {
        event["type"] == "notification_preferences.updated" && event["data"]["muted_until"] == LAST
    }

    /// Sends a message in the examples' conversation: its events are in order as well.
    pub(super) async fn say_something(&self, to: &Rest) {
        let body = json!({ "content": "That was all.", "client_id": LAST });
        let path = format!("/v1/conversations/{}/messages", self.real_one("conversation"));
        let answer = rest(to, &self.me, "POST", &path, Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Whether an event tells of [`Self::say_something`].
    pub(super) fn is_last_of_conversation(event: &Value) -> bool {
        event["type"] == "message.created" && event["data"]["client_id"] == LAST
    }

    fn real_one(&self, name: &str) -> &str {
        let (_, real) = self.real.iter().find(|(known, _)| *known == name).expect(name);
        real
    }

    /// The text with what is real in place of each placeholder.
    pub(super) fn put_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, placeholder) in api::PLACEHOLDERS {
            text = text.replace(placeholder, self.real_one(name));
        }
        text
    }
}

/// Somebody of the login's own example: their access token, refresh token and session.
async fn sign_in(to: &Rest) -> [String; 3] {
    let login = json!({ "username": "bea", "password": "correct horse battery staple" });
    let mut session = rest(to, "", "POST", "/v1/auth/login", Some(login.clone())).await;
    if session.status == 401 {
        // The first time on this server.
        session = rest(to, "", "POST", "/v1/auth/register", Some(login)).await;
    }
    let token = session.body["access_token"].as_str().unwrap();
    let sessions = rest(to, token, "GET", "/v1/auth/sessions", None).await;
    [&session.body["access_token"], &session.body["refresh_token"], &sessions.body["items"][0]["id"]]
        .map(|text| text.as_str().unwrap().to_owned())
}
