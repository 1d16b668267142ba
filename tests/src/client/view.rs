//! What a client knows: its cursors, each conversation in its present state, and whatever broke the protocol.
//!
//! A pure function of the frames it is given. It follows the rules for clients in `docs/protocol.md` and writes
//! down each frame that a correct server would not have sent.

mod load;
mod timeline;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use protocol::{
    Change, ChangeType, Changes, Conversation, ConversationId, HelloReply, MessageKind, Presence, PresenceList, Resume,
    Seq, UserId, UserSeq,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use self::load::Load;
pub(super) use self::timeline::QUOTED_CHARS;
pub use self::timeline::{Timeline, shared};
use super::core::{HELLO_REF, WATCH_REF};

/// Everything a client knows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Of the database's history; empty until the first connect.
    pub epoch: String,
    /// Cursor of the user's feed.
    pub user_seq: UserSeq,
    /// `seq` of the last announcement.
    pub announcement_seq: u64,
    /// By conversation.
    pub timelines: HashMap<ConversationId, Timeline>,
    /// Of those whom [`Core::watch`](super::Core::watch) watches, as this connection told it: the answer, then events.
    pub presence: BTreeMap<UserId, Presence>,
    /// Every event frame of any kind, as it came, over all connections.
    pub events: Vec<Value>,
    /// Durable events that came although the cursor was past them.
    pub repeats: usize,
    /// What a correct server would not have sent.
    pub violations: Vec<String>,
    /// `resync_required` frames.
    pub resyncs: Vec<Value>,
    /// Events of conversations that no frame announced yet.
    early: HashMap<ConversationId, Vec<Value>>,
    /// Conversations that this connection told to be the user's.
    shown: HashSet<ConversationId>,
    /// Conversations that it was told to fetch, and nobody said yet where their events go on.
    fetching: HashMap<ConversationId, Timeline>,
    /// The last fetching of each conversation.
    loads: HashMap<ConversationId, Load>,
    loads_begun: u64,
    /// Conversations that are new to the client, or that it is to fetch anew.
    to_load: Vec<Load>,
    /// It was told to fetch everything, and not yet what there is.
    anew: bool,
    /// Data of the last `connected`.
    connected: Value,
    /// Events are not kept.
    forgetful: bool,
}

impl View {
    /// Where a resume starts from; `None` before the first connect.
    pub fn resume(&self) -> Option<Resume> {
        let here = self.timelines.iter().filter(|(_, timeline)| !timeline.gone);
        let cursors = here.map(|(id, timeline)| (*id, timeline.cursor)).collect();
        (!self.epoch.is_empty()).then(|| Resume {
            epoch: self.epoch.clone(),
            user_seq: self.user_seq,
            cursors,
            announcement_seq: Some(self.announcement_seq),
        })
    }

    /// The texts of a conversation in their order, without deleted ones.
    pub fn texts(&self, id: ConversationId) -> Vec<String> {
        let messages = self.timelines.get(&id).into_iter().flat_map(|timeline| timeline.messages.values());
        let texts = messages.filter(|message| message.kind == MessageKind::Text && message.deleted_at.is_none());
        texts.map(|message| message.content.clone()).collect()
    }

    /// Where the client stands in a conversation.
    pub fn cursor(&self, id: ConversationId) -> Option<Seq> {
        self.timelines.get(&id).filter(|timeline| !timeline.gone).map(|timeline| timeline.cursor)
    }

    /// Events of this type, whole frames.
    pub fn events_of<'a>(&'a self, kind: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["type"] == kind)
    }

    /// Conversations of which events came, and nothing that announced them.
    pub fn unannounced(&self) -> Vec<ConversationId> {
        self.early.keys().copied().collect()
    }

    /// Keeps no copy of the events from now on: whoever writes all frames down has them.
    pub fn without_events(&mut self) {
        self.forgetful = true;
    }

    /// Takes any frame of the server: events, and the replies to `hello` and to what [`Core`](super::Core) fetches by
    /// itself. Other replies tell it nothing.
    pub fn take(&mut self, frame: Value) {
        if frame["type"] != "reply" {
            return self.event(frame);
        }
        let reference = frame["ref"].as_str().unwrap_or_default();
        let taken = if frame["ok"] != true {
            Ok(())
        } else if reference == HELLO_REF {
            let whole = frame["stream"] == true;
            data(&frame, "/data").map(|reply| self.hello(reply, whole))
        } else if reference == WATCH_REF {
            data(&frame, "/data").map(|list: PresenceList| self.presence.extend(by_user(list.items)))
        } else if let Some(load) = Load::of(reference) {
            data(&frame, "/data").map(|page| {
                if self.is_current(&load) {
                    self.loaded(page);
                }
            })
        } else {
            Ok(())
        };
        if let Err(error) = taken {
            self.violations.push(format!("{error:#}: {frame}"));
        }
    }

    /// What to fetch, with `changes.get` after 0; asking clears it.
    pub(crate) fn take_to_load(&mut self) -> Vec<Load> {
        std::mem::take(&mut self.to_load)
    }

    /// Whether no other fetching of the conversation began after it.
    pub(crate) fn is_current(&self, load: &Load) -> bool {
        self.loads.get(&load.id) == Some(load)
    }

    /// Takes a command that the client said, for whoever follows it by its log: from which the number of a fetching
    /// comes where the log does not begin with the client's life.
    pub(crate) fn said(&mut self, frame: &Value) {
        if let Some(load) = frame["ref"].as_str().and_then(Load::of) {
            self.loads.insert(load.id, load);
        }
    }

    fn load(&mut self, id: ConversationId) {
        self.loads_begun += 1;
        let load = Load { id, number: self.loads_begun };
        self.loads.insert(id, load);
        self.to_load.push(load);
    }

    /// Takes a page that the client asked for: messages it does not know, or knows in an older state. Moves no
    /// cursor and counts as no event; but the last page says where events go on if nothing else did.
    pub(super) fn loaded(&mut self, page: Changes) {
        let (id, to) = (page.conversation_id, (!page.more).then_some(page.to));
        if let Some(timeline) = self.fetching.get_mut(&id) {
            for Change { data, .. } in page.changes {
                timeline.put(data);
            }
            if let Some(to) = to {
                self.place(id, to);
                self.timelines.entry(id).or_default().from = 0;
            }
            return;
        }
        let Some(timeline) = self.timelines.get_mut(&id) else { return };
        if !page.more && page.to >= timeline.from {
            timeline.from = 0;
        }
        for Change { data, .. } in page.changes {
            let known = timeline.messages.get(&data.seq);
            if known.is_none_or(|known| known.changed_seq <= data.changed_seq) {
                timeline.put(data);
            }
        }
    }

    /// Takes the data of a reply to `hello`. Of a stream it names all conversations of the user: `whole`.
    pub(super) fn hello(&mut self, reply: HelloReply, whole: bool) {
        if whole {
            let lost = |id: &ConversationId| !reply.heads.contains_key(id) && !self.shown.contains(id);
            for (_, timeline) in self.timelines.iter_mut().filter(|(id, _)| lost(id)) {
                timeline.gone = true;
            }
        }
        // As if they had come as events: markers are state, and these are what a resume tells of it.
        for receipt in reply.receipts.iter().filter(|_| !self.forgetful) {
            self.events.push(json!({"type": "receipt.updated", "data": receipt}));
        }
        let anew = std::mem::take(&mut self.anew);
        for (id, head) in reply.heads.into_iter().collect::<BTreeMap<_, _>>() {
            self.place(id, head);
            if anew {
                self.load(id);
            }
        }
    }

    /// Events of a conversation go on from there.
    fn place(&mut self, id: ConversationId, head: Seq) {
        let fetched = self.fetching.remove(&id);
        let timeline = self.timelines.entry(id).or_default();
        if let Some(fetched) = fetched {
            *timeline = fetched;
        } else if timeline.gone {
            *timeline = Timeline::default();
        }
        if timeline.cursor == 0 {
            timeline.from = head;
        }
        timeline.cursor = timeline.cursor.max(head);
        self.replay_early(id);
    }

    /// Takes an event frame.
    pub(super) fn event(&mut self, frame: Value) {
        if let Err(error) = self.apply(&frame) {
            self.violations.push(format!("{error:#}: {frame}"));
        }
        if !self.forgetful {
            self.events.push(frame);
        }
    }

    fn apply(&mut self, frame: &Value) -> Result<()> {
        match frame["type"].as_str().unwrap_or_default() {
            "connected" => {
                self.connected = frame.clone();
                self.shown.clear();
                // Whom a connection watches ends with it.
                self.presence.clear();
                if self.epoch.is_empty() {
                    self.epoch = data(frame, "/data/epoch")?;
                    self.user_seq = data(frame, "/data/user_seq")?;
                    self.announcement_seq = data(frame, "/data/announcement_seq")?;
                }
            }
            "message.created" | "message.updated" | "message.deleted" | "reaction.added" | "reaction.removed" => {
                self.durable(frame)?;
            }
            "changes" => {
                let page: Changes = data(frame, "")?;
                if self.known(page.conversation_id, frame) {
                    self.changes(page);
                }
            }
            "conversation.created" if self.feed(frame)? => {
                let conversation: Conversation = data(frame, "/data")?;
                self.fetching.remove(&conversation.id);
                self.shown.insert(conversation.id);
                let timeline = self.timelines.entry(conversation.id).or_default();
                if timeline.gone || timeline.cursor == 0 {
                    *timeline = Timeline::from(conversation.last_seq);
                }
                // Theirs again, and nothing said that it had not been: what is between is fetched.
                timeline.cursor = timeline.cursor.max(conversation.last_seq);
                self.load(conversation.id);
                self.replay_early(conversation.id);
            }
            // Without a place in the feed: the answer to a cursor of a conversation that is not theirs (any more).
            "participant.removed" if frame["user_seq"].is_null() || self.feed(frame)? => {
                let id = data(frame, "/data/conversation_id")?;
                self.fetching.remove(&id);
                self.timelines.entry(id).or_default().gone = true;
            }
            "session.revoked"
            | "preferences.updated"
            | "notification.created"
            | "notification.updated"
            | "notification_preferences.updated"
            | "user.blocked"
            | "user.unblocked" => drop(self.feed(frame)?),
            "announcement" => {
                let seq: u64 = data(frame, "/data/seq")?;
                if seq > self.announcement_seq + 1 {
                    self.violations.push(format!("announcement {seq} came after {}", self.announcement_seq));
                }
                self.announcement_seq = self.announcement_seq.max(seq);
            }
            "resync_required" => {
                self.resyncs.push(frame["data"].clone());
                match data::<Option<ConversationId>>(frame, "/data/conversation_id")? {
                    Some(id) => {
                        self.timelines.remove(&id);
                        self.fetching.insert(id, Timeline::default());
                        self.load(id);
                    }
                    None => self.forget(),
                }
            }
            "presence.updated" => self.presence.extend(by_user([data(frame, "/data")?])),
            "receipt.updated"
            | "typing"
            | "user.updated"
            | "announcements.read"
            | "reconnect"
            | "heartbeat"
            | "conversation.created"
            | "participant.removed" => {}
            other => anyhow::bail!("an event of unknown type `{other}`"),
        }
        Ok(())
    }

    /// Starts anew from where this connection began: the reply to `hello` tells the heads.
    fn forget(&mut self) {
        self.timelines.clear();
        self.fetching.clear();
        self.anew = true;
        self.epoch = data(&self.connected, "/data/epoch").unwrap_or_default();
        self.user_seq = data(&self.connected, "/data/user_seq").unwrap_or_default();
        self.announcement_seq = data(&self.connected, "/data/announcement_seq").unwrap_or_default();
    }

    /// Moves the feed's cursor; false for a repetition.
    fn feed(&mut self, frame: &Value) -> Result<bool> {
        let seq: UserSeq = data(frame, "/user_seq")?;
        let new = seq > self.user_seq;
        if new {
            self.user_seq = seq;
        } else {
            self.repeats += 1;
        }
        Ok(new)
    }

    /// Whether the conversation was announced; if not, the frame is kept for when it is.
    fn known(&mut self, id: ConversationId, frame: &Value) -> bool {
        match self.timelines.get(&id) {
            Some(timeline) if !timeline.gone => true,
            Some(_) => {
                self.violations.push(format!("an event of a conversation that the user was removed from: {frame}"));
                false
            }
            None => {
                self.early.entry(id).or_default().push(frame.clone());
                false
            }
        }
    }

    fn replay_early(&mut self, id: ConversationId) {
        for frame in self.early.remove(&id).unwrap_or_default() {
            let repeats = self.repeats;
            if let Err(error) = self.apply(&frame) {
                self.violations.push(format!("{error:#}: {frame}"));
            }
            // What was below the announced head is no repetition: the client did not know the head yet.
            self.repeats = repeats;
        }
    }

    fn durable(&mut self, frame: &Value) -> Result<()> {
        let change = change(frame)?;
        let id: ConversationId = data(frame, "/conversation_id")?;
        anyhow::ensure!(change.data.conversation_id == id, "the event is of another conversation than its message");
        anyhow::ensure!(change.seq == change.data.changed_seq, "the event's seq is not its message's changed_seq");
        if !self.known(id, frame) {
            return Ok(());
        }
        let Some(timeline) = self.timelines.get_mut(&id) else { return Ok(()) };
        if change.seq <= timeline.cursor {
            self.repeats += 1;
            return Ok(());
        }
        if change.seq != timeline.cursor + 1 {
            self.violations.push(format!("a gap in {id}: {} came after {}", change.seq, timeline.cursor));
        }
        timeline.take(change);
        Ok(())
    }

    fn changes(&mut self, page: Changes) {
        let Some(timeline) = self.timelines.get_mut(&page.conversation_id) else { return };
        if page.to <= timeline.cursor {
            self.repeats += 1;
            return;
        }
        if page.from > timeline.cursor {
            let (id, cursor) = (page.conversation_id, timeline.cursor);
            self.violations.push(format!("`changes` of {id} from {}, but the cursor is {cursor}", page.from));
        }
        let to = page.to;
        for change in page.changes {
            if change.seq > to {
                self.violations.push(format!("a change {} above the page's end {to}", change.seq));
            }
            if change.seq > timeline.cursor {
                timeline.take(change);
            }
        }
        timeline.cursor = to;
        timeline.pages.push((page.from, to));
    }
}

fn by_user(items: impl IntoIterator<Item = Presence>) -> impl Iterator<Item = (UserId, Presence)> {
    items.into_iter().map(|presence| (presence.user_id, presence))
}

/// A durable event of a conversation as a change of a message.
fn change(frame: &Value) -> Result<Change> {
    let kind = match frame["type"].as_str() {
        Some("message.created") => ChangeType::Created,
        Some("message.deleted") => ChangeType::Deleted,
        _ => ChangeType::Updated,
    };
    Ok(Change { kind, seq: data(frame, "/seq")?, data: data(frame, "/data")? })
}

fn data<T: DeserializeOwned>(frame: &Value, pointer: &str) -> Result<T> {
    let value = frame.pointer(pointer).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|error| anyhow::anyhow!("bad `{pointer}`: {error}"))
}

#[cfg(test)]
mod tests;
