//! A whole domain for tests: the real embedded store in a temporary directory and the real in-process bus.

use std::{sync::Arc, time::Duration};

use bus::{Bus, Incoming, Topic, local::LocalBus};
use protocol::{
    ConversationId, ConversationKind, CreateConversation, ErrorCode, Message, OrgId, SendMessage, Timestamp, UserId,
};
use serde_json::Value;
use store::{
    NewUser, Store,
    sqlite::{SqliteConfig, SqliteStore},
};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

use crate::{AuthConfig, Caller, Chat, ChatConfig, ChatError, Clock, Env, SystemClock, WriterConfig, envelope};

/// Nothing in these tests takes longer, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct World {
    pub(crate) chat: Chat,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    incoming: mpsc::Receiver<Incoming>,
    org: OrgId,
    // Goes last: the store is in it.
    _dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_writer(WriterConfig::default()).await
    }

    pub(crate) async fn with_writer(writer: WriterConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap());
        store.migrate().await.unwrap();
        let org = store.ensure_org("default").await.unwrap();
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::start());
        let incoming = bus.incoming().unwrap();
        let auth = AuthConfig { secret: Some(vec![7; 32]), ..AuthConfig::default() };
        let config = ChatConfig { auth, writer, ..ChatConfig::default() };
        let registry = prometheus::Registry::new();
        let chat = Chat::new(Arc::clone(&store), Arc::clone(&bus), Env::system(), config, &registry).unwrap();
        Self { chat, store, bus, incoming, org, _dir: dir }
    }

    /// A user of the org, signed in.
    pub(crate) async fn user(&self, name: &str) -> Caller {
        self.user_of(self.org, name).await
    }

    /// A user of another org.
    pub(crate) async fn stranger(&self, name: &str) -> Caller {
        let org = self.store.ensure_org("elsewhere").await.unwrap();
        self.user_of(org, name).await
    }

    async fn user_of(&self, org_id: OrgId, name: &str) -> Caller {
        let now = SystemClock.now();
        let user = self
            .store
            .create_user(NewUser {
                id: UserId::generate(),
                org_id,
                username: name.into(),
                display_name: name.to_uppercase(),
                password_hash: None,
                guest: true,
                now,
            })
            .await
            .unwrap();
        Caller { user, session: None, expires_at: Timestamp::from_unix_millis(now.unix_millis() + 60_000).unwrap() }
    }

    /// A group (or public room) that `owner` makes with `others`.
    pub(crate) async fn room(&self, kind: ConversationKind, owner: &Caller, others: &[&Caller]) -> ConversationId {
        let request = CreateConversation {
            kind,
            title: Some("room".into()),
            description: None,
            avatar_url: None,
            participant_ids: others.iter().map(|other| other.user.id).collect(),
            subject: None,
            posting: protocol::Posting::default(),
            history: protocol::History::default(),
            slow_mode_seconds: 0,
        };
        self.chat.create_conversation(owner, request, None).await.unwrap().0.id
    }

    /// Listens from now on.
    pub(crate) async fn listen(&self, topic: Topic) {
        self.bus.subscribe(&[topic]).await.unwrap();
    }

    /// The next payload that this node hears.
    pub(crate) async fn heard(&mut self) -> (Topic, bytes::Bytes) {
        match timeout(DEADLINE, self.incoming.recv()).await.expect("nothing was heard in time") {
            Some(Incoming::Event { topic, payload }) => (topic, payload),
            other => panic!("{other:?}"),
        }
    }

    /// The next event of a conversation, with its frame.
    pub(crate) async fn heard_event(&mut self) -> (envelope::ConversationEvent, Value) {
        let (_, payload) = self.heard().await;
        let event = envelope::ConversationEvent::decode(&payload).unwrap();
        let frame = serde_json::from_slice(&event.frame).unwrap();
        (event, frame)
    }

    /// Sends a text without a `client_id`.
    pub(crate) async fn say(&self, who: &Caller, conversation: ConversationId, content: &str) -> Message {
        crate::Told::into_message(self.chat.send(who, conversation, text(content, None)).await.unwrap().0)
    }
}

/// The body of a send.
pub(crate) fn text(content: &str, client_id: Option<&str>) -> SendMessage {
    SendMessage { content: content.into(), client_id: client_id.map(str::to_owned), ..SendMessage::default() }
}

/// The code of what must be an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ChatError>) -> ErrorCode {
    result.unwrap_err().code
}

/// The first refused field of what must be an error.
pub(crate) fn field<T: std::fmt::Debug>(result: Result<T, ChatError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    error.errors[0].field.clone()
}
