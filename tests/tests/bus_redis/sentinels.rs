//! A Sentinel set: the master that the Sentinels name is used, and left when they name another one.

use std::{sync::Arc, time::Duration};

use bus::{Bus, BusError, BusStatus, Topic, redis::RedisBus};
use bytes::Bytes;
use starling_tests::{
    conformance::bus::{SOON, publish, topic, up},
    process::eventually,
    redis::RedisSentinels,
};
use tokio::time::Instant;

use crate::{FAILOVER, HANGS, config, down, node, pair, recovered, whole};

/// What a node publishes until it is dropped, and what came of it, does not hang.
fn traffic(bus: &Arc<dyn Bus>, topic: Topic) -> tokio::task::JoinHandle<()> {
    let bus = bus.clone();
    tokio::spawn(async move {
        loop {
            let start = Instant::now();
            let _ = bus.publish(&[(topic, Bytes::from_static(b"traffic"))]).await;
            assert!(start.elapsed() < HANGS, "publishing took {:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
}

/// Topics of ours that the server with this port has subscribers of.
async fn listening(set: &RedisSentinels, port: u16) -> usize {
    let mut connection = set.connection(port).await.unwrap();
    let names: Vec<String> =
        redis::cmd("PUBSUB").arg(&["CHANNELS", "test:*"]).query_async(&mut connection).await.unwrap();
    names.len()
}

/// Waits until nobody listens to the server with this port.
async fn left(set: &RedisSentinels, port: u16) {
    eventually("nobody listens to the old one", FAILOVER, async || match listening(set, port).await {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
}

/// Waits until a node uses the server with this port. Until then it publishes to the old one, which goes on answering.
async fn followed(set: &RedisSentinels, bus: &Arc<dyn Bus>, port: u16) {
    let mut server = set.connection(port).await.unwrap();
    eventually("the node has followed", FAILOVER, async || {
        bus.put("followed", Bytes::new(), FAILOVER).await.map_err(|error| error.to_string())?;
        match redis::cmd("EXISTS").arg("test:followed").query_async(&mut server).await {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_master_is_killed_events_flow_through_the_next_one_and_not_through_the_old_one_when_it_is_back() {
    let mut set = RedisSentinels::start().await.unwrap();
    let topics: Vec<Topic> = (0..500).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(set.url(), &topics).await;
    b.put("key", Bytes::from_static(b"value"), FAILOVER * 3).await.unwrap();
    let traffic = traffic(&b, topics[0]);
    let before = set.kill_master().await.unwrap();
    down(&a).await;
    let after = set.failed_over(before).await.unwrap();
    recovered(&a, &mut ear, &b, &topics).await;
    up(&b).await;
    assert!(!traffic.is_finished(), "publishing hung");
    traffic.abort();
    b.put("key", Bytes::from_static(b"new"), SOON).await.unwrap();
    assert_eq!(a.take("key").await.unwrap().unwrap(), "new");

    // It comes back as a master that nobody has told anything; the Sentinels make it a replica after a while.
    set.server(before).unwrap().up().await.unwrap();
    let start = Instant::now();
    loop {
        publish(&b, topics[1], b"through the new one").await;
        while ear.event().await.1 != "through the new one" {}
        // A Sentinel breaks all connections of a server whose role it changes: ours too.
        if set.role(before).await.is_ok_and(|role| role == "slave") {
            break;
        }
        assert!(start.elapsed() < FAILOVER, "it was not made a replica");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    whole(&mut ear, &b, &topics).await;
    assert_eq!(*a.status().borrow(), BusStatus::Up);
    left(&set, before).await;
    assert_eq!(listening(&set, after).await, topics.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_replaced_is_left_even_when_it_wakes_and_answers() {
    let mut set = RedisSentinels::start().await.unwrap();
    let topics = [topic(), topic()];
    let (a, mut ear, b) = pair(set.url(), &topics).await;
    let before = set.master_port().await.unwrap();
    set.server(before).unwrap().freeze().unwrap();
    // Asked while it is gone, for as long as it takes to agree on another one.
    set.failed_over(before).await.unwrap();
    recovered(&a, &mut ear, &b, &topics).await;
    up(&b).await;
    set.server(before).unwrap().thaw().unwrap();
    for round in 0..50u32 {
        publish(&b, topics[0], &round.to_be_bytes()).await;
        while ear.event().await.1 != round.to_be_bytes().as_slice() {}
    }
    whole(&mut ear, &b, &topics).await;
    left(&set, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_was_ordered_is_followed() {
    let set = RedisSentinels::start_with_password("right").await.unwrap();
    let topics = [topic(), topic()];
    let (a, mut ear, b) = pair(set.url(), &topics).await;
    let before = set.master_port().await.unwrap();
    set.order_failover().await.unwrap();
    let after = set.failed_over(before).await.unwrap();
    followed(&set, &b, after).await;
    recovered(&a, &mut ear, &b, &topics).await;
    up(&b).await;
    assert_eq!(*a.status().borrow(), BusStatus::Up);
    left(&set, before).await;
    assert_eq!(listening(&set, after).await, topics.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_keeps_its_connections_and_knows_of_nothing_is_left_when_the_sentinels_name_another_one() {
    let set = RedisSentinels::start().await.unwrap();
    let topics = [topic(), topic()];
    let (a, mut ear, b) = pair(set.url(), &topics).await;
    let before = set.master_port().await.unwrap();
    // The Sentinels can neither demote it nor cut its clients off, as if they could not reach it.
    let mut admin = set.connection(before).await.unwrap();
    redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-replicaof", "-slaveof"])
        .query_async::<()>(&mut admin)
        .await
        .unwrap();
    redis::cmd("ACL").arg(&["SETUSER", "default", "-client"]).query_async::<()>(&mut admin).await.unwrap();
    set.order_failover().await.unwrap();
    let after = set.failed_over(before).await.unwrap();
    followed(&set, &b, after).await;
    recovered(&a, &mut ear, &b, &topics).await;
    up(&b).await;
    assert_eq!(set.role(before).await.unwrap(), "master", "it was told after all");
    left(&set, before).await;
    assert_eq!(listening(&set, after).await, 2);
    // Where the first node listens, the other one publishes.
    whole(&mut ear, &b, &topics).await;
    b.put("key", Bytes::from_static(b"value"), SOON).await.unwrap();
    let keys: u64 = redis::cmd("EXISTS").arg("test:key").query_async(&mut admin).await.unwrap();
    assert_eq!(keys, 0, "a key went to the old one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_master_is_not_used_though_the_sentinels_name_it() {
    let mut set = RedisSentinels::start().await.unwrap();
    let (master, nobody) = (set.master_port().await.unwrap(), "1");
    // The Sentinels are stopped, so that they cannot mend it; what they say stays true for them.
    let mut admin = set.connection(master).await.unwrap();
    set.freeze_sentinel(0).unwrap();
    set.freeze_sentinel(1).unwrap();
    redis::cmd("REPLICAOF").arg(&["127.0.0.1", nobody]).query_async::<()>(&mut admin).await.unwrap();
    let bus = node(set.url());
    for _ in 0..3 {
        let refused = bus.publish(&[(topic(), Bytes::new())]).await;
        assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
        let refused = bus.take("key").await;
        assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    }
    let refused = bus.subscribe(&[topic()]).await;
    assert!(matches!(&refused, Err(BusError::Unavailable(_))), "{refused:?}");
    assert_eq!(*bus.status().borrow(), BusStatus::Down);
    redis::cmd("REPLICAOF").arg(&["NO", "ONE"]).query_async::<()>(&mut admin).await.unwrap();
    up(&bus).await;
    bus.publish(&[(topic(), Bytes::new())]).await.unwrap();
    assert!(set.server(master).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sentinel_is_enough_and_without_any_the_master_stays_in_use() {
    let mut set = RedisSentinels::start().await.unwrap();
    set.kill_sentinel(0).unwrap();
    set.kill_sentinel(1).unwrap();
    let topics = [topic()];
    let (a, mut ear, b) = pair(set.url(), &topics).await;
    assert!(a.describe().await.unwrap().ends_with("(Sentinel, master main)"));
    set.kill_sentinel(2).unwrap();
    a.reconnect();
    b.reconnect();
    recovered(&a, &mut ear, &b, &topics).await;
    let late = node(set.url());
    let refused = late.ping().await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_without_secrets() {
    let set = RedisSentinels::start_with_password("right").await.unwrap();
    for (right, wrong) in [(":right@", ":hunter2@"), ("=right", "=hunter2"), ("/main", "/other")] {
        let url = set.url();
        assert!(url.contains(right), "{url}");
        let bus = RedisBus::start(config(url.replace(right, wrong))).unwrap();
        // The first look is under way.
        let refused = eventually("it is refused", SOON, async || match bus.ping().await {
            Err(BusError::Refused(error)) => Ok(error.to_string()),
            other => Err(other),
        })
        .await;
        assert!(!refused.contains("hunter2") && !refused.contains("right"), "{refused}");
        let refused = bus.subscribe(&[topic()]).await;
        assert!(matches!(refused, Err(BusError::Refused(_))), "{wrong}: {refused:?}");
        assert_eq!(*bus.status().borrow(), BusStatus::Down);
    }
}
