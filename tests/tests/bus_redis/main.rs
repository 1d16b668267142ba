//! The bus over real Redis, of each kind, when servers die, freeze, refuse, are replaced, or hand their slots on.

#![allow(clippy::unwrap_used)]

mod cluster;
mod sentinels;
mod standalone;
mod tls;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bus::{
    Bus, BusStatus, Incoming, Topic,
    redis::{RedisBus, RedisConfig},
};
use bytes::Bytes;
use starling_tests::{
    conformance::bus::{Ear, SOON, up},
    process::eventually,
};
use tokio::time::{Instant, timeout};

/// A failover takes a few seconds until the servers have agreed on it; on a machine that is held up, some think twice.
const FAILOVER: Duration = Duration::from_secs(90);
/// The limit of a call, here: longer than a server of a busy machine is held up.
const LIMIT: Duration = Duration::from_millis(1_500);
/// What ends within [`LIMIT`] and takes so long hangs.
const HANGS: Duration = Duration::from_secs(20);

fn config(url: String) -> RedisConfig {
    RedisConfig { prefix: "test:".into(), command_timeout: LIMIT, ..RedisConfig::new(url) }
}

fn node(url: String) -> Arc<dyn Bus> {
    Arc::new(RedisBus::start(config(url)).unwrap())
}

/// Two nodes that work; the first one listens to the topics.
async fn pair(url: String, topics: &[Topic]) -> (Arc<dyn Bus>, Ear, Arc<dyn Bus>) {
    pair_of([config(url.clone()), config(url)], topics).await
}

async fn pair_of(configs: [RedisConfig; 2], topics: &[Topic]) -> (Arc<dyn Bus>, Ear, Arc<dyn Bus>) {
    let [a, b] = configs.map(|config| -> Arc<dyn Bus> { Arc::new(RedisBus::start(config).unwrap()) });
    let mut ear = Ear::of(&a);
    // Each attempt is a reference, of which one is to be left.
    let mut attempts = 0;
    eventually("topics are subscribed", FAILOVER, async || {
        attempts += 1;
        a.subscribe(topics).await
    })
    .await;
    for _ in 1..attempts {
        a.unsubscribe(topics);
    }
    up(&a).await;
    up(&b).await;
    ear.lost().await;
    whole(&mut ear, &b, topics).await;
    (a, ear, b)
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

/// An event on each of the topics arrives. Where something else was lost meanwhile, which is told, it is said again.
async fn whole(ear: &mut Ear, publisher: &Arc<dyn Bus>, topics: &[Topic]) {
    let payload = Bytes::from(format!("after {}", uuid::Uuid::new_v4()));
    let events: Vec<_> = topics.iter().map(|topic| (*topic, payload.clone())).collect();
    let publish =
        async || eventually("publishing works again", FAILOVER, async || publisher.publish(&events).await).await;
    publish().await;
    let mut silent: HashSet<_> = topics.iter().copied().collect();
    let start = Instant::now();
    while !silent.is_empty() {
        assert!(start.elapsed() < FAILOVER, "{} of {} topics are silent", silent.len(), topics.len());
        match ear.next().await {
            Incoming::Lost => publish().await,
            Incoming::Event { topic, payload: heard } if heard == payload => {
                silent.remove(&topic);
            }
            Incoming::Event { .. } => {}
        }
    }
}
