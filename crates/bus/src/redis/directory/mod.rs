//! Where the servers are: one that the URL names, the master of a Sentinel set, or the masters of a cluster.
//!
//! Promises that a look is shared by all who ask for it at the same time, and that a map once seen stays in use while
//! nobody answers: the servers may well work. Looks again by itself every few seconds, where that can change anything,
//! so that a master that was replaced is left even if it still answers.

mod cluster;
mod map;
mod sentinel;

use std::{sync::Arc, time::Duration};

use redis::{Pipeline, Value};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep},
};

pub(super) use self::map::Map;
use self::{cluster::Cluster, sentinel::Sentinel};
use super::{
    RedisConfig,
    diagnosis::SentinelDiagnosis,
    failure::{Failure, Moved},
    pipe::Pipe,
    server::Server,
    slot,
    url::Target,
};
use crate::Result;

/// Between the end of a look and the next one: who asks sooner gets what was seen.
const REST: Duration = Duration::from_millis(50);

/// What was seen last.
#[derive(Clone, Default)]
pub(super) struct Sight {
    pub(super) map: Arc<Map>,
    /// Why the last look failed, if it did.
    pub(super) failure: Option<Failure>,
}

pub(super) struct Directory {
    finder: Finder,
    config: RedisConfig,
    sight: watch::Sender<Sight>,
    /// When the last look ended; held while one is under way.
    looked: Mutex<Option<Instant>>,
    suspicion: Notify,
}

/// What a `REDIS_URL` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisKind {
    /// One server.
    One,
    /// A master and its replicas, watched by Sentinels.
    Sentinel,
    /// A Redis Cluster.
    Cluster,
}

enum Finder {
    /// There is nothing to find.
    Named,
    Sentinel(Sentinel),
    Cluster(Cluster),
}

impl Directory {
    pub(super) fn new(target: Target, config: &RedisConfig) -> Result<Self> {
        let (finder, map) = match target {
            Target::One(client) => {
                let name = client.get_connection_info().addr().to_string();
                (Finder::Named, Map::one(Arc::new(Server::new(name, &client, config, false)?)))
            }
            Target::Sentinel { sentinels, master, login } => {
                (Finder::Sentinel(Sentinel::new(sentinels, master, login, config.command_timeout)), Map::default())
            }
            Target::Cluster { seeds, login } => (Finder::Cluster(Cluster::new(seeds, login)), Map::slots()),
        };
        Ok(Self {
            finder,
            config: config.clone(),
            sight: watch::Sender::new(Sight { map: Arc::new(map), failure: None }),
            looked: Mutex::new(None),
            suspicion: Notify::new(),
        })
    }

    /// Looks every now and then, and when somebody found the map wrong. For ever: the bus drops it at its end.
    pub(super) async fn watch(self: Arc<Self>) {
        if matches!(self.finder, Finder::Named) {
            return;
        }
        loop {
            self.look().await;
            tokio::select! {
                () = sleep(self.config.ping_interval) => {}
                () = self.suspicion.notified() => {}
            }
        }
    }

    /// What was seen last.
    pub(super) fn map(&self) -> Arc<Map> {
        self.sight.borrow().map.clone()
    }

    /// What was seen last, and news of it.
    pub(super) fn sight(&self) -> watch::Receiver<Sight> {
        self.sight.subscribe()
    }

    /// Whether topics are sharded and keys have slots.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.finder, Finder::Cluster(_))
    }

    /// Which kind of Redis the URL names.
    pub(super) fn redis(&self) -> RedisKind {
        match &self.finder {
            Finder::Named => RedisKind::One,
            Finder::Sentinel(_) => RedisKind::Sentinel,
            Finder::Cluster(_) => RedisKind::Cluster,
        }
    }

    /// What the Sentinels say, where there are some.
    pub(super) async fn quorums(&self) -> Vec<SentinelDiagnosis> {
        match &self.finder {
            Finder::Sentinel(sentinel) => sentinel.quorums().await,
            Finder::Named | Finder::Cluster(_) => Vec::new(),
        }
    }

    /// What kind of Redis this is, when it is more than a server.
    pub(super) fn kind(&self) -> Option<String> {
        match &self.finder {
            Finder::Named => None,
            Finder::Sentinel(sentinel) => Some(format!("Sentinel, master {}", sentinel.master())),
            Finder::Cluster(_) => Some(format!("cluster, {} masters", self.map().servers.len())),
        }
    }

    /// The slot of a key or channel; 0 where there are none.
    pub(super) fn slot(&self, name: &str) -> u16 {
        if self.is_cluster() { slot::of(name.as_bytes()) } else { 0 }
    }

    /// The server of a slot, as last seen.
    pub(super) fn server(&self, slot: u16) -> std::result::Result<Arc<Server>, Failure> {
        let sight = self.sight.borrow();
        sight.map.server(slot).cloned().ok_or_else(|| match &sight.failure {
            Some(failure) => failure.clone(),
            None if sight.map.servers.is_empty() => Failure::unavailable("no server was found yet"),
            None => Failure::unavailable("a slot of the cluster has no server"),
        })
    }

    /// Something was not as the map says: a look follows soon.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    /// After `seen` turned out to be wrong: the map as it is now, if it is another one.
    pub(super) async fn newer(&self, seen: &Arc<Map>) -> Option<Arc<Map>> {
        if Arc::ptr_eq(seen, &self.map()) {
            self.look().await;
        }
        Some(self.map()).filter(|map| !Arc::ptr_eq(seen, map))
    }

    /// Looks, or waits for the look that is under way.
    pub(super) async fn look(&self) {
        if matches!(self.finder, Finder::Named) {
            return;
        }
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|ended| ended.elapsed() < REST) {
            return;
        }
        let before = self.map();
        let found = match &self.finder {
            Finder::Named => return,
            Finder::Sentinel(sentinel) => sentinel.find(&before, &self.config).await,
            Finder::Cluster(cluster) => cluster.find(&before, &self.config).await,
        };
        *looked = Some(Instant::now());
        self.sight.send_if_modified(|sight| match found {
            Ok(map) if map.is_same(&sight.map) => sight.failure.take().is_some(),
            Ok(map) => {
                *sight = Sight { map: Arc::new(map), failure: None };
                true
            }
            Err(failure) => sight.failure.replace(failure.clone()).is_none_or(|before| before.differs(&failure)),
        });
    }

    /// A server says that another one serves a slot: that one is asked from now on, and a look follows.
    pub(super) fn redirect(&self, moved: &Moved, by: &Server) {
        let Finder::Cluster(cluster) = &self.finder else { return };
        self.sight.send_if_modified(|sight| {
            let Ok(server) = cluster.redirected(moved, by, &sight.map, &self.config) else { return false };
            if sight.map.server(moved.slot).is_some_and(|owner| owner.name == server.name) {
                return false;
            }
            let mut map = (*sight.map).clone();
            map.assign(moved.slot, moved.slot, &server);
            map.tidy();
            sight.map = Arc::new(map);
            true
        });
        self.suspect();
    }
}

/// One question to one server that knows something about the others.
async fn question(pipe: &Pipe, pipeline: &Pipeline) -> std::result::Result<Vec<Value>, Failure> {
    pipe.run(pipeline).await.map_err(|broken| broken.failure)
}

/// Of what several say, the latest: waits for a majority, or for as many as answer. The first failure when none does.
async fn latest<T>(
    asked: impl ExactSizeIterator<Item = impl Future<Output = std::result::Result<(u64, T), Failure>>>,
) -> std::result::Result<T, Failure> {
    use futures_util::{StreamExt, stream::FuturesUnordered};

    let majority = asked.len() / 2 + 1;
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut best, mut answers, mut first_failure): (Option<(u64, T)>, usize, Option<Failure>) = (None, 0, None);
    while let Some(answer) = asked.next().await {
        match answer {
            Ok((epoch, said)) => {
                answers += 1;
                if best.as_ref().is_none_or(|(latest, _)| epoch > *latest) {
                    best = Some((epoch, said));
                }
                if answers >= majority {
                    break;
                }
            }
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    match (best, first_failure) {
        (Some((_, said)), _) => Ok(said),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Failure::unavailable("nobody was asked")),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    type Answer = std::result::Result<(u64, &'static str), Failure>;

    async fn said(answers: Vec<Answer>, silent: usize) -> std::result::Result<&'static str, Failure> {
        let silent = (0..silent).map(|_| std::future::pending().boxed());
        let all: Vec<_> = answers.into_iter().map(|answer| std::future::ready(answer).boxed()).chain(silent).collect();
        latest(all.into_iter()).await
    }

    #[tokio::test]
    async fn the_latest_word_of_a_majority_counts_and_the_silent_minority_is_not_waited_for() {
        assert_eq!(said(vec![Ok((1, "old")), Ok((2, "new"))], 1).await, Ok("new"));
        assert_eq!(said(vec![Ok((2, "new")), Ok((1, "old"))], 1).await, Ok("new"));
        let away = || Failure::unavailable("away");
        assert_eq!(said(vec![Err(away()), Ok((1, "alone")), Err(away())], 0).await, Ok("alone"));
        assert_eq!(said(vec![Err(away()), Err(Failure::refused("no"))], 0).await, Err(away()));
        assert!(said(vec![], 0).await.is_err());
    }
}
