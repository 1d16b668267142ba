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
    Changes, Conversation, ConversationFilter, ConversationId, ConversationKind, History, HistoryWindow, Message,
    MessageId, OrgId, Page, Posting, Role, Sender, Seq, SystemChange, Timestamp, User, UserId,
};
use store::{
    Committed, CreatedConversation, InsertMessage, Locked, MarkRow, Marked, NewConversation, NewUser, OrgUsersFilter,
    Scope, Store, StoredMessage, Writes,
};

use super::op::{self, Op};

/// A marker to move.
#[derive(Clone, Copy)]
pub enum Mark {
    /// Read up to here.
    Read(Seq),
    /// Delivered up to here.
    Delivered(Seq),
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

    /// The org's directory: who is not disabled, by the beginning of a name.
    pub async fn directory(&self, query: &str, after: Option<&str>, limit: u32) -> store::Result<Page<User>> {
        let filter = OrgUsersFilter { query: query.into(), disabled: Some(false), role: None };
        self.store.org_users(self.org, &filter, after, limit).await
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
            slow_mode_seconds: 0,
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
            notifications: Vec::new(),
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
        let committed = self.store.change(&op::scope(ops), &|locked| op::decide(ops, locked, now, &found)).await?;
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

    /// Does one change of one message.
    pub async fn apply_one(&self, op: Op) -> Message {
        self.apply(&[op]).await.messages.into_values().next().unwrap()
    }

    /// Moves one marker; `None`: does not take part.
    pub async fn mark(&self, user: UserId, conversation: ConversationId, mark: Mark) -> Option<Marked> {
        let (read_seq, delivered_seq) = match mark {
            Mark::Read(seq) => (Some(seq), None),
            Mark::Delivered(seq) => (None, Some(seq)),
        };
        let row = MarkRow { user_id: user, conversation_id: conversation, delivered_seq, read_seq };
        let marked = self.store.mark(&[row]).await.unwrap().items;
        assert_eq!(marked.len(), 1, "an answer per row");
        marked[0]
    }

    /// A page of somebody's conversations, whatever they are.
    pub async fn list(&self, viewer: UserId, cursor: Option<&str>, limit: u32) -> store::Result<Page<Conversation>> {
        self.store.conversations(viewer, &ConversationFilter::default(), cursor, limit).await
    }

    /// A conversation as somebody who takes part sees it.
    pub async fn view(&self, viewer: &User, conversation: ConversationId) -> Conversation {
        self.store.conversation(viewer.id, conversation).await.unwrap().unwrap()
    }

    /// The head.
    pub async fn head(&self, conversation: ConversationId) -> Seq {
        self.store.heads(&[conversation]).await.unwrap().items[0].1
    }

    /// What a decision would see.
    pub async fn look(&self, scope: &Scope) -> Locked {
        let seen = Mutex::new(Locked::default());
        let look = |locked: &Locked| {
            *seen.lock().unwrap() = locked.clone();
            Writes::default()
        };
        self.store.change(scope, &look).await.unwrap();
        seen.into_inner().unwrap()
    }

    /// Asserts where the head is.
    pub async fn assert_head(&self, conversation: ConversationId, head: Seq) {
        assert_eq!(self.head(conversation).await, head);
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

/// A text without frills, as the store takes it.
pub(super) fn text(
    conversation: ConversationId,
    sender: UserId,
    (seq, number): (Seq, u64),
    content: &str,
) -> InsertMessage {
    InsertMessage {
        id: MessageId::generate(),
        conversation_id: conversation,
        seq,
        number,
        sender_id: sender,
        content: content.into(),
        system: None,
        reply_to_id: None,
        thread_root_id: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
        client_id: None,
        fingerprint: Vec::new(),
        created_at: Timestamp::from_unix_millis(1_795_000_000_000).unwrap(),
    }
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
