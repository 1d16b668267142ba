//! The bus over Redis pub/sub: to each server one connection that listens, one that publishes, and a pool for keys.
//!
//! There is one server, or the master of a Sentinel set, or the masters of a cluster: the directory finds them, the
//! rest is the same. Promises what [`Bus`] promises, over restarts, kills, freezes and failovers of servers and slots
//! that move; servers may be down at the start. Does not keep anything: what a node must not miss, it reads from the
//! store.

mod config;
mod diagnosis;
mod directory;
mod failure;
mod keys;
mod lane;
mod link;
mod pipe;
mod presence;
mod publisher;
mod registry;
mod server;
mod slot;
mod url;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{NodeId, UserId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

pub use self::{
    config::RedisConfig,
    diagnosis::{Diagnosis, SentinelDiagnosis, ServerSettings, ServerState},
    directory::RedisKind,
};
use self::{
    directory::Directory,
    failure::Failure,
    keys::Keys,
    link::{Link, LinkState, Request},
    publisher::Publisher,
};
use crate::{Bus, BusError, BusStatus, Incoming, NodePresence, Result, Topic, UserPresence, inbox::Inbox};

/// A node's connections to Redis.
pub struct RedisBus {
    config: RedisConfig,
    directory: Arc<Directory>,
    inbox: Inbox,
    requests: mpsc::UnboundedSender<Request>,
    state: Arc<LinkState>,
    publisher: Arc<Publisher>,
    keys: Keys,
    tasks: [JoinHandle<()>; 3],
}

/// Counts since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisBusStats {
    /// Events that found no room because the reader was too slow.
    pub dropped: u64,
    /// Messages on our channels whose names are no topic's: another program uses the prefix.
    pub foreign: u64,
    /// Times that everything was connected, with every subscription confirmed.
    pub connects: u64,
    /// Topics subscribed or about to be, lingering ones included.
    pub subscriptions: u64,
}

impl RedisBus {
    /// Starts the bus inside a tokio runtime, without waiting for Redis. [`BusError::Config`] when the settings
    /// cannot work; whether the server is there, [`Bus::status`] tells.
    pub fn start(config: RedisConfig) -> Result<Self> {
        let directory = Arc::new(Directory::new(config.target()?, &config)?);
        let (requests, inbox) = (mpsc::unbounded_channel(), Inbox::start(config.queue));
        let state = Arc::new(LinkState::new());
        let (prefix, limit) = (config.prefix.clone(), config.command_timeout);
        let publisher = Arc::new(Publisher::new(directory.clone(), prefix.clone(), limit));
        let link =
            Link::new(directory.clone(), config.clone(), requests.1, inbox.clone(), state.clone(), publisher.clone());
        Ok(Self {
            keys: Keys::new(directory.clone(), prefix, limit),
            tasks: [
                tokio::spawn(directory.clone().watch()),
                tokio::spawn(link.run()),
                tokio::spawn(inbox.clone().pay()),
            ],
            config,
            directory,
            inbox,
            requests: requests.0,
            state,
            publisher,
        })
    }

    /// Present counts.
    pub fn stats(&self) -> RedisBusStats {
        RedisBusStats {
            dropped: self.inbox.dropped(),
            foreign: self.state.foreign.load(Ordering::Relaxed),
            connects: self.state.connects.load(Ordering::Relaxed),
            subscriptions: self.state.subscriptions.load(Ordering::Relaxed),
        }
    }

    /// Which kind of Redis its URL names.
    pub fn kind(&self) -> RedisKind {
        self.directory.redis()
    }

    /// What an operator should know of each server that is known now.
    pub async fn diagnose(&self) -> Result<Vec<Diagnosis>> {
        Ok(self.keys.diagnose().await?)
    }

    /// What each Sentinel that its URL names says; none where it names no Sentinels. Waits no longer for any than for a
    /// command.
    pub async fn diagnose_sentinels(&self) -> Vec<SentinelDiagnosis> {
        self.directory.quorums().await
    }

    fn unavailable(&self) -> BusError {
        let failure = self.state.failure.lock().clone();
        failure.unwrap_or_else(|| Failure::silent(self.config.command_timeout)).into()
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<()> {
        Ok(self.publisher.publish(batch).await?)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<()> {
        let (done, mut wait) = oneshot::channel();
        if self.requests.send(Request::Subscribe(topics.to_vec(), done)).is_err() {
            return Err(self.unavailable());
        }
        loop {
            let seen = self.state.confirmed.load(Ordering::Relaxed);
            match timeout(self.config.command_timeout, &mut wait).await {
                Ok(confirmed) => return confirmed.map_err(|_| self.unavailable()),
                // The server answers; there is only much to do.
                Err(_) if self.state.confirmed.load(Ordering::Relaxed) != seen => {}
                Err(_) => {
                    // Closing first: either the link sees that this call gave up, and its reader will hear
                    // `Lost`, or the confirmation is here already.
                    wait.close();
                    return wait.try_recv().map_err(|_| self.unavailable());
                }
            }
        }
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        // Without the task there is no subscription left to end.
        let _ = self.requests.send(Request::Unsubscribe(topics.to_vec()));
    }

    fn incoming(&self) -> Option<mpsc::Receiver<Incoming>> {
        self.inbox.take_reader()
    }

    fn status(&self) -> watch::Receiver<BusStatus> {
        self.state.status.subscribe()
    }

    fn reconnect(&self) {
        for server in &self.directory.map().servers {
            server.forget();
        }
        let _ = self.requests.send(Request::Reconnect);
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        Ok(self.keys.put(key, &value, ttl).await?)
    }

    async fn take(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.keys.take(key).await?)
    }

    async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>> {
        Ok(self.keys.hold_lease(node, ttl).await?)
    }

    async fn release_lease(&self, node: NodeId) -> Result<()> {
        Ok(self.keys.release_lease(node).await?)
    }

    async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()> {
        Ok(self.keys.set_presence(node, users).await?)
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>> {
        Ok(self.keys.presence(users).await?)
    }

    async fn ping(&self) -> Result<Duration> {
        Ok(self.keys.ping().await?)
    }

    async fn describe(&self) -> Result<String> {
        Ok(self.keys.describe().await?)
    }
}
