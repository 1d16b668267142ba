//! Metrics of the process itself; the parts register their own in the same registry (`starling_degraded` is the
//! gateway's).

mod stored;

use std::sync::Arc;

use bus::redis::RedisBus;
use gateway::Gateway;
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
    process_collector::ProcessCollector,
};
use store::{Store, postgres::PostgresStore};

use self::stored::Stored;
use super::readiness::{Report, Status};
use crate::{config::Role, telemetry::Spans};

/// Parts that count for themselves; their numbers are copied when somebody looks.
pub(crate) struct Counted {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) postgres: Option<PostgresStore>,
    pub(crate) redis: Option<Arc<RedisBus>>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) spans: Option<Arc<Spans>>,
}

/// The registry, and the gauges that are set when somebody looks.
pub(crate) struct Metrics {
    registry: Registry,
    counted: Counted,
    ready: IntGauge,
    draining: IntGauge,
    stored: Stored,
    store_up: IntGauge,
    bus_up: IntGauge,
    store: StoreMetrics,
    redis: RedisMetrics,
    spans: SpanMetrics,
}

struct StoreMetrics {
    connections: IntGaugeVec,
    most: IntGauge,
    calls: IntGauge,
}

struct RedisMetrics {
    dropped: IntCounter,
    foreign: IntCounter,
    connects: IntCounter,
    subscriptions: IntGauge,
}

struct SpanMetrics {
    exported: IntCounter,
    dropped: IntCounterVec,
}

impl Metrics {
    /// Registers them: those of the parts that there are.
    pub(crate) fn register(registry: Registry, counted: Counted, role: Role) -> Result<Self, prometheus::Error> {
        let info = Opts::new("starling_build_info", "Always 1; what runs, as labels.");
        let info = IntGaugeVec::new(info, &["version", "role"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), role.name()]).set(1);
        registry.register(Box::new(info))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let everywhere = Adder { registry: &registry, wanted: true };
        let with_redis = Adder { wanted: counted.redis.is_some(), ..everywhere };
        let with_postgres = Adder { wanted: counted.postgres.is_some(), ..everywhere };
        Ok(Self {
            ready: everywhere.gauge("starling_ready", "1 when this node should get traffic, as /readyz says.")?,
            draining: everywhere.gauge(
                "starling_draining",
                "1 while the node ends: connections are being moved (starling_connections says how many are left), and \
                 calls are answered that it has.",
            )?,
            stored: Stored::register(Arc::clone(&counted.store), &registry)?,
            store_up: everywhere
                .gauge("starling_store_up", "1 when the database answers, is migrated and takes writes.")?,
            bus_up: everywhere
                .gauge("starling_bus_up", "1 when the bus answers and every subscription is confirmed.")?,
            store: StoreMetrics::register(with_postgres)?,
            redis: RedisMetrics::register(with_redis)?,
            spans: SpanMetrics::register(everywhere)?,
            counted,
            registry,
        })
    }

    /// Prometheus' text format.
    pub(crate) async fn text(&self, report: &Report) -> Result<String, prometheus::Error> {
        if report.store.ok {
            self.stored.look().await;
        }
        self.ready.set(report.is_ready().into());
        self.draining.set((report.status == Status::Draining).into());
        self.store_up.set(report.store.ok.into());
        self.bus_up.set(report.bus.ok.into());
        if let Some(postgres) = &self.counted.postgres {
            self.store.copy(postgres);
        }
        if let Some(redis) = &self.counted.redis {
            self.redis.copy(redis);
        }
        if let Some(spans) = &self.counted.spans {
            self.spans.copy(spans);
        }
        if let Some(gateway) = &self.counted.gateway {
            gateway.observe();
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl StoreMetrics {
    fn register(adder: Adder<'_>) -> Result<Self, prometheus::Error> {
        let connections = Opts::new("starling_store_connections", "Connections to Postgres, by state: busy or idle.");
        Ok(Self {
            connections: adder.add(IntGaugeVec::new(connections, &["state"])?)?,
            most: adder
                .gauge("starling_store_connections_max", "Most connections to Postgres that this node opens.")?,
            calls: adder.gauge(
                "starling_store_calls",
                "Calls of the store under way; more than starling_store_connections_max: some wait for a connection.",
            )?,
        })
    }

    fn copy(&self, postgres: &PostgresStore) {
        let stats = postgres.pool_stats();
        self.connections.with_label_values(&["busy"]).set((stats.open - stats.idle).into());
        self.connections.with_label_values(&["idle"]).set(stats.idle.into());
        self.most.set(stats.most.into());
        self.calls.set(stats.calls.into());
    }
}

impl RedisMetrics {
    fn register(adder: Adder<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            dropped: adder.counter(
                "starling_bus_dropped_total",
                "Events from Redis that found no room because this node was too slow.",
            )?,
            foreign: adder
                .counter("starling_bus_foreign_total", "Messages on our channels that no Starling published.")?,
            connects: adder.counter(
                "starling_bus_connects_total",
                "Times that the subscribing connection was made with every subscription confirmed.",
            )?,
            subscriptions: adder.gauge("starling_bus_subscriptions", "Topics that this node is subscribed to.")?,
        })
    }

    fn copy(&self, redis: &RedisBus) {
        let stats = redis.stats();
        raise(&self.dropped, stats.dropped);
        raise(&self.foreign, stats.foreign);
        raise(&self.connects, stats.connects);
        self.subscriptions.set(i64::try_from(stats.subscriptions).unwrap_or(i64::MAX));
    }
}

impl SpanMetrics {
    fn register(adder: Adder<'_>) -> Result<Self, prometheus::Error> {
        let dropped = Opts::new(
            "starling_spans_dropped_total",
            "Spans that no collector has: of exports that failed, and of those that found the queue full.",
        );
        let dropped = adder.add(IntCounterVec::new(dropped, &["reason"])?)?;
        // There before anything happens, without a collector too.
        for reason in ["export_failed", "queue_full"] {
            dropped.with_label_values(&[reason]);
        }
        Ok(Self {
            exported: adder.counter("starling_spans_exported_total", "Spans of traces that the collector took.")?,
            dropped,
        })
    }

    fn copy(&self, spans: &Spans) {
        raise(&self.exported, spans.exported());
        raise(&self.dropped.with_label_values(&["export_failed"]), spans.refused());
        raise(&self.dropped.with_label_values(&["queue_full"]), spans.turned_away());
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// Makes metrics, and registers those that are wanted on this node.
#[derive(Clone, Copy)]
struct Adder<'a> {
    registry: &'a Registry,
    wanted: bool,
}

impl Adder<'_> {
    fn gauge(self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn counter(self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn add<C: Collector + Clone + 'static>(self, collector: C) -> Result<C, prometheus::Error> {
        if self.wanted {
            self.registry.register(Box::new(collector.clone()))?;
        }
        Ok(collector)
    }
}

#[cfg(test)]
mod page;
