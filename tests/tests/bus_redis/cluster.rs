//! A cluster: sharded topics, slots that move while events flow, masters that are killed.

use std::{collections::HashMap, time::Duration};

use bus::{
    Bus, BusError, BusStatus, Incoming, NodePresence, Topic,
    redis::{RedisBus, RedisConfig},
};
use bytes::Bytes;
use protocol::{NodeId, PresenceState, UserId};
use starling_tests::{
    conformance::bus::{SOON, publish, topic, up},
    process::eventually,
    redis::{Redis, RedisCluster},
    stalls,
};
use tokio::time::{Instant, timeout};

use crate::{FAILOVER, HANGS, config, down, pair, pair_of, recovered, whole};

async fn slot(cluster: &RedisCluster, topic: Topic) -> u16 {
    cluster.slot(&format!("test:{topic}")).await.unwrap()
}

/// So long slots may move before the bus is said to be down.
const GRACE: Duration = Duration::from_secs(1);
/// Nor is a publish held up for longer, whatever a busy machine adds.
const HELD_UP: Duration = Duration::from_secs(5);
/// While slots move, the reader hears `Lost` at most this often.
const MOVES: Duration = Duration::from_millis(500);

/// Topics of ours that a server has subscribers of.
async fn channels(cluster: &RedisCluster, place: usize) -> usize {
    let mut connection = cluster.connection(cluster.port(place)).await.unwrap();
    let names: Vec<String> =
        redis::cmd("PUBSUB").arg(&["SHARDCHANNELS", "test:*"]).query_async(&mut connection).await.unwrap();
    names.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_keys_and_presence_are_spread_over_the_masters() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..300).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(cluster.url(), &topics).await;
    let mut all = 0;
    for place in 0..3 {
        let here = channels(&cluster, place).await;
        assert!((50..200).contains(&here), "{here} topics on server {place}");
        all += here;
    }
    assert_eq!(all, 300);
    assert!(a.describe().await.unwrap().ends_with("(cluster, 3 masters)"));

    let (name, users) = (NodeId::generate(), (0..500).map(|_| UserId::generate()).collect::<Vec<_>>());
    let online = |user: &UserId| NodePresence { user: *user, state: PresenceState::Online, focus: Vec::new() };
    assert_eq!(a.hold_lease(name, SOON).await.unwrap(), [name]);
    a.set_presence(name, &users.iter().map(online).collect::<Vec<_>>()).await.unwrap();
    let said = b.presence(&users).await.unwrap();
    assert!(said.iter().zip(&users).all(|(said, user)| said.user == *user && said.state == PresenceState::Online));
    for place in 0..3 {
        assert!(cluster.server(place).unwrap().calls("eval").await.unwrap() > 0, "no script on server {place}");
    }
    b.release_lease(name).await.unwrap();
    assert!(a.presence(&users).await.unwrap().iter().all(|said| said.state == PresenceState::Offline));

    a.unsubscribe(&topics[1..]);
    eventually("topics are given up on every master", FAILOVER, async || {
        let mut left = 0;
        for place in 0..3 {
            left += channels(&cluster, place).await;
        }
        if left == 1 { Ok(()) } else { Err(left) }
    })
    .await;
    whole(&mut ear, &b, &topics[..1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_while_events_flow_costs_lost_and_no_order() {
    stalls::watch();
    let cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..20).map(|_| topic()).collect();
    // A server that is held up for a moment is not what this is about.
    let patient = || RedisConfig { command_timeout: HANGS, ..config(cluster.url()) };
    let (a, mut ear, b) = pair_of([patient(), patient()], &topics).await;
    b.put("key", Bytes::from_static(b"value"), SOON * 6).await.unwrap();
    let publisher = b.clone();
    let published = topics.clone();
    let traffic = tokio::spawn(async move {
        for number in 0u64.. {
            let events: Vec<_> =
                published.iter().map(|topic| (*topic, Bytes::copy_from_slice(&number.to_be_bytes()))).collect();
            let start = std::time::Instant::now();
            publisher.publish(&events).await.expect("no publish fails because a slot moves");
            let took = start.elapsed().saturating_sub(stalls::since(start));
            assert!(took < HELD_UP, "a publish took {took:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (moving, key) = (slot(&cluster, topics[0]).await, cluster.slot("test:key").await.unwrap());
    let mut heard: HashMap<Topic, u64> = HashMap::new();
    let mut status = a.status();
    status.mark_unchanged();
    let mut slowest = Duration::ZERO;
    for round in 0..6 {
        let start = Instant::now();
        let from = cluster.owner(moving).await.unwrap();
        let to = (from + 1 + round % 2) % 3;
        cluster.move_slot(moving, to).await.unwrap();
        cluster.move_slot(key, to).await.unwrap();
        // From Lost on, nothing is missed: each topic goes on, and numbers only rise.
        let mut lost = false;
        let mut after: HashMap<Topic, u64> = HashMap::new();
        while !lost || after.len() < topics.len() || after.values().any(|events| *events < 20) {
            assert!(start.elapsed() < FAILOVER, "lost: {lost}, events since: {after:?}");
            match ear.next().await {
                Incoming::Lost => {
                    slowest = slowest.max(start.elapsed());
                    lost = true;
                    after.clear();
                }
                Incoming::Event { topic, payload } if payload.len() == 8 => {
                    let number = u64::from_be_bytes(payload.as_ref().try_into().unwrap());
                    let before = heard.insert(topic, number);
                    if let Some(before) = before {
                        assert!(number >= before, "{topic}: {number} after {before}");
                        assert!(!lost || !after.contains_key(&topic) || number <= before + 1, "a hole after Lost");
                    }
                    *after.entry(topic).or_default() += 1;
                }
                Incoming::Event { .. } => {}
            }
        }
        assert_eq!(cluster.owner(moving).await.unwrap(), to);
    }
    assert!(!traffic.is_finished(), "a publish failed");
    traffic.abort();
    // Unless it takes longer than the bus waits before it says so; a machine that is held up may need that.
    assert!(slowest >= GRACE || !status.has_changed().unwrap(), "a slot that moves is no outage");
    assert_eq!(a.take("key").await.unwrap().unwrap(), "value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_many_slots_move_the_reader_is_not_flooded_with_lost() {
    let cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..100).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(cluster.url(), &topics).await;
    let start = Instant::now();
    for topic in &topics {
        let slot = slot(&cluster, *topic).await;
        let to = (cluster.owner(slot).await.unwrap() + 1) % 3;
        cluster.move_slot(slot, to).await.unwrap();
    }
    let took = start.elapsed();
    let told = timeout(SOON * 9 / 10, ear.lost()).await.is_ok();
    assert!(told, "not a word of {took:?} of moves: {:?}, {:?}", *a.status().borrow(), a.describe().await);
    let (mut lost, mut last) = (1, start.elapsed());
    // Everything after the last move is whole, and comes after the last Lost.
    while let Ok(next) = timeout(Duration::from_secs(2), ear.next()).await {
        if next == Incoming::Lost {
            (lost, last) = (lost + 1, start.elapsed());
        }
    }
    let most = last.as_millis() / MOVES.as_millis() + 2;
    assert!(lost <= most, "{lost} times in {last:?}, of which the moves took {took:?}");
    whole(&mut ear, &b, &topics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_master_is_replaced_by_its_replica_and_the_others_go_on_meanwhile() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..300).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(cluster.url(), &topics).await;
    let mut elsewhere = Vec::new();
    for topic in &topics {
        if cluster.owner(slot(&cluster, *topic).await).await.unwrap() != 0 {
            elsewhere.push(*topic);
        }
    }
    cluster.kill(0).unwrap();
    down(&a).await;
    publish(&b, elsewhere[0], b"meanwhile").await;
    while ear.event().await.1 != "meanwhile" {}
    let gone = topics.iter().find(|topic| !elsewhere.contains(topic)).unwrap();
    let start = std::time::Instant::now();
    let _ = b.publish(&[(*gone, Bytes::new())]).await;
    assert!(start.elapsed() < HANGS, "it took {:?}", start.elapsed());
    cluster.failed_over(0).await.unwrap();
    recovered(&a, &mut ear, &b, &topics).await;
    up(&b).await;
    let name = NodeId::generate();
    assert_eq!(b.hold_lease(name, SOON).await.unwrap(), [name]);
    // It comes back as a replica, which changes nothing.
    cluster.up(0).await.unwrap();
    cluster.whole().await.unwrap();
    whole(&mut ear, &b, &topics).await;
    assert_eq!(channels(&cluster, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_was_ordered_is_followed_though_the_old_master_goes_on_answering() {
    let cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..30).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(cluster.url(), &topics).await;
    cluster.fail_over(0, 3).await.unwrap();
    eventually("the topics are on the new master alone", FAILOVER, async || {
        let (old, new) = (channels(&cluster, 0).await, channels(&cluster, 3).await);
        if old == 0 && new > 0 { Ok(()) } else { Err((old, new)) }
    })
    .await;
    recovered(&a, &mut ear, &b, &topics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_and_a_server_that_is_paused_cost_lost_and_nothing_else() {
    let cluster = RedisCluster::start().await.unwrap();
    let topics: Vec<Topic> = (0..60).map(|_| topic()).collect();
    let (a, mut ear, b) = pair(cluster.url(), &topics).await;
    let mut admin = cluster.connection(cluster.port(1)).await.unwrap();
    for kind in ["pubsub", "normal"] {
        let kill = redis::cmd("CLIENT").arg(&["KILL", "TYPE", kind, "SKIPME", "yes"]).query_async(&mut admin).await;
        let killed: u64 = kill.unwrap();
        assert!(killed > 0, "{kind}");
        if kind == "pubsub" {
            recovered(&a, &mut ear, &b, &topics).await;
        } else {
            whole(&mut ear, &b, &topics).await;
        }
    }
    // Short enough not to be taken for dead by the others.
    redis::cmd("CLIENT").arg(&["PAUSE", "800", "ALL"]).query_async::<()>(&mut admin).await.unwrap();
    whole(&mut ear, &b, &topics).await;
    up(&a).await;
    a.reconnect();
    recovered(&a, &mut ear, &b, &topics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_without_secrets() {
    let cluster = RedisCluster::start_with_password("right").await.unwrap();
    let alone = Redis::start().await.unwrap();
    let wrong = cluster.url().replace(":right@", ":hunter2@");
    let not_a_cluster = format!("redis+cluster://127.0.0.1:{}", alone.port());
    for url in [wrong, not_a_cluster] {
        let bus = RedisBus::start(config(url)).unwrap();
        let refused = eventually("it is refused", SOON, async || match bus.ping().await {
            Err(BusError::Refused(error)) => Ok(error.to_string()),
            other => Err(other),
        })
        .await;
        assert!(!refused.contains("hunter2") && !refused.contains("right"), "{refused}");
        assert!(matches!(bus.subscribe(&[topic()]).await, Err(BusError::Refused(_))));
        assert_eq!(*bus.status().borrow(), BusStatus::Down);
    }
    let topics = [topic()];
    let (a, _ear, _b) = pair(cluster.url(), &topics).await;
    assert_eq!(*a.status().borrow(), BusStatus::Up);
}
