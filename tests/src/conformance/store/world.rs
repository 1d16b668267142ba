//! A small world for the promises: an org, people, conversations, and a decision that is as plain as can be
//! (everything is allowed, seqs are counted on). What `chat` really decides is tested there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use protocol::{
    Changes, ConversationId, ConversationKind, ConversationPatch, History, HistoryWindow, Message, MessageId, OrgId,
    Posting, Role, Sender, Seq, SystemChange, Timestamp, User, UserId,
};
use store::{
    Committed, CreatedConversation, InsertMessage, Locked, MessageUpdate, NewConversation, NewUser, ParticipantWrite,
    Scope, Store, StoredMessage, UpdateMessage, WriteConversation, WriteParticipant, Writes,
};

/// One durable change, in the words of the tests.
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
    },
    /// New text.
    Edit(ConversationId, MessageId, String),
    /// A tombstone.
    Delete(ConversationId, MessageId),
    /// Somebody comes, or comes back.
    Join(ConversationId, User, Role),
    /// Somebody goes.
    Leave(ConversationId, User),
    /// Somebody gets another role; `by` says so.
    Promote(ConversationId, User, Role),
    /// New title or policy.
    Rename(ConversationId, User, ConversationPatch),
    /// Closed for all.
    Close(ConversationId, User),
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
        }
    }

    /// A message with a client id.
    pub fn send_once(to: ConversationId, by: &User, content: &str, client_id: &str) -> Self {
        Self::Send {
            to,
            by: by.clone(),
            id: MessageId::generate(),
            content: content.into(),
            client_id: Some(client_id.into()),
            reply_to: None,
        }
    }

    /// A message that replies.
    pub fn reply(to: ConversationId, by: &User, content: &str, reply_to: MessageId) -> Self {
        Self::Send {
            to,
            by: by.clone(),
            id: MessageId::generate(),
            content: content.into(),
            client_id: None,
            reply_to: Some(reply_to),
        }
    }

    fn conversation(&self) -> ConversationId {
        match self {
            Self::Send { to: id, .. }
            | Self::Edit(id, ..)
            | Self::Delete(id, ..)
            | Self::Join(id, ..)
            | Self::Leave(id, ..)
            | Self::Promote(id, ..)
            | Self::Rename(id, ..)
            | Self::Close(id, ..) => *id,
        }
    }
}

/// An org on a store.
pub struct World {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The org.
    pub org: OrgId,
    clock: AtomicI64,
}

impl World {
    /// Migrates the store and makes the org.
    pub async fn new(store: Arc<dyn Store>) -> Self {
        store.migrate().await.unwrap();
        let org = store.ensure_org("acme").await.unwrap();
        Self { store, org, clock: AtomicI64::new(1_795_000_000_000) }
    }

    /// A time; each is a second later than the one before.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.fetch_add(1_000, Ordering::Relaxed)).unwrap()
    }

    /// A user to make in the org.
    pub fn new_user(&self, username: &str) -> NewUser {
        NewUser {
            id: UserId::generate(),
            org_id: self.org,
            username: username.into(),
            display_name: username.into(),
            password_hash: None,
            guest: false,
            now: self.now(),
        }
    }

    /// Makes a user in the org.
    pub async fn user(&self, username: &str) -> User {
        self.store.create_user(self.new_user(username)).await.unwrap()
    }

    /// Makes a user in an org of their own.
    pub async fn foreigner(&self, username: &str) -> User {
        let org_id = self.store.ensure_org("elsewhere").await.unwrap();
        self.store.create_user(NewUser { org_id, ..self.new_user(username) }).await.unwrap()
    }

    /// A conversation to make; its first participant owns it.
    pub fn new_conversation(&self, kind: ConversationKind, people: &[&User]) -> NewConversation {
        let owner = if kind == ConversationKind::Direct { Role::Member } else { Role::Owner };
        NewConversation {
            id: ConversationId::generate(),
            org_id: self.org,
            kind,
            creator: people[0].id,
            title: (kind != ConversationKind::Direct).then(|| "a title".into()),
            description: None,
            avatar_url: None,
            subject: None,
            posting: Posting::Everyone,
            history: History::All,
            direct_key: None,
            participants: people
                .iter()
                .enumerate()
                .map(|(i, user)| (user.id, if i == 0 { owner } else { Role::Member }))
                .collect(),
            message_id: MessageId::generate(),
            system: SystemChange::ConversationCreated {
                users: people.iter().map(|user| Sender::from(*user)).collect(),
            },
            idempotency_key: None,
            fingerprint: vec![7; 32],
            now: self.now(),
        }
    }

    /// Makes a conversation.
    pub async fn create(&self, new: NewConversation) -> CreatedConversation {
        self.store.create_conversation(new).await.unwrap()
    }

    /// Makes a group.
    pub async fn group(&self, people: &[&User]) -> ConversationId {
        self.create(self.new_conversation(ConversationKind::Group, people)).await.id
    }

    /// Does changes in one transaction.
    pub async fn try_apply(&self, ops: &[Op]) -> store::Result<(Committed, Vec<StoredMessage>)> {
        let now = self.now();
        let found = Mutex::new(Vec::new());
        let committed = self.store.change(&scope(ops), &|locked| decide(ops, locked, now, &found)).await?;
        Ok((committed, found.into_inner().unwrap()))
    }

    /// Does changes that must succeed.
    pub async fn apply(&self, ops: &[Op]) -> Committed {
        self.try_apply(ops).await.unwrap().0
    }

    /// Sends one message.
    pub async fn send(&self, to: ConversationId, by: &User, content: &str) -> Message {
        let op = Op::send(to, by, content);
        self.apply(&[op]).await.messages.into_values().next().unwrap()
    }

    /// The head.
    pub async fn head(&self, conversation: ConversationId) -> Seq {
        self.store.heads(&[conversation]).await.unwrap()[0].1
    }

    /// Everything after a cursor, whoever may see it.
    pub async fn changes(&self, conversation: ConversationId, after: Seq) -> Changes {
        self.store.changes(None, conversation, after, 100_000).await.unwrap().unwrap()
    }

    /// All that the viewer may read, ascending.
    pub async fn history(&self, viewer: &User, conversation: ConversationId) -> Vec<Message> {
        self.store.history(viewer.id, conversation, HistoryWindow::Latest, 10_000).await.unwrap()
    }

    /// Asserts that a conversation where nothing was edited has every seq up to its head, and every number.
    pub async fn assert_dense(&self, conversation: ConversationId) -> Seq {
        let changes = self.changes(conversation, 0).await;
        let seqs: Vec<Seq> = changes.changes.iter().map(|change| change.seq).collect();
        assert_eq!(seqs, (1..=changes.to).collect::<Vec<_>>(), "a hole, or a repetition");
        let mut number = 0;
        for change in &changes.changes {
            number += u64::from(change.data.system.is_none());
            assert_eq!((change.data.seq, change.data.number), (change.seq, number));
        }
        assert_eq!(self.head(conversation).await, changes.to);
        changes.to
    }
}

fn scope(ops: &[Op]) -> Scope {
    let mut scope = Scope { conversations: ops.iter().map(Op::conversation).collect(), ..Scope::default() };
    for op in ops {
        match op {
            Op::Send { to, by, client_id, .. } => {
                scope.users.push(by.id);
                scope.participants.push((*to, by.id));
                scope.client_ids.extend(client_id.iter().map(|client_id| (*to, by.id, client_id.clone())));
            }
            Op::Edit(_, message, _) | Op::Delete(_, message) => scope.messages.push(*message),
            Op::Join(id, user, _) | Op::Leave(id, user) | Op::Promote(id, user, _) => {
                scope.users.push(user.id);
                scope.participants.push((*id, user.id));
            }
            Op::Rename(_, user, _) | Op::Close(_, user) => scope.users.push(user.id),
        }
    }
    scope
}

fn decide(ops: &[Op], locked: &Locked, now: Timestamp, found: &Mutex<Vec<StoredMessage>>) -> Writes {
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
        let head = writes.conversations.entry(id).or_insert_with(|| WriteConversation {
            last_seq: row.last_seq,
            last_number: row.last_number,
            ..WriteConversation::default()
        });
        head.last_seq += 1;
        head.last_number += u64::from(matches!(op, Op::Send { .. }));
        let (seq, number) = (head.last_seq, head.last_number);
        let joined_since = if row.history == History::SinceJoin { seq - 1 } else { 0 };
        let system = |by: &User, what: SystemChange| InsertMessage {
            id: MessageId::generate(),
            conversation_id: id,
            seq,
            number,
            sender_id: by.id,
            content: String::new(),
            system: Some(what),
            reply_to_id: None,
            client_id: None,
            fingerprint: vec![0; 32],
            created_at: now,
        };
        let participant = |user: &User, write: ParticipantWrite| WriteParticipant {
            conversation_id: id,
            user_id: user.id,
            write,
            seq,
            at: now,
        };
        let update = |message: MessageId, update: MessageUpdate| UpdateMessage {
            id: message,
            conversation_id: id,
            changed_seq: seq,
            update,
            at: now,
        };
        match op {
            Op::Send { by, id: message, content, client_id, reply_to, .. } => {
                head.last_activity_at = Some(now);
                writes.inserts.push(InsertMessage {
                    id: *message,
                    conversation_id: id,
                    seq,
                    number,
                    sender_id: by.id,
                    content: content.clone(),
                    system: None,
                    reply_to_id: *reply_to,
                    client_id: client_id.clone(),
                    fingerprint: content.as_bytes().to_vec(),
                    created_at: now,
                });
            }
            Op::Edit(_, message, content) => {
                writes.updates.push(update(*message, MessageUpdate::Edit { content: content.clone() }));
            }
            Op::Delete(_, message) => writes.updates.push(update(*message, MessageUpdate::Delete)),
            Op::Join(_, user, role) => {
                head.access_seq = Some(seq);
                writes.inserts.push(system(user, SystemChange::ParticipantAdded { users: vec![user.into()] }));
                let join = ParticipantWrite::Join { role: *role, access_since_seq: joined_since };
                writes.participants.push(participant(user, join));
            }
            Op::Leave(_, user) => {
                head.access_seq = Some(seq);
                writes.inserts.push(system(user, SystemChange::ParticipantRemoved { user: user.into() }));
                writes.participants.push(participant(user, ParticipantWrite::Leave));
            }
            Op::Promote(_, user, role) => {
                head.access_seq = Some(seq);
                let change = SystemChange::ParticipantUpdated { user: user.into(), role: *role };
                writes.inserts.push(system(user, change));
                writes.participants.push(participant(user, ParticipantWrite::Role(*role)));
            }
            Op::Rename(_, user, patch) => {
                head.patch = Some(patch.clone());
                writes.inserts.push(system(user, SystemChange::ConversationUpdated { changes: patch.clone() }));
            }
            Op::Close(_, user) => {
                head.deleted_at = Some(now);
                writes.inserts.push(system(user, SystemChange::ConversationDeleted));
            }
        }
    }
    writes
}

/// Messages by their text.
pub(super) fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.content.as_str()).collect()
}

/// Adds up how often each id comes.
pub(super) fn tally<T: std::hash::Hash + Eq>(items: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut tally = HashMap::new();
    for item in items {
        *tally.entry(item).or_default() += 1;
    }
    tally
}
