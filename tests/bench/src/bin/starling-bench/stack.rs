//! What is measured: nodes of the real binary with their own Postgres (which syncs) and Redis.

use anyhow::{Context, Result, ensure};
use bench::limit::{cores, pin};
use load::Target;
use starling_tests::{
    node::{self, Node, Role},
    postgres::PrivatePostgres,
    redis::Redis,
};

const SECRET: &str = "a secret of the benchmark, 32 bytes+";

/// Which cores are whose.
pub(crate) struct Apart {
    /// The nodes'.
    pub(crate) servers: Vec<usize>,
    /// Postgres' and Redis'.
    pub(crate) services: Vec<usize>,
    /// Everybody else's.
    pub(crate) others: Vec<usize>,
}

impl Apart {
    /// Servers on the first core and everything else, this process included, on the others; with one core alone nothing
    /// is kept apart. All cores too, to be given back to this process afterwards.
    pub(crate) fn of_this_machine() -> Result<(Option<Self>, Vec<usize>)> {
        let all = cores()?;
        let apart = match all.as_slice() {
            [server, others @ ..] if !others.is_empty() => {
                pin(std::process::id(), others)?;
                Some(Self { servers: vec![*server], services: others.to_vec(), others: others.to_vec() })
            }
            _ => None,
        };
        Ok((apart, all))
    }
}

/// Runs until it is dropped.
pub(crate) struct Stack {
    /// How it is reached.
    pub(crate) target: Target,
    /// The nodes' processes.
    pub(crate) pids: Vec<u32>,
    /// URL of the database.
    pub(crate) database: String,
    // In this order: nodes end before what they use.
    nodes: Vec<Node>,
    _services: Services,
}

/// A Postgres that syncs, and a Redis.
pub(crate) struct Services {
    pub(crate) redis: Redis,
    pub(crate) postgres: PrivatePostgres,
}

impl Services {
    /// Starts them, on their cores.
    pub(crate) async fn start(apart: Option<&Apart>) -> Result<Self> {
        let own = std::process::id();
        apart.map_or(Ok(()), |apart| pin(own, &apart.services))?;
        let postgres = PrivatePostgres::start_with(&["fsync=on", "full_page_writes=on"]).await?;
        let redis = Redis::start().await?;
        apart.map_or(Ok(()), |apart| pin(own, &apart.others))?;
        Ok(Self { redis, postgres })
    }
}

impl Stack {
    /// Starts so many nodes that do both roles; kept apart from everything else, where it is said how.
    pub(crate) async fn start(nodes: usize, apart: Option<&Apart>) -> Result<Self> {
        let own = std::process::id();
        let services = Services::start(apart).await?;
        let (url, redis_url) = (services.postgres.url(), services.redis.url());
        let (code, _, log) = node::run(&["migrate"], [("DATABASE_URL", url.as_str())]).await?;
        ensure!(code == Some(0), "`starling migrate` failed: {log}");
        let env = [
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", redis_url.as_str()),
            ("STARLING_JWT_SECRET", SECRET),
            // The load is meant to go as fast as it is answered.
            ("STARLING_COMMAND_RATE", "0"),
            ("STARLING_LOG", "warn"),
        ];
        let mut running = Vec::new();
        for _ in 0..nodes {
            // Put there before it begins, by way of its parent: a node has as many threads as it finds cores.
            apart.map_or(Ok(()), |apart| pin(own, &apart.servers))?;
            let started = Node::start(Role::Serve, env).await;
            apart.map_or(Ok(()), |apart| pin(own, &apart.others))?;
            let mut node = started?;
            node.ready().await?;
            running.push(node);
        }
        let pids = running.iter().map(Node::id).collect();
        let target = Target {
            api: running.first().map(|node| node.url().to_owned()).unwrap_or_default(),
            gateways: running.iter().map(|node| node.url().to_owned()).collect(),
            secret: SECRET.to_owned(),
        };
        Ok(Self { target, pids, database: url, nodes: running, _services: services })
    }

    /// The sum of a metric over its labels and over all nodes.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let mut sum = 0.0;
        for node in &self.nodes {
            sum += node.metric(name).await?;
        }
        Ok(sum)
    }

    /// Base URL of the admin listener of the node that was started first.
    pub(crate) fn admin(&self) -> Result<String> {
        Ok(self.nodes.first().context("there is no node")?.admin().to_owned())
    }

    /// Kills the node that was started last.
    pub(crate) fn kill_last(&mut self) -> Result<()> {
        self.nodes.pop().context("there is no node")?.kill()
    }
}
