//! Metrics of the process itself; the parts register their own in the same registry (`starling_degraded` is the
//! gateway's).

use std::sync::Arc;

use bus::redis::RedisBus;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, process_collector::ProcessCollector};

use super::readiness::Report;
use crate::config::Role;

/// The registry, and the gauges that are set when somebody looks.
pub(crate) struct Metrics {
    registry: Registry,
    ready: IntGauge,
    store_up: IntGauge,
    bus_up: IntGauge,
    redis: Option<(Arc<RedisBus>, RedisMetrics)>,
}

struct RedisMetrics {
    dropped: IntCounter,
    foreign: IntCounter,
    connects: IntCounter,
    subscriptions: IntGauge,
}

impl Metrics {
    /// Registers them. `redis` counts for itself; its numbers are copied when somebody looks.
    pub(crate) fn register(
        registry: Registry,
        redis: Option<Arc<RedisBus>>,
        role: Role,
    ) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let info = Opts::new("starling_build_info", "Always 1; what runs, as labels.");
        let info = IntGaugeVec::new(info, &["version", "role"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), role.name()]).set(1);
        registry.register(Box::new(info))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let redis = match redis {
            None => None,
            Some(redis) => Some((
                redis,
                RedisMetrics {
                    dropped: counter(
                        "starling_bus_dropped_total",
                        "Events from Redis that found no room because this node was too slow.",
                    )?,
                    foreign: counter(
                        "starling_bus_foreign_total",
                        "Messages on our channels that no Starling published.",
                    )?,
                    connects: counter(
                        "starling_bus_connects_total",
                        "Times that the subscribing connection was made with every subscription confirmed.",
                    )?,
                    subscriptions: gauge("starling_bus_subscriptions", "Topics that this node is subscribed to.")?,
                },
            )),
        };
        Ok(Self {
            ready: gauge("starling_ready", "1 when this node should get traffic, as /readyz says.")?,
            store_up: gauge("starling_store_up", "1 when the database answers and is migrated.")?,
            bus_up: gauge("starling_bus_up", "1 when the bus answers and every subscription is confirmed.")?,
            redis,
            registry,
        })
    }

    /// Prometheus' text format.
    pub(crate) fn text(&self, report: &Report) -> Result<String, prometheus::Error> {
        self.ready.set(report.is_ready().into());
        self.store_up.set(report.store.ok.into());
        self.bus_up.set(report.bus.ok.into());
        if let Some((redis, metrics)) = &self.redis {
            let stats = redis.stats();
            let raise = |counter: &IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
            raise(&metrics.dropped, stats.dropped);
            raise(&metrics.foreign, stats.foreign);
            raise(&metrics.connects, stats.connects);
            metrics.subscriptions.set(i64::try_from(stats.subscriptions).unwrap_or(i64::MAX));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
