//! Which kind of Redis a whole cluster of nodes runs on.

use anyhow::{Result, bail};

use super::{Redis, RedisCluster, RedisSentinels};

/// The kinds of Redis that `REDIS_URL` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisKind {
    /// One server.
    #[default]
    Standalone,
    /// Two servers, three Sentinels.
    Sentinel,
    /// Six servers with sharded pub/sub.
    Cluster,
}

/// One of them, running.
#[derive(Debug)]
pub(crate) enum AnyRedis {
    Standalone(Redis),
    Sentinel(RedisSentinels),
    Cluster(RedisCluster),
}

impl AnyRedis {
    pub(crate) async fn start(kind: RedisKind) -> Result<Self> {
        Ok(match kind {
            RedisKind::Standalone => Self::Standalone(Redis::start().await?),
            RedisKind::Sentinel => Self::Sentinel(RedisSentinels::start().await?),
            RedisKind::Cluster => Self::Cluster(RedisCluster::start().await?),
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Standalone(server) => server.url(),
            Self::Sentinel(set) => set.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    pub(crate) fn standalone(&self) -> Result<&Redis> {
        match self {
            Self::Standalone(server) => Ok(server),
            _ => bail!("the Redis of this cluster is not one server"),
        }
    }

    pub(crate) fn standalone_mut(&mut self) -> Result<&mut Redis> {
        match self {
            Self::Standalone(server) => Ok(server),
            _ => bail!("the Redis of this cluster is not one server"),
        }
    }

    pub(crate) fn sentinels(&mut self) -> Result<&mut RedisSentinels> {
        match self {
            Self::Sentinel(set) => Ok(set),
            _ => bail!("the Redis of this cluster is no Sentinel set"),
        }
    }

    pub(crate) fn cluster(&mut self) -> Result<&mut RedisCluster> {
        match self {
            Self::Cluster(cluster) => Ok(cluster),
            _ => bail!("the Redis of this cluster is no Redis Cluster"),
        }
    }
}
