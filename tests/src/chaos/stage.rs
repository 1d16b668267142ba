//! The cluster of a run: three gateways, one api, nginx, Redis and Postgres of its own, and a fault proxy between each
//! node and each of the two.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use store::postgres::{PostgresConfig, PostgresStore};

use super::Plan;
use crate::{
    cluster::{Cluster, ClusterConfig},
    node::Node,
    proxy::Proxy,
};

/// A presence lease of a node.
pub(super) const LEASE: std::time::Duration = std::time::Duration::from_secs(3);

/// In each node's folder: how many milliseconds its clock is ahead.
const CLOCK: &str = "clock";

const ENV: &[(&str, &str)] = &[
    ("STARLING_TEST_CLOCK_OFFSET_FILE", CLOCK),
    ("STARLING_PRESENCE_LEASE", "3s"),
    ("STARLING_SWEEP_INTERVAL", "3s"),
    ("STARLING_HEARTBEAT", "2s"),
    ("STARLING_DRAIN_WINDOW", "2s"),
    ("STARLING_REQUEST_TIMEOUT", "4s"),
    // The pace is the plan's; a burst of retries is no misuse.
    ("STARLING_COMMAND_RATE", "0"),
    ("STARLING_USER_CONNECTIONS", "0"),
];

/// A running cluster.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    /// The truth, past all proxies.
    pub(super) store: Arc<PostgresStore>,
}

/// One of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Gateway(usize),
    Api,
}

impl Stage {
    pub(super) async fn set(plan: &Plan) -> Result<Self> {
        let mut env: Vec<_> = ENV.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(name) = plan.weaken {
            env.push(("STARLING_TEST_WEAKEN".into(), name.into()));
        }
        let cluster = Cluster::start_with(ClusterConfig {
            gateways: 3,
            apis: 1,
            private_postgres: true,
            redis_proxy: true,
            postgres_proxy: true,
            env,
            ..ClusterConfig::default()
        })
        .await?;
        let store = PostgresStore::connect(PostgresConfig::new(cluster.database_url()?))?;
        Ok(Self { cluster, store: Arc::new(store) })
    }

    pub(super) fn places(&self) -> Vec<Place> {
        (0..self.cluster.gateways.len()).map(Place::Gateway).chain([Place::Api]).collect()
    }

    pub(super) fn node(&self, place: Place) -> &Node {
        match place {
            Place::Gateway(at) => &self.cluster.gateways[at],
            Place::Api => &self.cluster.apis[0],
        }
    }

    pub(super) fn node_mut(&mut self, place: Place) -> &mut Node {
        match place {
            Place::Gateway(at) => &mut self.cluster.gateways[at],
            Place::Api => &mut self.cluster.apis[0],
        }
    }

    /// Of these nodes.
    pub(super) fn redis_proxies(&self, of: &[Place]) -> Result<Vec<Arc<Proxy>>> {
        of.iter().map(|place| self.cluster.redis_proxy(self.node(*place))).collect()
    }

    /// Of these nodes.
    pub(super) fn postgres_proxies(&self, of: &[Place]) -> Result<Vec<Arc<Proxy>>> {
        of.iter().map(|place| self.cluster.postgres_proxy(self.node(*place))).collect()
    }

    /// Sets how far a node's clock is ahead.
    pub(super) fn step_clock(&self, place: Place, millis: i64) -> Result<()> {
        std::fs::write(self.node(place).dir().join(CLOCK), millis.to_string()).context("cannot step a clock")
    }

    /// Every proxy passes everything again.
    pub(super) fn heal(&self) -> Result<()> {
        let places = self.places();
        let proxies = self.redis_proxies(&places)?.into_iter().chain(self.postgres_proxies(&places)?);
        for proxy in proxies {
            proxy.heal()?;
        }
        Ok(())
    }

    /// Waits until every node says that it can do its work.
    pub(super) async fn ready(&mut self) -> Result<()> {
        for place in self.places() {
            self.node_mut(place).ready().await?;
        }
        Ok(())
    }

    /// Writes the logs of all nodes into a folder; returns it.
    pub(super) fn keep_logs(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        for place in self.places() {
            let name = match place {
                Place::Gateway(at) => format!("gateway-{at}.log"),
                Place::Api => "api.log".into(),
            };
            std::fs::write(folder.join(name), self.node(place).log())?;
        }
        Ok(folder.to_owned())
    }
}
