//! One server: what the bus does when it dies, freezes, refuses, is full, or is not there yet.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{
    Bus, BusError, BusStatus, Incoming, NodePresence, Topic,
    redis::{RedisBus, RedisConfig},
};
use bytes::Bytes;
use protocol::{NodeId, PresenceState, UserId};
use starling_tests::{
    conformance::bus::{Ear, SOON, publish, topic, up},
    process::eventually,
    redis::Redis,
};
use tokio::time::timeout;

use crate::{FAILOVER, HANGS, LIMIT, down, recovered, whole};

fn config(server: &Redis) -> RedisConfig {
    crate::config(server.url())
}

fn node(server: &Redis) -> Arc<dyn Bus> {
    crate::node(server.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_comes_back_is_noticed_and_everything_is_subscribed_again() {
    let mut server = Redis::start().await.unwrap();
    let (a, b) = (node(&server), node(&server));
    let mut ear = Ear::of(&a);
    let topics: Vec<Topic> = (0..1_000).map(|_| topic()).collect();
    a.subscribe(&topics).await.unwrap();
    up(&a).await;
    // The first Lost belongs to the first connect.
    ear.lost().await;
    for _ in 0..2 {
        server.kill().unwrap();
        down(&a).await;
        let start = Instant::now();
        let refused = b.publish(&[(topics[0], Bytes::new())]).await;
        assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
        assert!(start.elapsed() < HANGS, "it failed after {:?}", start.elapsed());
        server.up().await.unwrap();
        recovered(&a, &mut ear, &b, &topics).await;
    }
    assert!(server.calls("subscribe").await.unwrap() < 20, "subscriptions come back in few commands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_are_made_again_and_one_publish_does_not_notice() {
    let server = Redis::start().await.unwrap();
    let (a, b) = (node(&server), node(&server));
    let mut ear = Ear::of(&a);
    let topics = [topic()];
    a.subscribe(&topics).await.unwrap();
    up(&a).await;
    ear.lost().await;
    publish(&b, topics[0], b"before").await;
    let mut admin = server.connection().await.unwrap();
    for kind in ["pubsub", "normal"] {
        let killed: u64 =
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", kind, "SKIPME", "yes"]).query_async(&mut admin).await.unwrap();
        assert!(killed > 0, "{kind}");
        if kind == "pubsub" {
            recovered(&a, &mut ear, &b, &topics).await;
        } else {
            publish(&b, topics[0], b"at the first attempt").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_noticed_and_left_and_found_again() {
    let server = Redis::start().await.unwrap();
    let (a, b) = (node(&server), node(&server));
    let mut ear = Ear::of(&a);
    let topics = [topic(), topic()];
    a.subscribe(&topics).await.unwrap();
    up(&a).await;
    ear.lost().await;
    publish(&b, topics[0], b"before").await;
    server.freeze().unwrap();
    let start = Instant::now();
    assert!(matches!(b.publish(&[(topics[0], Bytes::new())]).await, Err(BusError::Unavailable(_))));
    assert!(matches!(b.ping().await, Err(BusError::Unavailable(_))));
    assert!(matches!(b.take("key").await, Err(BusError::Unavailable(_))));
    assert!(matches!(a.subscribe(&[topic()]).await, Err(BusError::Unavailable(_))));
    assert!(start.elapsed() < HANGS, "four calls failed after {:?}", start.elapsed());
    down(&a).await;
    server.thaw().unwrap();
    recovered(&a, &mut ear, &b, &topics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_at_the_start_is_used_when_it_comes() {
    let mut server = Redis::down().unwrap();
    let start = Instant::now();
    let (a, b) = (node(&server), node(&server));
    assert!(start.elapsed() < LIMIT, "starting does not wait for Redis");
    assert_eq!(*a.status().borrow(), BusStatus::Down);
    let mut ear = Ear::of(&a);
    let topics = [topic(), topic()];
    let start = Instant::now();
    let refused = a.subscribe(&topics).await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    assert!(start.elapsed() < HANGS, "it failed after {:?}", start.elapsed());
    // Released during the outage: it must not come back.
    a.unsubscribe(&topics[1..]);
    server.up().await.unwrap();
    recovered(&a, &mut ear, &b, &topics[..1]).await;
    publish(&b, topics[1], b"to nobody").await;
    publish(&b, topics[0], b"end").await;
    let heard = ear.until(b"end").await;
    assert!(heard.iter().all(|(topic, _)| *topic == topics[0]), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_subscribed_during_an_outage_is_live_when_lost_comes() {
    let mut server = Redis::start().await.unwrap();
    let (a, b) = (node(&server), node(&server));
    let mut ear = Ear::of(&a);
    a.subscribe(&[topic()]).await.unwrap();
    up(&a).await;
    ear.lost().await;
    server.stop().await.unwrap();
    down(&a).await;
    let during = [topic(), topic(), topic()];
    assert!(matches!(a.subscribe(&during).await, Err(BusError::Unavailable(_))));
    server.up().await.unwrap();
    recovered(&a, &mut ear, &b, &during).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_the_same_moment_share_commands() {
    let server = Redis::start().await.unwrap();
    let a: Arc<dyn Bus> = Arc::new(RedisBus::start(RedisConfig { linger: Duration::ZERO, ..config(&server) }).unwrap());
    up(&a).await;
    let topics: Vec<Topic> = (0..5_000).map(|_| topic()).collect();
    let calls = topics.iter().map(|topic| a.subscribe(std::slice::from_ref(topic)));
    futures_util::future::try_join_all(calls).await.unwrap();
    let subscribes = server.calls("subscribe").await.unwrap();
    assert!((25..=100).contains(&subscribes), "{subscribes} commands for 5,000 topics");
    a.unsubscribe(&topics);
    let mut admin = server.connection().await.unwrap();
    eventually("all are unsubscribed", SOON, async || {
        let left: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query_async(&mut admin).await.unwrap();
        if left.is_empty() { Ok(()) } else { Err(left.len()) }
    })
    .await;
    let unsubscribes = server.calls("unsubscribe").await.unwrap();
    assert!((25..=100).contains(&unsubscribes), "{unsubscribes} commands for 5,000 topics");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_as_a_refusal() {
    let server = Redis::start_with(&["--requirepass", "right"]).await.unwrap();
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    for bad in [url("wrong"), server.url()] {
        let bus = RedisBus::start(crate::config(bad)).unwrap();
        let topic = topic();
        for refused in [
            bus.subscribe(&[topic]).await.unwrap_err(),
            bus.publish(&[(topic, Bytes::new())]).await.unwrap_err(),
            bus.ping().await.unwrap_err(),
        ] {
            let text = format!("{:?}", anyhow::Error::from(refused));
            assert!(text.contains("the bus refused"), "{text}");
            assert!(!text.contains("wrong@") && !text.contains("redis://"), "{text}");
        }
        assert_eq!(*bus.status().borrow(), BusStatus::Down);
    }
    let right: Arc<dyn Bus> = Arc::new(RedisBus::start(crate::config(url("right"))).unwrap());
    up(&right).await;
    assert!(right.describe().await.unwrap().starts_with("redis "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_programs_on_the_server_are_not_heard_and_do_no_harm() {
    let server = Redis::start().await.unwrap();
    let bus = RedisBus::start(config(&server)).unwrap();
    let other: Arc<dyn Bus> =
        Arc::new(RedisBus::start(RedisConfig { prefix: "other:".into(), ..config(&server) }).unwrap());
    let topic = topic();
    bus.subscribe(&[topic]).await.unwrap();
    other.subscribe(&[topic]).await.unwrap();
    publish(&other, topic, b"of another cluster").await;
    other.put("key", Bytes::from_static(b"theirs"), SOON).await.unwrap();
    assert_eq!(bus.take("key").await.unwrap(), None);

    // Somebody publishes on channels that look like ours.
    let mut admin = server.connection().await.unwrap();
    for channel in ["test:", "test:c:nonsense", "test:zzz", "c:1", &format!("test:{topic}x")] {
        redis::cmd("PUBLISH").arg(channel).arg(b"garbage\xff").query_async::<()>(&mut admin).await.unwrap();
    }
    let mut incoming = bus.incoming().unwrap();
    bus.publish(&[(topic, Bytes::from_static(b"ours"))]).await.unwrap();
    loop {
        match timeout(SOON, incoming.recv()).await.unwrap().unwrap() {
            Incoming::Lost => {}
            Incoming::Event { payload, .. } => {
                assert_eq!(payload, "ours");
                break;
            }
        }
    }
    assert_eq!(bus.stats().dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_for_the_channels_the_bus_is_down_and_says_why() {
    let server = Redis::start().await.unwrap();
    let mut admin = server.connection().await.unwrap();
    redis::cmd("ACL")
        .arg(&["SETUSER", "limited", "on", ">secret", "allcommands", "allkeys", "resetchannels"])
        .query_async::<()>(&mut admin)
        .await
        .unwrap();
    let url = format!("redis://limited:secret@127.0.0.1:{}", server.port());
    let bus = RedisBus::start(crate::config(url)).unwrap();
    let refused = bus.subscribe(&[topic()]).await;
    assert!(matches!(refused, Err(BusError::Refused(_))), "{refused:?}");
    assert!(matches!(bus.publish(&[(topic(), Bytes::new())]).await, Err(BusError::Refused(_))));
    assert!(bus.ping().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_of_500_users_is_one_round_trip_and_foreign_values_count_for_nothing() {
    let server = Redis::start().await.unwrap();
    let bus = node(&server);
    let name = NodeId::generate();
    bus.hold_lease(name, SOON).await.unwrap();
    let users: Vec<UserId> = (0..500).map(|_| UserId::generate()).collect();
    let online = |user: &UserId| NodePresence { user: *user, state: PresenceState::Online, focus: Vec::new() };
    let scripts = server.calls("eval").await.unwrap();
    bus.set_presence(name, &users.iter().map(online).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(server.calls("eval").await.unwrap(), scripts + 1, "said in one command");

    // What another program puts there is not said by anybody; the rest still is.
    let mut admin = server.connection().await.unwrap();
    for (user, field, value) in [
        (users[0], name.to_string(), "nonsense"),
        (users[1], name.to_string(), "o,not-an-id"),
        (users[2], "not a node".into(), "o"),
        (users[3], NodeId::generate().to_string(), "o"),
    ] {
        redis::cmd("HSET")
            .arg(&[format!("test:presence:{user}"), field, value.into()])
            .query_async::<()>(&mut admin)
            .await
            .unwrap();
    }
    let (scripts, hashes) = (server.calls("eval").await.unwrap(), server.calls("hgetall").await.unwrap());
    let reads = reads(&server).await;
    let said = bus.presence(&users).await.unwrap();
    let reads = self::reads(&server).await - reads;
    assert_eq!(server.calls("eval").await.unwrap(), scripts + 1);
    assert_eq!(server.calls("hgetall").await.unwrap(), hashes + 500);
    // 500 questions are a few dozen KiB, which the server reads in a few pieces; one by one there would be 500.
    assert!(reads < 30, "{reads} reads");
    let there = |said: &bus::UserPresence| said.state == PresenceState::Online;
    assert_eq!(said.iter().filter(|said| there(said)).count(), 498);
    assert!(!there(&said[0]) && !there(&said[1]) && there(&said[2]) && there(&said[3]));
    // Nothing is kept for ever.
    for key in [format!("test:presence:{}", users[9]), "test:nodes".into()] {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut admin).await.unwrap();
        assert!(left > 0 && left <= bus::PRESENCE_TTL.as_millis() as i64, "{key}: {left}");
    }
}

/// How often the server read from a socket.
async fn reads(server: &Redis) -> u64 {
    let mut connection = server.connection().await.unwrap();
    let info: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("total_reads_processed:")?.trim().parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dead_nodes_said_goes_when_others_speak_and_a_lost_server_is_told_anew() {
    let mut server = Redis::start().await.unwrap();
    let bus = node(&server);
    let user = UserId::generate();
    let online = [NodePresence { user, state: PresenceState::Online, focus: Vec::new() }];
    let key = format!("test:presence:{user}");
    let name = NodeId::generate();
    for _ in 0..20 {
        let dead = NodeId::generate();
        bus.hold_lease(dead, SOON).await.unwrap();
        bus.set_presence(dead, &online).await.unwrap();
        bus.release_lease(dead).await.unwrap();
    }
    bus.hold_lease(name, SOON).await.unwrap();
    bus.set_presence(name, &online).await.unwrap();
    let fields: u64 = redis::cmd("HLEN").arg(&key).query_async(&mut server.connection().await.unwrap()).await.unwrap();
    assert_eq!(fields, 1);
    server.kill().unwrap();
    let start = Instant::now();
    assert!(matches!(bus.presence(&[user]).await, Err(BusError::Unavailable(_))));
    assert!(matches!(bus.hold_lease(name, SOON).await, Err(BusError::Unavailable(_))));
    assert!(start.elapsed() < HANGS, "it failed after {:?}", start.elapsed());
    server.up().await.unwrap();
    eventually("the lease is held again", SOON, async || bus.hold_lease(name, SOON).await).await;
    assert_eq!(bus.presence(&[user]).await.unwrap()[0].state, PresenceState::Offline, "the server forgot");
    bus.set_presence(name, &online).await.unwrap();
    assert_eq!(bus.presence(&[user]).await.unwrap()[0].state, PresenceState::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_still_carries_events_and_keeps_keys_again_when_there_is_room() {
    let server = Redis::start().await.unwrap();
    let (a, b) = (node(&server), node(&server));
    let mut ear = Ear::of(&a);
    let (topic, name, user) = (topic(), NodeId::generate(), UserId::generate());
    a.subscribe(&[topic]).await.unwrap();
    b.hold_lease(name, SOON).await.unwrap();
    let mut admin = server.connection().await.unwrap();
    let mut set = async |bytes: &str| {
        redis::cmd("CONFIG").arg(&["SET", "maxmemory", bytes]).query_async::<()>(&mut admin).await.unwrap();
    };
    set("1").await;
    let online = [NodePresence { user, state: PresenceState::Online, focus: Vec::new() }];
    for refused in [
        b.put("key", Bytes::from_static(b"value"), SOON).await.unwrap_err(),
        b.set_presence(name, &online).await.unwrap_err(),
    ] {
        assert!(matches!(refused, BusError::Refused(_)), "{refused:?}");
    }
    publish(&b, topic, b"all the same").await;
    assert_eq!(ear.event().await.1, "all the same");
    assert_eq!(*a.status().borrow(), BusStatus::Up);
    assert_eq!(b.presence(&[user]).await.unwrap()[0].state, PresenceState::Offline, "reading goes on");
    // A lease is renewed all the same: it takes no room, and without it everybody would be gone.
    assert_eq!(b.hold_lease(name, SOON).await.unwrap(), [name]);
    set("0").await;
    b.put("key", Bytes::from_static(b"value"), SOON).await.unwrap();
    b.hold_lease(name, SOON).await.unwrap();
    b.set_presence(name, &online).await.unwrap();
    assert_eq!(a.presence(&[user]).await.unwrap()[0].state, PresenceState::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_delays_nobody_for_longer_than_the_limit_and_works_again() {
    let server = Redis::start().await.unwrap();
    let brief = Duration::from_millis(300);
    let a = node(&server);
    let b: Arc<dyn Bus> = Arc::new(RedisBus::start(RedisConfig { command_timeout: brief, ..config(&server) }).unwrap());
    let mut ear = Ear::of(&a);
    let topics = [topic()];
    a.subscribe(&topics).await.unwrap();
    whole(&mut ear, &b, &topics).await;
    let mut admin = server.connection().await.unwrap();
    let start = Instant::now();
    redis::cmd("CLIENT").arg(&["PAUSE", "5000", "ALL"]).query_async::<()>(&mut admin).await.unwrap();
    let refused = b.publish(&[(topics[0], Bytes::new())]).await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    assert!(matches!(b.ping().await, Err(BusError::Unavailable(_))));
    assert!(start.elapsed() < Duration::from_secs(5), "they failed after {:?}", start.elapsed());
    // It was silent for long enough to be taken for dead or not: then there is a Lost, and all is said again.
    eventually("publishing works again", FAILOVER, async || b.publish(&[(topics[0], Bytes::new())]).await).await;
    up(&a).await;
    whole(&mut ear, &b, &topics).await;
}
