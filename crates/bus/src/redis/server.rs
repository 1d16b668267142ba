//! One Redis server: the connection that publishes to it, the pool that asks it, and the way to listen to it.
//!
//! Nothing connects before it is used. Does not know which topics and keys are the server's: that the directory knows.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolError};
use deadpool_redis::{Hook, HookError};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, RedisError, RedisResult, ServerErrorKind, Value,
    aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection},
};

use super::{RedisConfig, failure::Failure, pipe::Pipe};
use crate::{BusError, Result};

pub(super) struct Server {
    /// `host:port`, for logs, and to tell servers apart.
    pub(super) name: String,
    pub(super) pipe: Pipe,
    pool: Pool,
    /// Speaks RESP3, which tells events and answers apart.
    listener: Client,
    master_only: bool,
    connect_limit: Duration,
}

impl Server {
    /// `master_only`: one that turns out to be a replica is not used (behind Sentinel, where it would take events
    /// that nobody hears).
    pub(super) fn new(name: String, client: &Client, config: &RedisConfig, master_only: bool) -> Result<Self> {
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let limit = config.command_timeout;
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
        let wrong = |error: String| BusError::Config(error);
        let manager = Manager::new_with_config(info.clone(), limits).map_err(|error| wrong(error.to_string()))?;
        let mut pool = Pool::builder(manager).max_size(config.pool_size.max(1));
        if master_only {
            pool = pool.post_create(Hook::async_fn(|connection, _| {
                Box::pin(async move { check_role(connection).await.map_err(HookError::Backend) })
            }));
        }
        Ok(Self {
            name,
            pipe: Pipe::new(client.clone(), limit, master_only),
            pool: pool.build().map_err(|error| wrong(error.to_string()))?,
            listener: Client::open(info.set_redis_settings(settings)).map_err(|error| wrong(error.to_string()))?,
            master_only,
            connect_limit: config.ping_interval,
        })
    }

    /// A connection of its own whose pushes go to `pushes`.
    pub(super) async fn listen(
        &self,
        pushes: impl AsyncPushSender,
    ) -> std::result::Result<MultiplexedConnection, Failure> {
        // The answers are awaited by somebody who knows how much was asked, beside a ping of their own.
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_limit))
            .set_response_timeout(None)
            .set_push_sender(pushes);
        let mut connection = self.listener.get_multiplexed_async_connection_with_config(&limits).await?;
        if self.master_only {
            check_role(&mut connection).await?;
        }
        Ok(connection)
    }

    /// A connection of the pool, for one question.
    pub(super) async fn ask(&self) -> std::result::Result<Connection, Failure> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => Failure::from(error),
            other => Failure::unavailable(other.to_string()),
        })
    }

    /// Drops the connections that publish and the idle ones that ask; those in use find out for themselves.
    pub(super) fn forget(&self) {
        self.pipe.forget();
        self.pool.retain(|_, _| false);
    }
}

/// Fails on a server that is no master.
pub(super) async fn check_role(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
    let role: Option<String> = role.into_iter().next().map(redis::from_redis_value).transpose()?;
    if role.as_deref() == Some("master") {
        return Ok(());
    }
    Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "the server is no master")))
}
