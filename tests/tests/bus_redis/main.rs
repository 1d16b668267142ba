//! The bus over real Redis, of each kind, when servers die, freeze, refuse, are replaced, or hand their slots on.

#![allow(clippy::unwrap_used)]

mod cluster;
mod sentinels;
mod standalone;
mod tls;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bus::{
    Bus, BusStatus, Topic,
    redis::{RedisBus, RedisConfig},
};
use bytes::Bytes;
use starling_tests::{
    conformance::bus::{Ear, SOON, up},
    process::eventually,
};
use tokio::time::timeout;

/// A failover takes a few seconds until the servers have agreed on it.
const FAILOVER: Duration = Duration::from_secs(20);

fn config(url: String) -> RedisConfig {
    RedisConfig { prefix: "test:".into(), ..RedisConfig::new(url) }
}

fn node(url: String) -> Arc<dyn Bus> {
    Arc::new(RedisBus::start(config(url)).unwrap())
}

async fn down(bus: &Arc<dyn Bus>) {
    let mut status = bus.status();
    let down = timeout(SOON, status.wait_for(|status| *status == BusStatus::Down)).await;
    assert!(matches!(down, Ok(Ok(_))), "the loss was not noticed within {SOON:?}");
}

/// Everything between two nodes works again: `Lost` came after all subscriptions were back, then `Up`.
async fn recovered(listener: &Arc<dyn Bus>, ear: &mut Ear, publisher: &Arc<dyn Bus>, topics: &[Topic]) {
    ear.lost().await;
    // From `Lost` on nothing may be missed, on any topic.
    whole(ear, publisher, topics).await;
    up(listener).await;
}

/// An event on each of the topics arrives.
async fn whole(ear: &mut Ear, publisher: &Arc<dyn Bus>, topics: &[Topic]) {
    let payload = Bytes::from(format!("after {}", uuid::Uuid::new_v4()));
    let events: Vec<_> = topics.iter().map(|topic| (*topic, payload.clone())).collect();
    eventually("publishing works again", FAILOVER, async || publisher.publish(&events).await).await;
    let mut silent: HashSet<_> = topics.iter().copied().collect();
    while !silent.is_empty() {
        let (topic, heard) = ear.event().await;
        if heard == payload {
            silent.remove(&topic);
        }
    }
}
