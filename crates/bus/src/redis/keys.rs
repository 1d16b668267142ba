//! Request and reply: short-lived keys, and questions to the servers, through a pool of connections for each server.
//!
//! Promises an end within the command timeout, waiting for a free connection included. In a cluster each question goes
//! to the server of its slot, once more when another server turns out to have it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use redis::{FromRedisValue, Pipeline};
use tokio::time::{Instant, timeout};

use super::{
    diagnosis::{self, Diagnosis},
    directory::Directory,
    failure::Failure,
    server::Server,
};

pub(super) struct Keys {
    pub(super) directory: Arc<Directory>,
    pub(super) prefix: String,
    limit: Duration,
}

impl Keys {
    pub(super) fn new(directory: Arc<Directory>, prefix: String, limit: Duration) -> Self {
        Self { directory, prefix, limit }
    }

    pub(super) async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Failure> {
        // Redis refuses 0, and counts in signed 64 bits.
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 4);
        let key = format!("{}{key}", self.prefix);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(&key).arg(value).arg("PX").arg(ttl).ignore();
        self.ask(self.directory.slot(&key), &pipeline).await
    }

    pub(super) async fn take(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let key = format!("{}{key}", self.prefix);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("GETDEL").arg(&key);
        let (value,): (Option<Vec<u8>>,) = self.ask(self.directory.slot(&key), &pipeline).await?;
        Ok(value.map(Bytes::from))
    }

    /// One round trip to every server.
    pub(super) async fn ping(&self) -> Result<Duration, Failure> {
        // Fails, with the reason, while no server is known.
        self.directory.server(0)?;
        let start = Instant::now();
        let map = self.directory.map();
        let mut pipeline = Pipeline::new();
        pipeline.cmd("PING").ignore();
        let asked = map.servers.iter().map(|server| ask::<()>(server, &pipeline));
        timeout(self.limit, try_join_all(asked)).await.unwrap_or_else(|_| Err(Failure::silent(self.limit)))?;
        Ok(start.elapsed())
    }

    /// What the servers are, and the version of one of them.
    pub(super) async fn describe(&self) -> Result<String, Failure> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("INFO").arg("server");
        let (info,): (String,) = self.ask(0, &pipeline).await?;
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let version = match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, Some(version)) => format!("redis {version}"),
            (None, None) => "redis".into(),
        };
        Ok(match self.directory.kind() {
            Some(kind) => format!("{version} ({kind})"),
            None => version,
        })
    }

    /// What each server says of itself.
    pub(super) async fn diagnose(&self) -> Result<Vec<Diagnosis>, Failure> {
        self.directory.server(0)?;
        let map = self.directory.map();
        Ok(join_all(map.servers.iter().map(|server| diagnosis::of(server, self.limit))).await)
    }

    /// Asks the server of a slot; twice, when the first one says that another one has it.
    pub(super) async fn ask<T: FromRedisValue>(&self, slot: u16, pipeline: &Pipeline) -> Result<T, Failure> {
        timeout(self.limit, self.ask_twice(slot, pipeline)).await.unwrap_or_else(|_| {
            self.directory.suspect();
            Err(Failure::silent(self.limit))
        })
    }

    async fn ask_twice<T: FromRedisValue>(&self, slot: u16, pipeline: &Pipeline) -> Result<T, Failure> {
        let seen = self.directory.map();
        let first = match self.directory.server(slot) {
            Ok(server) => ask(&server, pipeline).await,
            Err(failure) => Err(failure),
        };
        let failure = match first {
            Err(failure) if !failure.is_refused() => failure,
            answer => return answer,
        };
        // It may be replaced; where nothing can have changed, this asks nobody.
        match self.directory.newer(&seen).await {
            Some(_) => ask(&*self.directory.server(slot)?, pipeline).await,
            None => Err(failure),
        }
    }
}

pub(super) async fn ask<T: FromRedisValue>(server: &Server, pipeline: &Pipeline) -> Result<T, Failure> {
    let mut connection = server.ask().await?;
    let answer = pipeline.query_async(&mut connection).await.map_err(Failure::from);
    if answer.as_ref().is_err_and(Failure::is_elsewhere) {
        // A master that was demoted: its other connections lead to the wrong place too.
        server.forget();
    }
    answer
}
