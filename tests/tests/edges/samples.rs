//! A valid request of each body and command, with every field: what bad ones are made of. And the little world that
//! they are about.

use anyhow::Result;
use serde_json::{Value, json};
use starling_tests::cluster::Cluster;

use crate::{
    calls::Http,
    stage::{Actor, somebody, text},
};

/// What nobody has.
pub(crate) const UNKNOWN: &str = "01900000-0000-7000-8000-000000000000";

/// Ann, who is an admin of her org, in a group with Ben; and others of whom she may know nothing.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) http: Http,
    pub(crate) ann: Actor,
    pub(crate) ben: Actor,
    /// Of the same org, in no conversation with her.
    pub(crate) otto: Actor,
    /// Of another org.
    pub(crate) xia: Actor,
    pub(crate) group: String,
    /// Ann's message there.
    pub(crate) message: String,
    /// A reply in its thread.
    pub(crate) in_thread: String,
    /// A message in another group of the two.
    pub(crate) elsewhere: String,
    /// A group of Otto's, and his message there.
    pub(crate) ottos: (String, String),
    /// The same of the other org.
    pub(crate) xias: (String, String),
    pub(crate) report: String,
}

impl World {
    pub(crate) async fn new(cluster: &Cluster) -> Result<Self> {
        let http = Http::new(cluster)?;
        let ann = somebody(cluster, &http, "ann", "default", "admin").await?;
        let ben = somebody(cluster, &http, "ben", "default", "member").await?;
        let otto = somebody(cluster, &http, "otto", "default", "member").await?;
        let xia = somebody(cluster, &http, "xia", "elsewhere", "admin").await?;
        let (group, message) = talk(&http, &ann, &[&ben]).await?;
        let (_, elsewhere) = talk(&http, &ann, &[&ben]).await?;
        let ottos = talk(&http, &otto, &[]).await?;
        let xias = talk(&http, &xia, &[]).await?;
        let reply = json!({"content": "in a thread", "thread_root_id": message});
        let sent = http.done(&ben.token, &format!("POST /v1/conversations/{group}/messages"), reply).await?;
        let in_thread = text(&sent, "id")?;
        let spam = json!({"user_id": ben.id, "reason": "spam"});
        let report = text(&http.done(&otto.token, "POST /v1/reports", spam).await?, "id")?;
        Ok(Self { http, ann, ben, otto, xia, group, message, in_thread, elsewhere, ottos, xias, report })
    }

    /// An operation's path with what Ann has in place of its parameters.
    pub(crate) fn path(&self, line: &str) -> String {
        let id = match line.split("/v1/").nth(1).and_then(|path| path.split('/').next()) {
            Some("messages") => &self.message,
            Some("org") if line.contains("reports") => &self.report,
            Some("org" | "users") => &self.ben.id,
            _ => &self.group,
        };
        line.replace("{id}", id).replace("{user_id}", &self.ben.id)
    }

    /// Every operation with a body.
    pub(crate) fn bodies(&self) -> Vec<(&'static str, Value)> {
        let (ben, message, later) = (&self.ben.id, &self.message, "2100-01-01T00:00:00.000Z");
        let picture = "https://example.com/a.png";
        let subject = json!({"type": "listing", "id": "7", "title": "A chair", "url": "https://example.com/7"});
        let mut send = self.send();
        send.as_object_mut().map(|send| send.remove("conversation_id"));
        vec![
            ("POST /v1/announcements", json!({"title": "News", "content": "On Sunday.", "url": picture})),
            ("POST /v1/announcements/read", json!({"seq": 0})),
            ("POST /v1/auth/guest", json!({"username": "nobody-yet", "device": "phone"})),
            ("POST /v1/auth/login", json!({"username": "nobody", "password": "correct horse", "device": "phone"})),
            ("POST /v1/auth/logout", json!({"all": false})),
            ("POST /v1/auth/refresh", json!({"refresh_token": "none"})),
            (
                "POST /v1/auth/register",
                json!({"username": "nobody-yet", "password": "correct horse", "display_name": "N", "device": "phone"}),
            ),
            (
                "POST /v1/conversations",
                json!({
                    "kind": "group", "title": "New", "description": "Of chairs.", "avatar_url": picture,
                    "participant_ids": [ben], "subject": subject, "posting": "everyone", "history": "all",
                    "slow_mode_seconds": 0,
                }),
            ),
            (
                "PATCH /v1/conversations/{id}",
                json!({
                    "title": "New", "description": "Of chairs.", "avatar_url": picture, "posting": "admins",
                    "slow_mode_seconds": 5, "archived": true,
                }),
            ),
            ("POST /v1/conversations/{id}/delivered", json!({"seq": 1})),
            ("POST /v1/conversations/{id}/read", json!({"seq": 1})),
            ("POST /v1/conversations/{id}/messages", send),
            ("POST /v1/conversations/{id}/participants", json!({"user_ids": [self.otto.id]})),
            ("PATCH /v1/conversations/{id}/participants/{user_id}", json!({"role": "admin"})),
            (
                "PATCH /v1/conversations/{id}/preferences",
                json!({"notify": "none", "muted_until": later, "pinned": true}),
            ),
            ("POST /v1/conversations/{id}/typing", json!({"typing": true})),
            ("PATCH /v1/me", json!({"display_name": "A", "avatar_url": picture, "status_text": "away"})),
            ("PATCH /v1/me/notification-preferences", json!({"notify": "none", "muted_until": later})),
            ("PATCH /v1/messages/{id}", json!({"content": "new", "mentions": self.mentions()})),
            ("POST /v1/notifications/read", json!({"ids": [UNKNOWN]})),
            ("PATCH /v1/org/reports/{id}", json!({"status": "resolved"})),
            ("PATCH /v1/org/users/{id}", json!({"role": "admin", "disabled": true})),
            ("POST /v1/read", json!({"items": [{"conversation_id": self.group, "seq": 1}]})),
            ("POST /v1/reports", json!({"message_id": message, "user_id": ben, "reason": "spam", "comment": "again"})),
            ("POST /v1/tickets", json!({"for": "ws"})),
        ]
    }

    /// Every command, and which of its fields must be there.
    pub(crate) fn commands(&self) -> Vec<(&'static str, Value, &'static [&'static str])> {
        let (group, message) = (&self.group, &self.message);
        let of_message = json!({"message_id": message});
        let of_group = json!({"conversation_id": group});
        let mark = json!({"conversation_id": group, "seq": 1});
        let react = json!({"message_id": message, "emoji": "👍"});
        let watch = json!({"user_ids": [self.ben.id]});
        let resume = json!({"epoch": "x", "user_seq": 1, "cursors": {group: 1}, "announcement_seq": 1});
        vec![
            ("hello", json!({"token": self.ann.token, "resume": resume}), &[]),
            ("message.send", self.send(), &["conversation_id", "client_id"]),
            (
                "message.edit",
                json!({"message_id": message, "content": "new", "mentions": self.mentions()}),
                &["message_id", "content"],
            ),
            ("message.delete", of_message.clone(), &["message_id"]),
            ("message.pin", of_message.clone(), &["message_id"]),
            ("message.unpin", of_message, &["message_id"]),
            ("reaction.add", react.clone(), &["message_id", "emoji"]),
            ("reaction.remove", react, &["message_id", "emoji"]),
            ("typing.start", of_group.clone(), &["conversation_id"]),
            ("typing.stop", of_group, &["conversation_id"]),
            ("presence.set", json!({"state": "away", "focus": group}), &["state"]),
            ("presence.watch", watch.clone(), &["user_ids"]),
            ("presence.unwatch", watch, &["user_ids"]),
            ("receipt.read", mark.clone(), &["conversation_id", "seq"]),
            ("receipt.delivered", mark, &["conversation_id", "seq"]),
            ("changes.get", json!({"conversation_id": group, "after": 0, "limit": 10}), &["conversation_id", "after"]),
            ("auth.renew", json!({"token": self.ann.token}), &["token"]),
            ("ping", json!({}), &[]),
        ]
    }

    /// A message with everything.
    fn send(&self) -> Value {
        json!({
            "conversation_id": self.group, "content": "@ben", "client_id": "never-sent", "reply_to_id": self.message,
            "thread_root_id": self.message, "mentions": self.mentions(),
            "attachments": [{
                "kind": "image", "url": "https://example.com/a.png", "name": "a.png", "media_type": "image/png",
                "byte_size": 1, "width": 1, "height": 1, "duration_ms": 1,
                "thumbnail_url": "https://example.com/b.png",
            }],
        })
    }

    fn mentions(&self) -> Value {
        json!([{"offset": 0, "length": 3, "user_id": self.ben.id}])
    }
}

/// A group of somebody and others, and a message in it.
async fn talk(http: &Http, who: &Actor, others: &[&Actor]) -> Result<(String, String)> {
    let ids: Vec<_> = others.iter().map(|other| &other.id).collect();
    let body = json!({"kind": "group", "title": "A group", "participant_ids": ids});
    let group = text(&http.done(&who.token, "POST /v1/conversations", body).await?, "id")?;
    let send = format!("POST /v1/conversations/{group}/messages");
    let message = text(&http.done(&who.token, &send, json!({"content": "the first"})).await?, "id")?;
    Ok((group, message))
}
