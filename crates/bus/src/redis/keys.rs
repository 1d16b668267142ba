//! Request and reply: short-lived keys, and questions to the server, through a pool of connections.
//!
//! Promises an end within the command timeout, waiting for a free connection included.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::{Connection, Manager, Pool, PoolError};
use redis::{AsyncConnectionConfig, Client};
use tokio::time::{Instant, timeout};

use super::failure::Failure;

pub(super) struct Keys {
    pool: Pool,
    pub(super) prefix: String,
    limit: Duration,
}

impl Keys {
    pub(super) fn new(client: &Client, prefix: String, size: usize, limit: Duration) -> Result<Self, Failure> {
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
        let manager = Manager::new_with_config(client.get_connection_info().clone(), limits)?;
        let pool = Pool::builder(manager).max_size(size.max(1)).build();
        Ok(Self { pool: pool.map_err(|e| Failure::unavailable(e.to_string()))?, prefix, limit })
    }

    pub(super) async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Failure> {
        // Redis refuses 0, and counts in signed 64 bits.
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 4);
        let mut command = redis::cmd("SET");
        command.arg(format!("{}{key}", self.prefix)).arg(value).arg("PX").arg(ttl);
        self.within(async |connection| command.query_async(connection).await).await
    }

    pub(super) async fn take(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let mut command = redis::cmd("GETDEL");
        command.arg(format!("{}{key}", self.prefix));
        let value: Option<Vec<u8>> = self.within(async |connection| command.query_async(connection).await).await?;
        Ok(value.map(Bytes::from))
    }

    pub(super) async fn ping(&self) -> Result<Duration, Failure> {
        self.within(async |connection| {
            let start = Instant::now();
            redis::cmd("PING").query_async::<()>(connection).await?;
            Ok(start.elapsed())
        })
        .await
    }

    /// What the server is, and its version.
    pub(super) async fn describe(&self) -> Result<String, Failure> {
        let mut command = redis::cmd("INFO");
        command.arg("server");
        let info: String = self.within(async |connection| command.query_async(connection).await).await?;
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Ok(match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, Some(version)) => format!("redis {version}"),
            (None, None) => "redis".into(),
        })
    }

    /// Drops the idle connections; those in use find out for themselves.
    pub(super) fn forget(&self) {
        self.pool.retain(|_, _| false);
    }

    pub(super) async fn within<T, F>(&self, ask: F) -> Result<T, Failure>
    where
        F: AsyncFnOnce(&mut Connection) -> redis::RedisResult<T>,
    {
        let work = async {
            let mut connection = self.pool.get().await.map_err(|error| match error {
                PoolError::Backend(error) => Failure::from(error),
                other => Failure::unavailable(other.to_string()),
            })?;
            ask(&mut connection).await.map_err(Failure::from)
        };
        timeout(self.limit, work).await.unwrap_or_else(|_| Err(Failure::silent(self.limit)))
    }
}
