//! The domain. REST, WebSocket and SSE all call [`Chat`] and nothing below it: who may do what, in which order
//! it happens, what others are told. Transports decode, call one method, encode.
//!
//! How a change travels: `messages` / `conversations` build a `change::Request`, `writer` commits it with whatever
//! else is waiting, `decide` says under the lock what it does, [`envelope`] is what the bus then carries.

mod announcements;
#[cfg(test)]
mod announcements_tests;
mod arrivals;
mod auth;
mod bounded;
mod change;
mod check;
mod config;
mod conversations;
mod create;
mod decide;
mod env;
pub mod envelope;
mod erase;
mod error;
mod fingerprint;
mod follow;
mod mentions;
#[cfg(test)]
mod message_tests;
mod messages;
mod metrics;
#[cfg(feature = "micro")]
pub mod micro;
mod moderation;
#[cfg(test)]
mod moderation_tests;
mod notifications;
#[cfg(test)]
mod notifications_tests;
mod operate;
mod outage;
mod page;
mod policy;
mod presence;
#[cfg(test)]
mod presence_tests;
mod protections;
mod receipts;
mod search;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod testing;
mod told;
mod typing;
#[cfg(test)]
mod typing_tests;
#[cfg(test)]
mod use_case_tests;
mod users;
#[cfg(test)]
mod users_tests;
mod writer;

use std::sync::Arc;

use protocol::{ConversationId, MessageId, SessionId, Timestamp, User};

pub use auth::{AuthConfig, ExternalClaims, JwksSource, VerifyKey, mint_external, usable_keys};
pub use config::{ChatConfig, WriterConfig};
pub use env::{Chance, Clock, Env, Map, Set, Spawn, SystemChance, SystemClock, Task};
pub use error::{ChatError, Result};
pub use follow::{FeedEffect, FeedEvent};
pub use outage::Outage;
pub use protections::Protections;
pub use search::SearchRequest;
pub use store::{OrgUsersFilter, Seen};
pub use told::Told;
pub use writer::{CommitView, CommitsView, EventView};

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who, as read from the store when they authenticated.
    pub user: User,
    /// Their login, when it is one of ours; none for another system's token.
    pub session: Option<SessionId>,
    /// When the token that they showed ends.
    pub expires_at: Timestamp,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Chat {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn store::Store>,
    bus: Arc<dyn bus::Bus>,
    env: Env,
    config: ChatConfig,
    metrics: metrics::Metrics,
    auth: auth::Auth,
    arrivals: arrivals::Arrivals,
    writer: Arc<writer::Writer>,
    receipts: receipts::Coalescer,
    typing: typing::Shown,
}

impl Chat {
    /// Wires the domain to its store, bus and world, and starts the writer's tasks (inside a tokio runtime). Fails when
    /// a key does not parse; the message is fit for an operator.
    pub fn new(
        store: Arc<dyn store::Store>,
        bus: Arc<dyn bus::Bus>,
        env: Env,
        config: ChatConfig,
        registry: &prometheus::Registry,
    ) -> std::result::Result<Self, String> {
        let auth = auth::Auth::new(&config.auth)?;
        let metrics = metrics::Metrics::register(registry)?;
        let arrivals = arrivals::Arrivals::new(&store, &env, &config, &metrics);
        let writer = Arc::new(writer::Writer::start(&store, &bus, &env, &config, metrics.clone()));
        let told_by = Arc::clone(&writer);
        let tell = Arc::new(move |row: &store::MarkRow, marked: &store::Marked, epoch: &str| {
            receipts::tell(&told_by, row, marked, epoch);
        });
        let receipts =
            receipts::Coalescer::start(Arc::clone(&store), tell, receipts::Pace::default(), &env, metrics.clone());
        let typing = typing::Shown::default();
        Ok(Self {
            inner: Arc::new(Inner { store, bus, env, config, metrics, auth, arrivals, writer, receipts, typing }),
        })
    }

    /// The world that this node lives in.
    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// What a connection may do, as told to clients.
    pub fn limits(&self) -> &protocol::Limits {
        &self.inner.config.limits
    }

    /// One change of a conversation, through its lane.
    async fn submit(&self, conversation: ConversationId, caller: &Caller, kind: change::Kind) -> Result<change::Done> {
        let id = MessageId(self.inner.env.id());
        self.inner.writer.submit(change::Request::with_id(id, conversation, caller.user.id, kind)).await
    }

    /// Stops taking changes and markers, waits until what was taken is committed and published, then returns.
    pub async fn shutdown(&self) {
        // First: what it writes is published by the writer.
        self.inner.receipts.shutdown().await;
        self.inner.writer.shutdown().await;
    }
}
