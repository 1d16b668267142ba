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

/// One call.
pub(super) async fn rest(base: &str, token: &str, method: &str, address: &str, body: Option<Value>) -> Answered {
    let mut request = client().request(method.parse().unwrap(), format!("{base}{address}"));
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
    let exp = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(600);
    let claims = json!({ "sub": name, "exp": exp.as_secs(), "org": org, "preferred_username": name, "role": role });
    chat::mint_external(SECRET.as_bytes(), &serde_json::from_value(claims).unwrap()).unwrap()
}

impl World {
    pub(super) async fn make(base: &str) -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let org = format!("org-{number}");
        let (me, user) = (token(&org, "ann", "admin"), token(&org, "bob", "member"));
        let call = async |token: &str, line: &str, body: Value| {
            let (method, path) = line.split_once(' ').unwrap();
            let answer = rest(base, token, method, path, (!body.is_null()).then_some(body)).await;
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
        let epoch = match Socket::with_token(base, &me).await.unwrap().until("connected").await.unwrap() {
            frame => frame["data"]["epoch"].as_str().unwrap().to_owned(),
        };
        // Somebody of the login's own example, on two devices.
        let login = json!({ "username": "bea", "password": "correct horse battery staple" });
        if number == 0 {
            rest(base, "", "POST", "/v1/auth/register", Some(login.clone())).await;
        }
        let session = call("", "POST /v1/auth/login", login).await;
        let signed_in = session["access_token"].as_str().unwrap().to_owned();
        let refresh_token = session["refresh_token"].as_str().unwrap().to_owned();
        let sessions = call(&signed_in, "GET /v1/auth/sessions", Value::Null).await;
        let session = id(&sessions["items"][0]);
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

    /// The text with what is real in place of each placeholder.
    pub(super) fn put_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, placeholder) in api::PLACEHOLDERS {
            let (_, real) = self.real.iter().find(|(known, _)| known == name).expect(name);
            text = text.replace(placeholder, real);
        }
        text
    }
}
