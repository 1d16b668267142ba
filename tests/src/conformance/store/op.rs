//! Durable changes in the words of the tests, and a decision that allows them all and counts seqs on.

use std::sync::Mutex;

use protocol::{
    Attachment, ConversationId, ConversationPatch, History, MessageId, Role, Seq, SystemChange, Timestamp, User,
};
use store::{
    InsertMessage, Locked, MessageUpdate, ParticipantWrite, Scope, StoredMention, StoredMessage, UpdateMessage,
    WriteConversation, WriteNotification, WriteParticipant, Writes,
};

use super::world::text;

/// One durable change.
#[derive(Clone)]
pub enum Op {
    /// A message; when the client id is known already, nothing.
    Send {
        /// Where.
        to: ConversationId,
        /// Who.
        by: User,
        /// Its id.
        id: MessageId,
        /// Its text.
        content: String,
        /// What the sender calls it.
        client_id: Option<String>,
        /// What it replies to.
        reply_to: Option<MessageId>,
        /// Whose thread it is in.
        thread: Option<MessageId>,
        /// Whom it mentions.
        mentions: Vec<StoredMention>,
        /// What goes with it.
        attachments: Vec<Attachment>,
    },
    /// New text.
    Edit(ConversationId, MessageId, String),
    /// New text that mentions people.
    EditMentions(ConversationId, MessageId, String, Vec<StoredMention>),
    /// A tombstone.
    Delete(ConversationId, MessageId),
    /// Pinned, or no longer.
    Pin(ConversationId, MessageId, bool),
    /// Somebody reacts.
    React(ConversationId, MessageId, User, String),
    /// Somebody takes a reaction back.
    Unreact(ConversationId, MessageId, User, String),
    /// Somebody comes, or comes back.
    Join(ConversationId, User, Role),
    /// Somebody goes.
    Leave(ConversationId, User),
    /// Somebody gets another role; `by` says so.
    Promote(ConversationId, User, Role),
    /// New title or policy.
    Rename(ConversationId, User, ConversationPatch),
    /// Archived, or no longer.
    Archive(ConversationId, User, bool),
    /// Closed for all.
    Close(ConversationId, User),
    /// Somebody is notified; takes no seq.
    Notify(WriteNotification),
}

impl Op {
    /// A message without frills.
    pub fn send(to: ConversationId, by: &User, content: &str) -> Self {
        Self::Send {
            to,
            by: by.clone(),
            id: MessageId::generate(),
            content: content.into(),
            client_id: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// A message with a client id.
    pub fn send_once(to: ConversationId, by: &User, content: &str, name: &str) -> Self {
        let mut op = Self::send(to, by, content);
        if let Self::Send { client_id, .. } = &mut op {
            *client_id = Some(name.into());
        }
        op
    }

    /// A message that replies.
    pub fn reply(to: ConversationId, by: &User, content: &str, target: MessageId) -> Self {
        let mut op = Self::send(to, by, content);
        if let Self::Send { reply_to, .. } = &mut op {
            *reply_to = Some(target);
        }
        op
    }

    /// A message in a thread.
    pub fn in_thread(to: ConversationId, by: &User, content: &str, root: MessageId) -> Self {
        let mut op = Self::send(to, by, content);
        if let Self::Send { thread, .. } = &mut op {
            *thread = Some(root);
        }
        op
    }

    /// A message that mentions people (none: everybody), each by two characters, from the beginning on.
    pub fn mentioning(to: ConversationId, by: &User, content: &str, whom: &[Option<&User>]) -> Self {
        let mut op = Self::send(to, by, content);
        if let Self::Send { mentions: those, .. } = &mut op {
            *those = mentions(whom);
        }
        op
    }

    fn conversation(&self) -> ConversationId {
        match self {
            Self::Send { to: id, .. }
            | Self::Edit(id, ..)
            | Self::EditMentions(id, ..)
            | Self::Delete(id, ..)
            | Self::Pin(id, ..)
            | Self::React(id, ..)
            | Self::Unreact(id, ..)
            | Self::Join(id, ..)
            | Self::Leave(id, ..)
            | Self::Promote(id, ..)
            | Self::Rename(id, ..)
            | Self::Archive(id, ..)
            | Self::Close(id, ..) => *id,
            Self::Notify(notification) => notification.conversation_id,
        }
    }

    /// What it changes of which message.
    fn update(&self) -> Option<(MessageId, MessageUpdate)> {
        let edit = |content: &String, mentions| MessageUpdate::Edit { content: content.clone(), mentions };
        Some(match self {
            Self::Edit(_, id, content) => (*id, edit(content, Vec::new())),
            Self::EditMentions(_, id, content, mentions) => (*id, edit(content, mentions.clone())),
            Self::Delete(_, id) => (*id, MessageUpdate::Delete),
            Self::Pin(_, id, pinned) => (*id, MessageUpdate::Pin(*pinned)),
            Self::React(_, id, user, emoji) => (*id, MessageUpdate::React { user: user.id, emoji: emoji.clone() }),
            Self::Unreact(_, id, user, emoji) => (*id, MessageUpdate::Unreact { user: user.id, emoji: emoji.clone() }),
            _ => return None,
        })
    }

    /// What the conversation says of it, by whom.
    fn system(&self) -> Option<(&User, SystemChange)> {
        Some(match self {
            Self::Join(_, user, _) => (user, SystemChange::ParticipantAdded { users: vec![user.into()] }),
            Self::Leave(_, user) => (user, SystemChange::ParticipantRemoved { user: user.into() }),
            Self::Promote(_, user, role) => (user, SystemChange::ParticipantUpdated { user: user.into(), role: *role }),
            Self::Rename(_, user, patch) => (user, SystemChange::ConversationUpdated { changes: patch.clone() }),
            Self::Archive(_, user, true) => (user, SystemChange::ConversationArchived),
            Self::Archive(_, user, false) => (user, SystemChange::ConversationUnarchived),
            Self::Close(_, user) => (user, SystemChange::ConversationDeleted),
            _ => return None,
        })
    }
}

/// Mentions of people (none: everybody), each of two characters, one after the other.
pub(super) fn mentions(whom: &[Option<&User>]) -> Vec<StoredMention> {
    let mention = |(offset, user): (u32, Option<&User>)| StoredMention {
        offset: offset * 2,
        length: 2,
        user: user.map(|user| user.id),
    };
    (0..).zip(whom.iter().copied()).map(mention).collect()
}

/// What the changes touch.
pub(super) fn scope(ops: &[Op]) -> Scope {
    let mut scope = Scope { conversations: ops.iter().map(Op::conversation).collect(), ..Scope::default() };
    for op in ops {
        scope.messages.extend(op.update().map(|(message, _)| message));
        scope.users.extend(op.system().map(|(user, _)| user.id));
        match op {
            Op::Send { to, by, client_id, .. } => {
                scope.users.push(by.id);
                scope.participants.push((*to, by.id));
                scope.client_ids.extend(client_id.iter().map(|client_id| (*to, by.id, client_id.clone())));
            }
            Op::React(_, message, user, emoji) | Op::Unreact(_, message, user, emoji) => {
                scope.reactions.push((*message, user.id, emoji.clone()));
            }
            Op::Join(id, user, _) | Op::Leave(id, user) | Op::Promote(id, user, _) => {
                scope.participants.push((*id, user.id));
            }
            _ => {}
        }
    }
    scope
}

/// Allows everything; `found` are the sends that were there already.
pub(super) fn decide(ops: &[Op], locked: &Locked, now: Timestamp, found: &Mutex<Vec<StoredMessage>>) -> Writes {
    let mut writes = Writes::default();
    for op in ops {
        let id = op.conversation();
        let Some(row) = locked.conversations.get(&id) else { continue };
        if let Op::Send { to, by, client_id: Some(client_id), .. } = op
            && let Some(stored) = locked.by_client_id.get(&(*to, by.id, client_id.clone()))
        {
            found.lock().unwrap().push(stored.clone());
            continue;
        }
        if let Op::Notify(notification) = op {
            writes.notifications.push(notification.clone());
            continue;
        }
        let head = writes.conversations.entry(id).or_insert_with(|| WriteConversation {
            last_seq: row.last_seq,
            last_number: row.last_number,
            ..WriteConversation::default()
        });
        head.last_seq += 1;
        head.last_number += u64::from(matches!(op, Op::Send { .. }));
        let seq = head.last_seq;
        patch(op, head, row.pin_count, now);
        if let Some((message, update)) = op.update() {
            writes.updates.push(UpdateMessage { id: message, conversation_id: id, changed_seq: seq, update, at: now });
        }
        if let Some(insert) = insert(op, (seq, head.last_number), now) {
            writes.inserts.push(insert);
        }
        let since = if row.history == History::SinceJoin { seq - 1 } else { 0 };
        if let Some((user, write)) = membership(op, since) {
            head.access_seq = Some(seq);
            writes.participants.push(WriteParticipant { conversation_id: id, user_id: user.id, write, seq, at: now });
        }
    }
    writes
}

fn insert(op: &Op, place: (Seq, u64), now: Timestamp) -> Option<InsertMessage> {
    if let Some((by, system)) = op.system() {
        let plain = text(op.conversation(), by.id, place, "");
        return Some(InsertMessage { system: Some(system), created_at: now, ..plain });
    }
    let Op::Send { to, by, id, content, client_id, reply_to, thread, mentions, attachments } = op else { return None };
    Some(InsertMessage {
        id: *id,
        reply_to_id: *reply_to,
        thread_root_id: *thread,
        mentions: mentions.clone(),
        attachments: attachments.clone(),
        client_id: client_id.clone(),
        fingerprint: content.as_bytes().to_vec(),
        created_at: now,
        ..text(*to, by.id, place, content)
    })
}

fn membership(op: &Op, access_since_seq: Seq) -> Option<(&User, ParticipantWrite)> {
    match op {
        Op::Join(_, user, role) => Some((user, ParticipantWrite::Join { role: *role, access_since_seq })),
        Op::Leave(_, user) => Some((user, ParticipantWrite::Leave)),
        Op::Promote(_, user, role) => Some((user, ParticipantWrite::Role(*role))),
        _ => None,
    }
}

/// What else changes of the conversation.
fn patch(op: &Op, head: &mut WriteConversation, pins: u32, now: Timestamp) {
    match op {
        Op::Send { .. } => head.last_activity_at = Some(now),
        Op::Pin(_, _, pinned) => {
            let pins = head.pin_count.unwrap_or(pins);
            head.pin_count = Some(if *pinned { pins + 1 } else { pins - 1 });
        }
        Op::Rename(_, _, patch) => head.patch = Some(patch.clone()),
        Op::Archive(_, _, archived) => head.archived_at = Some(archived.then_some(now)),
        Op::Close(..) => head.deleted_at = Some(now),
        _ => {}
    }
}
