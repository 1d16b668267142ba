//! A list of conversations as an app shows it: one request, then kept right from events alone.
//!
//! Promises what `docs/protocol.md` says that a client can do without asking again; [`List::differences`] compares it
//! with a fresh request. Presence is not part of it: that is watched for what is on the screen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use protocol::{
    Conversation, ConversationId, ConversationKind, Message, MessageKind, Preferences, Receipt, Sender, Seq,
    SystemChange, User, UserId,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::view::{QUOTED_CHARS, shared};

/// One person's list.
#[derive(Debug, Clone)]
pub struct List {
    me: UserId,
    items: BTreeMap<ConversationId, Conversation>,
    /// Changes in conversations that nothing announced yet.
    early: BTreeMap<ConversationId, Vec<(Seq, Message)>>,
}

impl List {
    /// What `GET conversations` gave, all pages of it.
    pub fn new(me: UserId, items: impl IntoIterator<Item = Conversation>) -> Self {
        let items = items.into_iter().map(|item| (item.id, comparable(item))).collect();
        Self { me, items, early: BTreeMap::new() }
    }

    /// Takes an event frame, in the order in which a connection brought them; those that the list knows already are
    /// passed over.
    pub fn apply(&mut self, frame: &Value) -> Result<()> {
        match frame["type"].as_str().unwrap_or_default() {
            "message.created" | "message.updated" | "message.deleted" | "reaction.added" | "reaction.removed" => {
                self.message(data(frame, "/seq")?, data(frame, "/data")?);
            }
            "changes" => {
                for change in frame["changes"].as_array().context("changes without changes")? {
                    self.message(data(change, "/seq")?, data(change, "/data")?);
                }
                let (id, to): (ConversationId, Seq) = (data(frame, "/conversation_id")?, data(frame, "/to")?);
                if let Some(item) = self.items.get_mut(&id) {
                    item.last_seq = item.last_seq.max(to);
                }
            }
            "conversation.created" => {
                let new = comparable(data(frame, "/data")?);
                let id = new.id;
                let known = self.items.get(&id).is_some_and(|item| item.last_seq > new.last_seq);
                if !known {
                    self.items.insert(id, new);
                }
                for (seq, message) in self.early.remove(&id).unwrap_or_default() {
                    self.message(seq, message);
                }
            }
            "participant.removed" => {
                self.items.remove(&data(frame, "/data/conversation_id")?);
            }
            "receipt.updated" => self.receipt(&data(frame, "/data")?),
            "user.updated" => self.user(&data(frame, "/data")?),
            "preferences.updated" => {
                let preferences: Preferences = data(frame, "/data")?;
                if let Some(item) = self.items.get_mut(&preferences.conversation_id) {
                    item.notify = preferences.notify;
                    item.muted_until = preferences.muted_until;
                    item.pinned_at = preferences.pinned_at;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the reply of a stream, which names all conversations of the user: what is not among these is lost.
    pub fn retain(&mut self, theirs: impl Fn(&ConversationId) -> bool) {
        self.items.retain(|id, _| theirs(id));
    }

    /// Takes the markers that the reply to `hello` tells.
    pub fn receipts(&mut self, receipts: &[Receipt]) {
        for receipt in receipts {
            self.receipt(receipt);
        }
    }

    fn message(&mut self, seq: Seq, message: Message) {
        let message = shared(message);
        let Some(item) = self.items.get_mut(&message.conversation_id) else {
            return self.early.entry(message.conversation_id).or_default().push((seq, message));
        };
        if seq <= item.last_seq {
            return;
        }
        item.last_seq = seq;
        let quote = item.last_message.as_deref_mut().and_then(|last| last.reply_to.as_mut());
        if let Some(quote) = quote.filter(|quote| quote.id == message.id) {
            quote.content = message.content.chars().take(QUOTED_CHARS).collect();
            quote.deleted_at = message.deleted_at;
        }
        let (place, mine) = (message.seq, message.sender.id == self.me);
        self_mention(item, self.me, &message);
        if message.kind != MessageKind::System {
            if mine && place > item.read_seq {
                item.read_seq = place;
                item.read_number = item.read_number.max(message.number);
            } else if !mine && item.kind == ConversationKind::Direct {
                item.other_read_seq = item.other_read_seq.max(Some(place));
                item.other_delivered_seq = item.other_delivered_seq.max(Some(place));
            }
        }
        item.last_number = item.last_number.max(message.number);
        // A message that is new here, in whatever state, or the last one in another state.
        if item.last_message.as_ref().is_none_or(|last| last.seq <= place) {
            if item.last_message.as_ref().is_none_or(|last| last.seq < place) {
                item.last_activity_at = message.created_at;
            }
            item.last_message = Some(Box::new(message.clone()));
        }
        recount(item);
        // Each system message is one change of the conversation, told once: when it is made.
        if let Some(change) = message.system.filter(|_| seq == place)
            && !system(item, self.me, change, message.created_at)
        {
            self.items.remove(&message.conversation_id);
        }
    }

    fn user(&mut self, user: &User) {
        for item in self.items.values_mut() {
            if let Some(other) = item.other.as_mut().filter(|other| other.id == user.id) {
                other.clone_from(user);
            }
            if let Some(last) = item.last_message.as_mut().filter(|last| last.sender.id == user.id) {
                last.sender = Sender::from(user);
            }
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        let Some(item) = self.items.get_mut(&receipt.conversation_id) else { return };
        if receipt.user_id == self.me {
            if receipt.read_seq > item.read_seq {
                item.read_seq = receipt.read_seq;
                item.read_number = item.read_number.max(receipt.read_number);
            }
        } else if item.kind == ConversationKind::Direct {
            item.other_read_seq = item.other_read_seq.max(Some(receipt.read_seq));
            item.other_delivered_seq = item.other_delivered_seq.max(Some(receipt.delivered_seq));
        }
        recount(item);
    }

    /// How it differs from a fresh request, in words; empty when it does not.
    pub fn differences(&self, fresh: impl IntoIterator<Item = Conversation>) -> Vec<String> {
        let differing = self.differing(&Self::new(self.me, fresh));
        differing.into_iter().map(|(id, what)| format!("{id}: {what}")).collect()
    }

    /// In which conversations it differs from a fresh one, and how.
    pub fn differing(&self, fresh: &Self) -> Vec<(ConversationId, String)> {
        let ids: BTreeSet<_> = self.items.keys().chain(fresh.items.keys()).copied().collect();
        let of = |id: ConversationId| (id, self.items.get(&id), fresh.items.get(&id));
        let differing = ids.into_iter().map(of).filter(|(_, kept, fresh)| kept != fresh);
        differing.map(|(id, kept, fresh)| (id, format!("from events {kept:#?}\nfresh {fresh:#?}"))).collect()
    }

    /// Leaves out the text of quotes in these: newcomers who may not read what was before them get none.
    #[must_use]
    pub fn without_quotes(mut self, of: &BTreeSet<ConversationId>) -> Self {
        for item in self.items.values_mut().filter(|item| of.contains(&item.id)) {
            if let Some(quote) = item.last_message.as_mut().and_then(|last| last.reply_to.as_mut()) {
                quote.content.clear();
            }
        }
        self
    }
}

/// False when the conversation leaves the list.
fn system(item: &mut Conversation, me: UserId, change: SystemChange, at: protocol::Timestamp) -> bool {
    match change {
        SystemChange::ConversationUpdated { changes } => {
            item.title = changes.title.or(item.title.take());
            item.description = changes.description.unwrap_or(item.description.take());
            item.avatar_url = changes.avatar_url.unwrap_or(item.avatar_url.take());
            item.posting = changes.posting.unwrap_or(item.posting);
            item.slow_mode_seconds = changes.slow_mode_seconds.unwrap_or(item.slow_mode_seconds);
        }
        SystemChange::ConversationArchived => item.archived_at = Some(at),
        SystemChange::ConversationUnarchived => item.archived_at = None,
        SystemChange::ConversationDeleted => return false,
        SystemChange::ParticipantAdded { users } => item.participant_count += users.len() as u64,
        SystemChange::ParticipantRemoved { user } => {
            item.participant_count = item.participant_count.saturating_sub(1);
            return user.id != me;
        }
        SystemChange::ParticipantUpdated { user, role } if user.id == me => item.role = Some(role),
        SystemChange::ConversationCreated { .. } | SystemChange::ParticipantUpdated { .. } => {}
    }
    true
}

/// Whether the message mentions the list's owner now.
fn self_mention(item: &mut Conversation, me: UserId, message: &Message) {
    let mentioned = message.sender.id != me
        && message.deleted_at.is_none()
        && message.mentions.iter().any(|mention| mention.user.as_ref().is_none_or(|user| user.id == me));
    item.mention_seqs.retain(|seq| *seq != message.seq);
    if mentioned {
        item.mention_seqs.push(message.seq);
        item.mention_seqs.sort_unstable();
    }
}

fn recount(item: &mut Conversation) {
    let read = item.read_seq;
    item.mention_seqs.retain(|seq| *seq > read);
    item.mention_count = item.mention_seqs.len() as u64;
    item.unread_count = item.last_number.saturating_sub(item.read_number);
}

/// Without what events do not tell: presence, and how many come and go quietly in public rooms.
fn comparable(mut item: Conversation) -> Conversation {
    item.other_presence = None;
    if item.kind == ConversationKind::Public {
        item.participant_count = 0;
    }
    item.last_message = item.last_message.map(|message| Box::new(shared(*message)));
    item
}

fn data<T: DeserializeOwned>(frame: &Value, pointer: &str) -> Result<T> {
    let value = frame.pointer(pointer).cloned().unwrap_or_default();
    serde_json::from_value(value).with_context(|| format!("bad `{pointer}` in {frame}"))
}
