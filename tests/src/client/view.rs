//! What a client knows: its cursors, each conversation in its present state, and whatever broke the protocol.
//!
//! A pure function of the frames it is given. It follows the rules for clients in `docs/protocol.md` and writes
//! down each frame that a correct server would not have sent.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use protocol::{
    Change, ChangeType, Changes, Conversation, ConversationId, HelloReply, Message, MessageId, MessageKind, Resume,
    Seq, THREAD_REPLIERS_SHOWN, Thread, UserSeq,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::core::{HELLO_REF, LOAD};

/// One conversation.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// Highest contiguous seq.
    pub cursor: Seq,
    /// The cursor that it began with: what changed after it has come as events. 0 when all of it has come.
    pub from: Seq,
    /// Present state by place: what events brought, and what was fetched.
    pub messages: BTreeMap<Seq, Message>,
    /// Every change in the order it was applied: its seq, what it was, which message.
    pub applied: Vec<(Seq, ChangeType, MessageId)>,
    /// The user was removed.
    pub gone: bool,
    /// Threads as the server last told them, by their root.
    told: HashMap<MessageId, Option<Thread>>,
}

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
    /// Conversations that are new to the client: what was said before it knew them is to be fetched.
    to_load: Vec<ConversationId>,
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
            data(&frame, "/data").map(|reply| self.hello(reply))
        } else if reference.starts_with(LOAD) {
            data(&frame, "/data").map(|page| self.loaded(page))
        } else {
            Ok(())
        };
        if let Err(error) = taken {
            self.violations.push(format!("{error:#}: {frame}"));
        }
    }

    /// What to fetch, with `changes.get` after 0; asking clears it.
    pub(crate) fn take_to_load(&mut self) -> Vec<ConversationId> {
        std::mem::take(&mut self.to_load)
    }

    /// Takes a page that the client asked for: messages it does not know, or knows in an older state. Moves no
    /// cursor and counts as no event.
    pub(super) fn loaded(&mut self, page: Changes) {
        let Some(timeline) = self.timelines.get_mut(&page.conversation_id) else { return };
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

    /// Takes the data of a reply to `hello`.
    pub(super) fn hello(&mut self, reply: HelloReply) {
        // As if they had come as events: markers are state, and these are what a resume tells of it.
        for receipt in reply.receipts.iter().filter(|_| !self.forgetful) {
            self.events.push(json!({"type": "receipt.updated", "data": receipt}));
        }
        for (id, head) in reply.heads {
            let timeline = self.timelines.entry(id).or_default();
            if timeline.gone {
                *timeline = Timeline::default();
            }
            if timeline.cursor == 0 {
                timeline.from = head;
            }
            timeline.cursor = timeline.cursor.max(head);
            self.replay_early(id);
        }
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
                let timeline = self.timelines.entry(conversation.id).or_default();
                if timeline.gone || timeline.cursor == 0 {
                    let head = conversation.last_seq;
                    *timeline = Timeline { cursor: head, from: head, ..Timeline::default() };
                }
                // Theirs again, and nothing said that it had not been: what is between is fetched.
                timeline.cursor = timeline.cursor.max(conversation.last_seq);
                self.to_load.push(conversation.id);
                self.replay_early(conversation.id);
            }
            // Without a place in the feed: the answer to a cursor of a conversation that is not theirs (any more).
            "participant.removed" if frame["user_seq"].is_null() || self.feed(frame)? => {
                let id = data(frame, "/data/conversation_id")?;
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
                    Some(id) => drop(self.timelines.remove(&id)),
                    None => self.forget(),
                }
            }
            "receipt.updated"
            | "typing"
            | "presence.updated"
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
        self.epoch = data(&self.connected, "/data/epoch").unwrap_or_default();
        self.user_seq = data(&self.connected, "/data/user_seq").unwrap_or_default();
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
    }
}

impl Timeline {
    fn take(&mut self, change: Change) {
        self.cursor = change.seq;
        self.applied.push((change.seq, change.kind, change.data.id));
        let message = change.data;
        self.follow_quotes(&message);
        self.put(message);
    }

    /// Takes a message as the server tells it. Its thread's counts follow from its replies' own events.
    fn put(&mut self, message: Message) {
        let (id, root) = (message.id, message.thread_root_id);
        self.told.insert(id, message.thread.clone());
        self.messages.insert(message.seq, shared(message));
        for root in [Some(id), root].into_iter().flatten() {
            self.count_replies(root);
        }
    }

    /// Quotes show the present text of what they quote; that changes by its own event, not by one of theirs.
    fn follow_quotes(&mut self, quoted: &Message) {
        for message in self.messages.values_mut() {
            if let Some(quote) = message.reply_to.as_mut().filter(|quote| quote.id == quoted.id) {
                quote.content = quoted.content.chars().take(QUOTED_CHARS).collect();
                quote.deleted_at = quoted.deleted_at;
            }
        }
    }

    /// What the server told of the thread, and the replies that came after that.
    fn count_replies(&mut self, root: MessageId) {
        let Some(told) = self.told.get(&root) else { return };
        let mut thread = told.clone();
        let counted = told.as_ref().map_or(0, |thread| thread.last_reply_seq);
        for reply in self.messages.values().filter(|m| m.thread_root_id == Some(root) && m.seq > counted) {
            let (count, mut repliers) = match thread {
                Some(thread) => (thread.reply_count, thread.last_repliers),
                None => (0, Vec::new()),
            };
            repliers.retain(|replier| replier.id != reply.sender.id);
            repliers.insert(0, reply.sender.clone());
            repliers.truncate(THREAD_REPLIERS_SHOWN);
            thread = Some(Thread {
                reply_count: count + 1,
                last_reply_seq: reply.seq,
                last_reply_at: reply.created_at,
                last_repliers: repliers,
            });
        }
        if let Some(message) = self.messages.values_mut().find(|message| message.id == root) {
            message.thread = thread;
        }
    }
}

/// How much of a quoted text is shown.
pub(super) const QUOTED_CHARS: usize = 200;

/// A message as everybody sees it: without what depends on the reader.
pub fn shared(mut message: Message) -> Message {
    for reaction in &mut message.reactions {
        reaction.mine = None;
    }
    message
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
mod tests {
    use super::*;
    use protocol::UserId;

    fn message(id: ConversationId, place: Seq, changed: Seq, content: &str) -> Value {
        let now = "2026-01-01T00:00:00.000Z";
        json!({
            "id": MessageId::generate(), "conversation_id": id, "seq": place, "changed_seq": changed, "number": place,
            "kind": "text", "sender": {"id": UserId::generate(), "username": "a", "display_name": "A", "avatar_url": null},
            "content": content, "system": null, "client_id": null, "reply_to": null, "thread_root_id": null,
            "thread": null, "mentions": [], "attachments": [], "reactions": [], "pinned_at": null, "edited_at": null,
            "deleted_at": null, "created_at": now,
        })
    }

    fn created(id: ConversationId, seq: Seq, content: &str) -> Value {
        json!({"type": "message.created", "conversation_id": id, "seq": seq, "data": message(id, seq, seq, content)})
    }

    fn live_at(id: ConversationId, head: Seq) -> View {
        let mut view = View::default();
        view.hello(HelloReply { heads: HashMap::from([(id, head)]), ..HelloReply::default() });
        view
    }

    #[test]
    fn events_in_order_are_applied_and_repetitions_dropped() {
        let id = ConversationId::generate();
        let mut view = live_at(id, 4);
        for frame in [created(id, 5, "five"), created(id, 5, "five"), created(id, 6, "six"), created(id, 3, "three")] {
            view.event(frame);
        }
        assert_eq!(view.texts(id), ["five", "six"]);
        assert_eq!((view.cursor(id), view.repeats, view.violations.len()), (Some(6), 2, 0), "{:?}", view.violations);
    }

    #[test]
    fn a_gap_is_written_down() {
        let id = ConversationId::generate();
        let mut view = live_at(id, 4);
        view.event(created(id, 6, "six"));
        assert!(view.violations[0].contains("gap"), "{:?}", view.violations);
    }

    #[test]
    fn events_before_the_heads_count_from_the_heads_and_others_are_unannounced() {
        let (id, other) = (ConversationId::generate(), ConversationId::generate());
        let mut view = View::default();
        for frame in [created(id, 4, "four"), created(id, 5, "five"), created(other, 1, "?")] {
            view.event(frame);
        }
        view.hello(HelloReply { heads: HashMap::from([(id, 4)]), ..HelloReply::default() });
        assert_eq!(view.texts(id), ["five"]);
        assert_eq!((view.repeats, view.unannounced()), (0, vec![other]));
    }

    #[test]
    fn a_page_of_changes_moves_the_cursor_in_one_step_and_must_join_on() {
        let id = ConversationId::generate();
        let page = |from: Seq, to: Seq| {
            let change = json!({"type": "message.updated", "seq": to, "data": message(id, 2, to, "edited")});
            json!({"type": "changes", "conversation_id": id, "from": from, "to": to, "more": false, "changes": [change]})
        };
        let mut view = live_at(id, 4);
        view.event(page(4, 9));
        assert_eq!((view.cursor(id), view.texts(id), view.violations.len()), (Some(9), vec!["edited".into()], 0));
        view.event(page(10, 12));
        assert!(view.violations[0].contains("from 10, but the cursor is 9"), "{:?}", view.violations);
    }

    #[test]
    fn after_the_removal_nothing_may_come() {
        let id = ConversationId::generate();
        let mut view = live_at(id, 4);
        view.event(json!({
            "type": "participant.removed", "user_seq": 1, "data": {"conversation_id": id, "user_id": UserId::generate()},
        }));
        assert_eq!(view.cursor(id), None);
        view.event(created(id, 5, "secret"));
        assert_eq!((view.texts(id).len(), view.violations.len()), (0, 1));
    }
}
