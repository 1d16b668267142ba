//! Somebody who uses a chat: one thing after the other, drawn from their seed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use protocol::{ConversationId, Message, MessageKind, UserId};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    deeds::{Book, Call},
    device::Device,
    look,
    people::{People, Someone},
};
use crate::audit::{Deed, token};

const EMOJIS: [&str; 3] = ["👍", "🎉", "😂"];

/// One person's life in a round.
pub(super) struct Actor {
    draw: StdRng,
    me: Arc<Someone>,
    book: Arc<Book>,
    others: Vec<UserId>,
    names: Vec<String>,
    own: ConversationId,
    rooms: Vec<ConversationId>,
    probes: ConversationId,
    pause: Duration,
    stop: Arc<AtomicBool>,
}

impl Actor {
    pub(super) fn new(people: &People, at: usize, seed: u64, pause: Duration, stop: Arc<AtomicBool>) -> Self {
        let me = Arc::clone(&people.all[at]);
        let others = people.all.iter().map(|someone| someone.id).filter(|id| *id != me.id).collect();
        Self {
            draw: StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(at as u64)),
            me,
            book: Arc::clone(&people.book),
            others,
            names: people.all.iter().map(|someone| someone.name.clone()).chain(["all".into()]).collect(),
            own: people.groups[at],
            rooms: people.rooms.clone(),
            probes: people.probes,
            pause,
            stop,
        }
    }

    pub(super) async fn run(mut self) {
        while !self.stop.load(Relaxed) {
            let pause = self.pause.mul_f64(self.draw.random_range(0.2..1.8));
            sleep(pause).await;
            self.act().await;
        }
    }

    async fn act(&mut self) {
        let Some(device) = self.me.devices.choose(&mut self.draw).cloned() else { return };
        // Their first one is a socket.
        let speaker = if device.client().is_some() { &device } else { &self.me.devices[0] }.clone();
        match self.draw.random_range(0..100) {
            0..45 => self.send(&device).await,
            45..53 => self.edit(&device).await,
            53..56 => self.delete(&speaker).await,
            56..67 => self.react(&speaker).await,
            67..69 => self.pin(&device).await,
            69..79 => self.read(&device).await,
            79..83 => self.signal(&speaker).await,
            83..88 => self.member().await,
            88..90 => self.come_or_go().await,
            90..91 => self.create().await,
            91..92 => self.arrange(&device).await,
            92..93 => self.change().await,
            93..94 => self.list(&device).await,
            94..97 => drop(device.break_connection().await),
            _ => self.away(&device).await,
        }
    }

    /// A conversation that the device knows.
    fn somewhere(&mut self, device: &Device) -> Option<ConversationId> {
        let mut known: Vec<_> = device.look(|view| {
            let here = view.timelines.iter().filter(|(_, timeline)| !timeline.gone);
            here.map(|(id, _)| *id).filter(|id| *id != self.probes).collect()
        });
        // Maps have no order; a seed has.
        known.sort_unstable();
        known.choose(&mut self.draw).copied()
    }

    /// One of the last messages there that is not deleted, anybody's or one's own.
    fn message(&mut self, device: &Device, own: bool) -> Option<Message> {
        let (id, me) = (self.somewhere(device)?, self.me.id);
        let known: Vec<_> = device.look(|view| {
            let messages = view.timelines.get(&id).into_iter().flat_map(|timeline| timeline.messages.values().rev());
            let texts = messages.filter(|message| message.kind == MessageKind::Text && message.deleted_at.is_none());
            texts.filter(|message| !own || message.sender.id == me).take(15).cloned().collect()
        });
        known.choose(&mut self.draw).cloned()
    }

    async fn send(&mut self, device: &Device) {
        let Some(conversation) = self.somewhere(device) else { return };
        let (token, client_id) = (self.book.token(), uuid::Uuid::new_v4().to_string());
        let mut content = format!("{token} says {}", self.draw.random_range(0..1_000));
        if self.draw.random_bool(0.2)
            && let Some(name) = self.names.choose(&mut self.draw)
        {
            content = format!("{content} to @{name}");
        }
        let deed = Some(Deed::Send { conversation, client_id: client_id.clone(), content: content.clone() });
        let mut fields = json!({"content": content, "client_id": client_id});
        if self.draw.random_bool(0.2)
            && let Some(message) = self.message(device, false)
            && message.conversation_id == conversation
        {
            let field = if message.thread_root_id.is_none() { "thread_root_id" } else { "reply_to_id" };
            fields[field] = json!(message.id);
        }
        if self.draw.random() || device.client().is_none() {
            let path = format!("conversations/{conversation}/messages");
            let call = Call { method: Method::POST, path, body: Some(fields) };
            self.book.call("send (REST)", self.me.id, &self.me.rest, call, deed).await;
        } else {
            fields["conversation_id"] = json!(conversation);
            self.book.say("send (socket)", device, "message.send", fields, deed).await;
        }
    }

    async fn edit(&mut self, device: &Device) {
        let Some(Message { id: message, conversation_id: conversation, content, .. }) = self.message(device, true)
        else {
            return;
        };
        let content = format!("{} is edited {}", token(&content), self.book.token());
        let deed = Some(Deed::Edit { conversation, message, content: content.clone() });
        if self.draw.random() || device.client().is_none() {
            let call = Call {
                method: Method::PATCH,
                path: format!("messages/{message}"),
                body: Some(json!({"content": content})),
            };
            self.book.call("edit (REST)", self.me.id, &self.me.rest, call, deed).await;
        } else {
            let fields = json!({"message_id": message, "content": content});
            self.book.say("edit (socket)", device, "message.edit", fields, deed).await;
        }
    }

    async fn delete(&mut self, device: &Device) {
        let Some(Message { id: message, conversation_id: conversation, .. }) = self.message(device, true) else {
            return;
        };
        let deed = Some(Deed::Delete { conversation, message });
        self.book.say("delete", device, "message.delete", json!({"message_id": message}), deed).await;
    }

    async fn react(&mut self, device: &Device) {
        let Some(Message { id: message, conversation_id: conversation, .. }) = self.message(device, false) else {
            return;
        };
        let (emoji, on) = (EMOJIS[self.draw.random_range(0..EMOJIS.len())], self.draw.random_bool(0.7));
        let deed = Some(Deed::React { conversation, message, emoji: emoji.into(), on });
        let kind = if on { "reaction.add" } else { "reaction.remove" };
        self.book.say("react", device, kind, json!({"message_id": message, "emoji": emoji}), deed).await;
    }

    async fn pin(&mut self, device: &Device) {
        let Some(Message { id: message, conversation_id: conversation, .. }) = self.message(device, false) else {
            return;
        };
        let on = self.draw.random_bool(0.6);
        let call = Call {
            method: if on { Method::PUT } else { Method::DELETE },
            path: format!("messages/{message}/pin"),
            body: None,
        };
        let deed = Some(Deed::Pin { conversation, message, on });
        self.book.call("pin", self.me.id, &self.me.rest, call, deed).await;
    }

    async fn read(&mut self, device: &Device) {
        let Some(conversation) = self.somewhere(device) else { return };
        let Some(seq) = device.look(|view| view.cursor(conversation)) else { return };
        let deed = Some(Deed::Read { conversation, seq });
        if self.draw.random_bool(0.3) || device.client().is_none() {
            let path = format!("conversations/{conversation}/read");
            let call = Call { method: Method::POST, path, body: Some(json!({"seq": seq})) };
            self.book.call("read (REST)", self.me.id, &self.me.rest, call, deed).await;
        } else {
            let kind = if self.draw.random_bool(0.7) { "receipt.read" } else { "receipt.delivered" };
            let deed = deed.filter(|_| kind == "receipt.read");
            let fields = json!({"conversation_id": conversation, "seq": seq});
            self.book.say("read (socket)", device, kind, fields, deed).await;
        }
    }

    /// What is not kept: typing, presence.
    async fn signal(&mut self, device: &Device) {
        let Some(conversation) = self.somewhere(device) else { return };
        let (kind, fields) = if self.draw.random() {
            ("typing.start", json!({"conversation_id": conversation}))
        } else {
            ("presence.set", json!({"state": if self.draw.random() { "active" } else { "away" }}))
        };
        self.book.count("signal");
        // Once: a lost signal is nobody's loss.
        if let Some(client) = device.client() {
            let _ = client.command(kind, fields).await;
        }
    }

    /// Adds somebody to one's own group, or removes them.
    async fn member(&mut self) {
        let Some(who) = self.others.choose(&mut self.draw).copied() else { return };
        let (conversation, on) = (self.own, self.draw.random_bool(0.6));
        let path = format!("conversations/{conversation}/participants");
        let call = if on {
            Call { method: Method::POST, path, body: Some(json!({"user_ids": [who]})) }
        } else {
            Call { method: Method::DELETE, path: format!("{path}/{who}"), body: None }
        };
        let deed = Some(Deed::Member { conversation, who, on });
        let what = if on { "add a member" } else { "remove a member" };
        self.book.call(what, self.me.id, &self.me.rest, call, deed).await;
    }

    /// Joins a room or leaves it.
    async fn come_or_go(&mut self) {
        let Some(conversation) = self.rooms.choose(&mut self.draw).copied() else { return };
        let on = self.draw.random_bool(0.6);
        let path = format!("conversations/{conversation}/{}", if on { "join" } else { "leave" });
        let call = Call { method: Method::POST, path, body: None };
        let deed = Some(Deed::Member { conversation, who: self.me.id, on });
        self.book.call(if on { "join" } else { "leave" }, self.me.id, &self.me.rest, call, deed).await;
    }

    async fn create(&mut self) {
        let Some(other) = self.others.choose(&mut self.draw).copied() else { return };
        let body: Value = if self.draw.random() {
            json!({"kind": "direct", "participant_ids": [other]})
        } else {
            json!({"kind": "group", "title": "another one", "participant_ids": [other]})
        };
        let call = Call { method: Method::POST, path: "conversations".into(), body: Some(body) };
        self.book.call("create", self.me.id, &self.me.rest, call, None).await;
    }

    /// Pins a conversation in one's list, or mutes it.
    async fn arrange(&mut self, device: &Device) {
        let Some(conversation) = self.somewhere(device) else { return };
        let on = self.draw.random_bool(0.6);
        let far = on.then_some("2100-01-01T00:00:00.000Z");
        let body = if self.draw.random() { json!({"pinned": on}) } else { json!({"muted_until": far}) };
        let path = format!("conversations/{conversation}/preferences");
        let call = Call { method: Method::PATCH, path, body: Some(body) };
        self.book.call("arrange the list", self.me.id, &self.me.rest, call, None).await;
    }

    /// Renames one's own group, or archives it for a while.
    async fn change(&mut self) {
        let changes = match self.draw.random_range(0..4) {
            0 => vec![json!({"archived": true}), json!({"archived": false})],
            _ => vec![json!({"title": format!("group {}", self.draw.random_range(0..100))})],
        };
        for body in changes {
            let path = format!("conversations/{}", self.own);
            let call = Call { method: Method::PATCH, path, body: Some(body) };
            self.book.call("rename or archive", self.me.id, &self.me.rest, call, None).await;
        }
    }

    /// Fetches the list on a device that has one, as an app does that is opened again. One beside which events began to
    /// flow anew is not kept: which of the two is older, nothing tells.
    async fn list(&mut self, device: &Device) {
        self.book.count("list");
        let (before, asked) = (device.connections(), self.book.now());
        let conversations = look::conversations(&self.me).await.ok();
        if let Some(conversations) = conversations.filter(|_| device.connections() == before) {
            device.listed(asked, conversations);
        }
    }

    /// Turns a device off for a moment.
    async fn away(&mut self, device: &Device) {
        let moment = Duration::from_millis(self.draw.random_range(200..3_000));
        self.book.count("turn a device off");
        device.away.store(true, Relaxed);
        let _ = device.offline().await;
        sleep(moment).await;
        let _ = device.online().await;
        device.away.store(false, Relaxed);
    }
}
