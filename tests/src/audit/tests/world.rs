//! A small clean world to break: Ana makes a group with Ben, writes t1, Ben writes t2, Ana edits t1.

use std::time::Duration;

use protocol::{Conversation, ConversationId, Message, MessageId, Receipt, Seq, UserId};
use serde_json::{Value, json};

use crate::audit::{
    Act, Deed, DeviceLog, Entry, Happened, History, Log, Looked, Outcome, OwnAct, OwnDeed, Theirs, Truth, Violation,
    judge,
};

const NOW: &str = "2026-01-01T00:00:00.000Z";

pub(super) struct World {
    pub(super) ana: UserId,
    pub(super) ben: UserId,
    pub(super) id: ConversationId,
    ids: Vec<MessageId>,
    pub(super) log: Log,
    pub(super) truth: Truth,
}

impl World {
    /// Frames of both devices: 0 opened, 1 connected, 2 said hello, 3 its reply, 4 conversation.created, 5 t1, 6 t2,
    /// 7 the edit.
    pub(super) fn new() -> Self {
        let (ana, ben, id) = (UserId::generate(), UserId::generate(), ConversationId::generate());
        let ids = (0..10).map(|_| MessageId::generate()).collect();
        let mut world = Self { ana, ben, id, ids, log: Log::default(), truth: Truth::default() };
        world.log.users = vec![ana, ben];

        let (first, t2) = (world.message(2, 2, "t1 hello"), world.message(3, 3, "t2 ho"));
        let edited = world.message(2, 4, "t1 hello, edited");
        let system = world.created();
        let messages = [system, edited.clone(), t2.clone()];
        let history = History::of(4, messages);
        for user in [ana, ben] {
            let receipts = [ana, ben].map(|user_id| Receipt {
                conversation_id: id,
                user_id,
                delivered_seq: 3,
                read_seq: 3,
                read_number: 2,
            });
            let theirs = Theirs {
                memberships: [(id, 0)].into(),
                sees: [(id, history.messages.clone())].into(),
                receipts: receipts.into(),
                feed_head: 1,
                feed: vec![1],
                ..Theirs::default()
            };
            world.truth.users.insert(user, theirs);
        }
        world.truth.conversations.insert(id, history);

        for user in [ana, ben] {
            world.log.devices.push(DeviceLog { user, entries: Vec::new(), settled: true });
        }
        for device in 0..2 {
            world.connect(device, &Value::Null, 0);
            let new = json!({"type": "conversation.created", "user_seq": 1, "data": world.conversation(1)});
            world.hear(device, new);
            world.hear(device, world.event("message.created", &first));
            world.hear(device, world.event("message.created", &t2));
            world.hear(device, world.event("message.updated", &edited));
        }

        world.act(
            2,
            ana,
            Deed::Send { conversation: id, client_id: "c1".into(), content: first.content.clone() },
            first,
        );
        world.act(3, ben, Deed::Send { conversation: id, client_id: "c2".into(), content: t2.content.clone() }, t2);
        let message = edited.id;
        world.act(4, ana, Deed::Edit { conversation: id, message, content: edited.content.clone() }, edited);

        let unread = json!({"unread_count": 0, "conversation_count": 0, "mention_count": 0, "notification_count": 0,
            "announcement_count": 0});
        let unread = Some(serde_json::from_value(unread).unwrap());
        for user in [ana, ben] {
            let conversations = vec![world.conversation(4)];
            world.log.looked.push(Looked { user, conversations, unread });
        }
        world
    }

    /// Ben was removed by step 5.
    pub(super) fn removed() -> Self {
        let mut world = Self::new();
        let (ben, id) = (world.ben, world.id);
        let mut removal = world.message(5, 5, "");
        removal.kind = protocol::MessageKind::System;
        removal.number = 2;
        removal.system =
            Some(serde_json::from_value(json!({"type": "participant.removed", "user": person(ben)})).unwrap());
        world.hear_all(&world.event("message.created", &removal));
        world.store_change(&removal);
        world.hear(
            1,
            json!({"type": "participant.removed", "user_seq": 2,
            "data": {"conversation_id": id, "user_id": ben}}),
        );
        let theirs = Theirs { feed_head: 2, feed: vec![2], ..Theirs::default() };
        world.truth.users.insert(ben, theirs);
        world.log.looked.clear();
        world
    }

    /// And was added again by step 7, where newcomers see what comes; step 6 is a text of in between.
    pub(super) fn again() -> Self {
        let mut world = Self::removed();
        let (ben, id) = (world.ben, world.id);
        world.log.since_join.insert(id);
        let mut adding = world.message(7, 7, "");
        adding.kind = protocol::MessageKind::System;
        adding.system =
            Some(serde_json::from_value(json!({"type": "participant.added", "users": [person(ben)]})).unwrap());
        for message in [world.message(6, 6, "t3 between"), adding.clone()] {
            world.hear(0, world.event("message.created", &message));
            world.store_change(&message);
        }
        let new = json!({"type": "conversation.created", "user_seq": 3, "data": world.conversation(7)});
        world.hear(1, new);
        let (memberships, sees) = ([(id, 6)].into(), [(id, [(7, adding)].into())].into());
        let theirs = Theirs { memberships, sees, feed_head: 3, feed: vec![2, 3], ..Theirs::default() };
        world.truth.users.insert(ben, theirs);
        world
    }

    pub(super) fn judge(&self) -> Vec<Violation> {
        judge(&self.log, &self.truth)
    }

    /// Changes the conversation, and what each user has.
    pub(super) fn truth(&mut self, mut change: impl FnMut(&mut History, &mut Theirs)) {
        let mut history = self.truth.conversations.remove(&self.id).unwrap();
        for theirs in self.truth.users.values_mut() {
            let mut of_one = history.clone();
            change(&mut of_one, theirs);
            if let Some(sees) = theirs.sees.get_mut(&self.id) {
                sees.clone_from(&of_one.messages);
            }
        }
        change(&mut history, &mut Theirs::default());
        self.truth.conversations.insert(self.id, history);
    }

    /// Stores a message, new or in another state; lists are no longer judged.
    pub(super) fn store_change(&mut self, message: &Message) {
        self.log.looked.clear();
        let message = message.clone();
        self.truth(|history, _| {
            let messages = history.messages.values().filter(|old| old.seq != message.seq).cloned();
            let members = history.members.clone();
            *history = History::of(history.head.max(message.changed_seq), messages.chain([message.clone()]));
            if history.members.is_empty() {
                history.members = members;
            }
        });
    }

    pub(super) fn id_of(&self, place: usize) -> MessageId {
        self.ids[place]
    }

    pub(super) fn message(&self, place: Seq, changed: Seq, content: &str) -> Message {
        let sender = if content.starts_with("t2") { self.ben } else { self.ana };
        let number = if place <= 3 { place - 1 } else { 3 };
        serde_json::from_value(json!({
            "id": self.ids[place as usize], "conversation_id": self.id, "seq": place, "changed_seq": changed,
            "number": number, "kind": "text", "sender": person(sender), "content": content, "system": null,
            "client_id": format!("c{}-{place}", content.len()), "reply_to": null, "thread_root_id": null, "thread": null,
            "mentions": [], "attachments": [], "reactions": [], "pinned_at": null,
            "edited_at": (changed > place).then_some(NOW), "deleted_at": null, "created_at": NOW,
        }))
        .unwrap()
    }

    fn created(&self) -> Message {
        let mut message = self.message(1, 1, "");
        message.kind = protocol::MessageKind::System;
        let users = [person(self.ana), person(self.ben)];
        message.system = Some(serde_json::from_value(json!({"type": "conversation.created", "users": users})).unwrap());
        message
    }

    fn conversation(&self, head: Seq) -> Conversation {
        serde_json::from_value(json!({
            "id": self.id, "kind": "group", "title": "g", "description": null, "avatar_url": null, "subject": null,
            "other": null, "other_presence": null, "other_delivered_seq": null, "other_read_seq": null,
            "role": "member", "posting": "everyone", "history": "all", "slow_mode_seconds": 0, "notify": "all",
            "participant_count": 2, "last_seq": head, "last_message": null, "last_activity_at": NOW, "last_number": 2,
            "unread_count": 0, "mention_count": 0, "mention_seqs": [], "read_seq": 3, "read_number": 2,
            "muted_until": null, "pinned_at": null, "archived_at": null, "created_at": NOW,
        }))
        .unwrap()
    }

    pub(super) fn event(&self, kind: &str, message: &Message) -> Value {
        json!({"type": kind, "conversation_id": self.id, "seq": message.changed_seq, "data": message})
    }

    fn act(&mut self, second: u64, user: UserId, deed: Deed, message: Message) {
        let (at, until) = (Duration::from_secs(second), Duration::from_millis(second * 1_000 + 500));
        self.log.acts.push(Act { at, until, user, deed, outcome: Outcome::Done(Some(Box::new(message))) });
    }

    // ---- what devices hear

    pub(super) fn push(&mut self, device: usize, what: Happened) {
        let entries = &mut self.log.devices[device].entries;
        let at = Duration::from_millis(entries.len() as u64 * 500);
        entries.push(Entry { at, what });
    }

    pub(super) fn hear(&mut self, device: usize, frame: Value) {
        self.push(device, Happened::Heard(frame));
    }

    pub(super) fn say(&mut self, device: usize, frame: Value) {
        self.push(device, Happened::Said(frame));
    }

    /// Its connection ends.
    pub(super) fn end(&mut self, device: usize) {
        self.push(device, Happened::Closed(1006));
    }

    /// It fetched its list, which was empty, as this entry.
    pub(super) fn insert_listed(&mut self, device: usize, entry: usize) {
        let at = self.log.devices[device].entries[entry - 1].at;
        self.log.devices[device]
            .entries
            .insert(entry, Entry { at, what: Happened::Listed { asked: at, conversations: Vec::new() } });
    }

    pub(super) fn hear_all(&mut self, frame: &Value) {
        for device in 0..self.log.devices.len() {
            self.hear(device, frame.clone());
        }
    }

    /// The frame that a device heard as this entry.
    pub(super) fn heard(&self, device: usize, entry: usize) -> Value {
        let Happened::Heard(frame) = &self.log.devices[device].entries[entry].what else { panic!("nothing heard") };
        frame.clone()
    }

    pub(super) fn insert(&mut self, device: usize, entry: usize, frame: Value) {
        let at = self.log.devices[device].entries[entry - 1].at;
        self.log.devices[device].entries.insert(entry, Entry { at, what: Happened::Heard(frame) });
    }

    fn connect(&mut self, device: usize, resume: &Value, user_seq: u64) {
        self.push(device, Happened::Opened);
        self.hear(
            device,
            json!({"type": "connected", "data": {"epoch": "e", "user_seq": user_seq, "announcement_seq": 0}}),
        );
        self.push(device, Happened::Said(json!({"type": "hello", "ref": "hello", "resume": resume})));
        let data = json!({"heads": {}, "receipts": [], "announcement_seq": 0});
        self.hear(device, json!({"type": "reply", "ref": "hello", "ok": true, "data": data}));
    }

    pub(super) fn reconnect(&mut self, device: usize, resume: &Value) {
        self.push(device, Happened::Closed(1006));
        self.connect(device, resume, 1);
    }

    /// Comes back with this knowledge, and is told that it is of no use, or not, and where the conversation goes on.
    pub(super) fn come_back(
        &mut self,
        device: usize,
        (epoch, user_seq): (&str, u64),
        resume: &Value,
        anew: Option<&str>,
    ) {
        self.end(device);
        self.push(device, Happened::Opened);
        let data = json!({"epoch": epoch, "user_seq": user_seq, "announcement_seq": 0});
        self.hear(device, json!({"type": "connected", "data": data}));
        self.say(device, json!({"type": "hello", "ref": "hello", "resume": resume}));
        if let Some(reason) = anew {
            let data = json!({"conversation_id": null, "reason": reason});
            self.hear(device, json!({"type": "resync_required", "data": data}));
        }
        let data = json!({"heads": {self.id.to_string(): 4}, "receipts": [], "announcement_seq": 0});
        self.hear(device, json!({"type": "reply", "ref": "hello", "ok": true, "data": data}));
    }

    /// Somebody does something outside of conversations, for half a second.
    pub(super) fn own(&mut self, second: u64, user: UserId, deed: OwnDeed, outcome: Outcome) {
        let (at, until) = (Duration::from_secs(second), Duration::from_millis(second * 1_000 + 500));
        self.log.own.acts.push(OwnAct { at, until, user, deed, outcome });
    }

    /// Somebody who is in nothing hears this.
    pub(super) fn outsider(&mut self, frame: Value) {
        let user = UserId::generate();
        self.log.users.push(user);
        self.truth.users.insert(user, Theirs::default());
        self.log.devices.push(DeviceLog { user, entries: Vec::new(), settled: true });
        let device = self.log.devices.len() - 1;
        self.connect(device, &Value::Null, 0);
        self.hear(device, frame);
    }
}

impl Deed {
    /// The same in another world.
    pub(super) fn on(mut self, id: ConversationId, of: MessageId, user: UserId) -> Self {
        match &mut self {
            Self::Edit { conversation, message, .. }
            | Self::Delete { conversation, message }
            | Self::React { conversation, message, .. }
            | Self::Pin { conversation, message, .. } => (*conversation, *message) = (id, of),
            Self::Member { conversation, who, .. } => (*conversation, *who) = (id, user),
            Self::Send { conversation, .. } | Self::Read { conversation, .. } => *conversation = id,
        }
        self
    }
}

fn person(id: UserId) -> Value {
    json!({"id": id, "username": "somebody", "display_name": "Somebody", "avatar_url": null})
}
