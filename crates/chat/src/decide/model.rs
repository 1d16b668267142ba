//! A conversation in memory, for tests of `decide`: rows that its writes are laid onto, by the rules that the
//! store documents. Checks on the way that what is written is dense and refers to what is there.

use std::collections::BTreeMap;

use protocol::{
    ConversationId, ConversationKind, History, Limits, Mention, Message, MessageId, MessageKind, NotificationKind,
    Notify, OrgId, OrgRole, Posting, Reaction, Role, SendMessage, Sender, Seq, Timestamp, User, UserId,
};
use store::{
    Locked, LockedConversation, LockedParticipant, MessageUpdate, ParticipantWrite, StoredMention, StoredMessage,
    Writes,
};

use super::decide;
use crate::{
    change::{Kind, NewMessage, Outcome, Request},
    fingerprint,
};

/// See the module.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) here: ConversationId,
    pub(super) users: Vec<UserId>,
    /// Each durable change by its seq, in words.
    pub(super) log: BTreeMap<Seq, String>,
    /// Who was told of which message and why.
    pub(super) told: Vec<(UserId, MessageId, NotificationKind)>,
    pub(super) limits: Limits,
    pub(super) locked: Locked,
    /// Reactions in the order in which they came.
    reactions: Vec<(MessageId, String, UserId)>,
}

/// The model's time stands still, unless a test moves it.
pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000).unwrap()
}

impl Model {
    /// A conversation of `kind` with an owner, an admin and members, and as many outsiders of the same org.
    pub(super) fn new(kind: ConversationKind, members: usize, outsiders: usize) -> Self {
        let (here, org_id) = (ConversationId::generate(), OrgId::generate());
        let users: Vec<_> = (0..2 + members + outsiders).map(|_| UserId::generate()).collect();
        let mut locked = Locked::default();
        for (number, id) in users.iter().enumerate() {
            locked.users.insert(*id, user(*id, org_id, number));
            if number < 2 + members {
                let role = [Role::Owner, Role::Admin].get(number).copied().unwrap_or(Role::Member);
                locked.participants.insert((here, *id), participant(role));
            }
        }
        let row = LockedConversation {
            org_id,
            kind,
            title: Some("first".into()),
            description: None,
            avatar_url: None,
            posting: Posting::Everyone,
            history: History::All,
            last_seq: 1,
            last_number: 0,
            access_seq: 1,
            participant_count: 2 + members as u64,
            owner_count: 1,
            slow_mode_seconds: 0,
            pin_count: 0,
            blocked: false,
            archived_at: None,
            deleted_at: None,
        };
        locked.conversations.insert(here, row);
        let limits = Limits { pins: 2, ..Limits::default() };
        let (log, told, reactions) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { here, users, log, told, limits, locked, reactions }
    }

    pub(super) fn row(&self) -> &LockedConversation {
        &self.locked.conversations[&self.here]
    }

    pub(super) fn row_mut(&mut self) -> &mut LockedConversation {
        self.locked.conversations.get_mut(&self.here).unwrap()
    }

    pub(super) fn user_mut(&mut self, number: usize) -> &mut User {
        self.locked.users.get_mut(&self.users[number]).unwrap()
    }

    pub(super) fn participant(&self, number: usize) -> Option<&LockedParticipant> {
        self.locked.participants.get(&(self.here, self.users[number]))
    }

    pub(super) fn message(&self, id: MessageId) -> Option<&Message> {
        self.locked.messages.get(&id)
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.locked.messages.values().cloned().collect()
    }

    pub(super) fn request(&self, actor: usize, kind: Kind) -> Request {
        Request::new(self.here, self.users[actor], kind)
    }

    pub(super) fn send(&self, actor: usize, content: &str, client_id: Option<&str>) -> Request {
        self.send_new(
            actor,
            NewMessage { content: content.into(), client_id: client_id.map(str::to_owned), ..NewMessage::default() },
        )
    }

    /// Sends what has its fingerprint yet to come.
    pub(super) fn send_new(&self, actor: usize, mut new: NewMessage) -> Request {
        new.fingerprint = fingerprint::send(&SendMessage {
            content: new.content.clone(),
            reply_to_id: new.reply_to,
            thread_root_id: new.thread_root,
            ..SendMessage::default()
        })
        .unwrap();
        self.request(actor, Kind::Send(Box::new(new)))
    }

    /// Decides one batch and makes it so.
    pub(super) fn apply(&mut self, requests: &[Request]) -> Vec<Outcome> {
        self.apply_at(requests, now())
    }

    /// Decides one batch at this time and makes it so.
    pub(super) fn apply_at(&mut self, requests: &[Request], at: Timestamp) -> Vec<Outcome> {
        let (writes, outcomes) = decide(requests, &self.limits, at, &self.locked);
        assert_eq!(outcomes.len(), requests.len());
        self.write(&writes);
        self.compare(&outcomes);
        outcomes
    }

    /// One request alone.
    pub(super) fn apply_one(&mut self, request: Request) -> Outcome {
        self.apply(&[request]).remove(0)
    }

    /// Everything that a reader could tell, to compare two models.
    pub(super) fn state(&self) -> String {
        let mut participants: Vec<_> = self.locked.participants.iter().map(|(key, row)| (key.1, row)).collect();
        participants.sort_by_key(|(user, _)| *user);
        let mut messages: Vec<_> = self.locked.messages.values().collect();
        messages.sort_by_key(|message| message.seq);
        let told: Vec<_> = self.told.iter().map(|(user, message, kind)| (user, message, kind)).collect();
        format!("{:#?}\n{participants:#?}\n{messages:#?}\n{:#?}\n{told:#?}", self.row(), self.log)
    }

    /// What was decided of a message's last change is what is stored.
    fn compare(&self, outcomes: &[Outcome]) {
        let essence = |message: &Message| {
            let mut reactions: Vec<_> = message.reactions.iter().map(|r| (r.emoji.clone(), r.count)).collect();
            reactions.sort();
            let texts = (message.content.clone(), message.mentions.clone(), message.attachments.clone());
            (message.changed_seq, texts, reactions, message.pinned_at, message.edited_at, message.deleted_at)
        };
        for outcome in outcomes {
            if let Outcome::Updated(updated) = outcome {
                let stored = &self.locked.messages[&updated.message.id];
                if stored.changed_seq == updated.message.changed_seq {
                    assert_eq!(essence(stored), essence(&updated.message));
                }
            }
        }
    }

    fn write(&mut self, writes: &Writes) {
        let before = self.row().clone();
        for insert in &writes.inserts {
            let kind = if insert.system.is_some() { MessageKind::System } else { MessageKind::Text };
            let message = Message {
                id: insert.id,
                conversation_id: insert.conversation_id,
                seq: insert.seq,
                changed_seq: insert.seq,
                number: insert.number,
                kind,
                sender: Sender::from(&self.locked.users[&insert.sender_id]),
                content: insert.content.clone(),
                system: insert.system.clone(),
                client_id: insert.client_id.clone(),
                reply_to: None,
                thread_root_id: insert.thread_root_id,
                thread: None,
                mentions: self.shown(&insert.mentions),
                attachments: insert.attachments.clone(),
                reactions: Vec::new(),
                pinned_at: None,
                edited_at: None,
                deleted_at: None,
                created_at: insert.created_at,
            };
            assert!(self.locked.messages.insert(insert.id, message.clone()).is_none(), "an id is used once");
            if let Some(client_id) = &insert.client_id {
                let key = (insert.conversation_id, insert.sender_id, client_id.clone());
                let stored = StoredMessage { message, fingerprint: insert.fingerprint.clone() };
                assert!(self.locked.by_client_id.insert(key, stored).is_none(), "a client_id is used once");
            }
            self.note(insert.seq, format!("{kind:?} {} {:?}", insert.content, insert.system));
        }
        for update in &writes.updates {
            let shown = match &update.update {
                MessageUpdate::Edit { mentions, .. } => self.shown(mentions),
                _ => Vec::new(),
            };
            let message = self.locked.messages.get_mut(&update.id).unwrap();
            assert!(message.changed_seq < update.changed_seq, "a message changes forward");
            assert!(message.deleted_at.is_none(), "a tombstone stays as it is");
            message.changed_seq = update.changed_seq;
            match &update.update {
                MessageUpdate::Edit { content, .. } => {
                    message.content.clone_from(content);
                    message.mentions = shown;
                    message.edited_at = Some(update.at);
                }
                MessageUpdate::Delete => {
                    message.content.clear();
                    message.mentions.clear();
                    message.attachments.clear();
                    message.pinned_at = None;
                    message.deleted_at = Some(update.at);
                    self.reactions.retain(|(id, ..)| *id != update.id);
                    self.locked.reactions.retain(|(id, ..)| *id != update.id);
                }
                MessageUpdate::Pin(pinned) => {
                    assert_ne!(message.pinned_at.is_some(), *pinned, "a pin that changes nothing takes no place");
                    message.pinned_at = pinned.then_some(update.at);
                }
                MessageUpdate::React { user, emoji } => {
                    assert!(self.locked.reactions.insert((update.id, *user, emoji.clone())), "reacted twice");
                    self.reactions.push((update.id, emoji.clone(), *user));
                }
                MessageUpdate::Unreact { user, emoji } => {
                    assert!(self.locked.reactions.remove(&(update.id, *user, emoji.clone())), "nothing to take back");
                    self.reactions.retain(|reaction| *reaction != (update.id, emoji.clone(), *user));
                }
            }
            message.reactions = counted(&self.reactions, update.id);
            assert!(message.reactions.len() <= protocol::REACTION_EMOJI_MAX);
            let changed = message.clone();
            if let Some(client_id) = &changed.client_id {
                let key = (changed.conversation_id, changed.sender.id, client_id.clone());
                self.locked.by_client_id.get_mut(&key).unwrap().message = changed;
            }
            self.note(update.changed_seq, format!("{:?} of {}", update.update, update.id));
        }
        for write in &writes.participants {
            let key = (write.conversation_id, write.user_id);
            match write.write {
                ParticipantWrite::Join { role, access_since_seq } => {
                    let row = self
                        .locked
                        .participants
                        .entry(key)
                        .or_insert(LockedParticipant { active: false, ..participant(role) });
                    assert!(!row.active, "who takes part does not join");
                    (row.role, row.active, row.access_since_seq) = (role, true, access_since_seq);
                }
                ParticipantWrite::Leave => self.locked.participants.get_mut(&key).unwrap().active = false,
                ParticipantWrite::Role(role) => self.locked.participants.get_mut(&key).unwrap().role = role,
            }
        }
        // After the participants: one may come and speak in the same batch.
        for insert in writes.inserts.iter().filter(|insert| insert.system.is_none()) {
            let key = (insert.conversation_id, insert.sender_id);
            self.locked.participants.get_mut(&key).unwrap().last_sent_at = Some(insert.created_at);
        }
        for (id, write) in &writes.conversations {
            let row = self.locked.conversations.get_mut(id).unwrap();
            (row.last_seq, row.last_number) = (write.last_seq, write.last_number);
            row.access_seq = write.access_seq.unwrap_or(row.access_seq);
            row.deleted_at = write.deleted_at.or(row.deleted_at);
            if let Some(patch) = &write.patch {
                row.title = patch.title.clone().or(row.title.take());
                row.description = patch.description.clone().unwrap_or(row.description.take());
                row.avatar_url = patch.avatar_url.clone().unwrap_or(row.avatar_url.take());
                row.posting = patch.posting.unwrap_or(row.posting);
                row.slow_mode_seconds = patch.slow_mode_seconds.unwrap_or(row.slow_mode_seconds);
            }
            row.pin_count = write.pin_count.unwrap_or(row.pin_count);
            row.archived_at = write.archived_at.unwrap_or(row.archived_at);
        }
        for told in &writes.notifications {
            assert!(self.told.iter().all(|(user, message, _)| (*user, *message) != (told.user_id, told.message_id)));
            self.told.push((told.user_id, told.message_id, told.kind));
        }
        self.recount();
        let pinned = self.locked.messages.values().filter(|message| message.pinned_at.is_some()).count();
        assert_eq!(self.row().pin_count as usize, pinned, "the count is of what is pinned");
        assert!(pinned <= self.limits.pins as usize);
        let taken = (writes.inserts.len() + writes.updates.len()) as u64;
        assert_eq!(self.row().last_seq, before.last_seq + taken, "one change takes one seq");
        let texts = writes.inserts.iter().filter(|insert| insert.system.is_none()).count() as u64;
        assert_eq!(self.row().last_number, before.last_number + texts, "one text takes one number");
    }

    fn shown(&self, mentions: &[StoredMention]) -> Vec<Mention> {
        let shown = |mention: &StoredMention| Mention {
            offset: mention.offset,
            length: mention.length,
            user: mention.user.map(|user| Sender::from(&self.locked.users[&user])),
        };
        mentions.iter().map(shown).collect()
    }

    fn recount(&mut self) {
        let active = self.locked.participants.values().filter(|row| row.active);
        let count = active.clone().count() as u64;
        let owners = active.filter(|row| row.role == Role::Owner).count() as u64;
        let row = self.row_mut();
        (row.participant_count, row.owner_count) = (count, owners);
    }

    fn note(&mut self, seq: Seq, what: String) {
        assert!(self.log.insert(seq, what).is_none(), "seq {seq} is taken once");
    }
}

/// The reactions to a message as they are shown.
fn counted(all: &[(MessageId, String, UserId)], message: MessageId) -> Vec<Reaction> {
    let mut reactions: Vec<Reaction> = Vec::new();
    for (_, emoji, user) in all.iter().filter(|(id, ..)| *id == message) {
        match reactions.iter_mut().find(|reaction| reaction.emoji == *emoji) {
            Some(reaction) => {
                reaction.count += 1;
                reaction.user_ids.push(*user);
            }
            None => {
                reactions.push(Reaction { emoji: emoji.clone(), count: 1, user_ids: vec![*user], mine: None });
            }
        }
    }
    reactions
}

fn participant(role: Role) -> LockedParticipant {
    LockedParticipant {
        role,
        active: true,
        access_since_seq: 0,
        last_sent_at: None,
        notify: Notify::All,
        muted_until: None,
    }
}

fn user(id: UserId, org_id: OrgId, number: usize) -> User {
    User {
        id,
        org_id,
        username: format!("user{number}"),
        display_name: format!("User {number}"),
        avatar_url: None,
        status_text: None,
        role: OrgRole::Member,
        guest: false,
        disabled_at: None,
        created_at: now(),
    }
}
