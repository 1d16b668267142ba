//! What every bus keeps: two nodes on one bus, what one publishes and the other hears.
//!
//! Each function is one test; `tests/tests/bus_conformance.rs` runs all of them on each implementation.

mod presence;

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use ::bus::{Bus, BusStatus, Incoming, Topic};
use bytes::Bytes;
use futures_util::future::join_all;
use protocol::{ConversationId, NodeId, OrgId, UserId};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub use self::presence::*;

/// Nothing here takes so long on a working bus, however busy the machine.
pub const SOON: Duration = Duration::from_secs(30);
/// The linger that the nodes are made with, where the bus has one.
pub const LINGER: Duration = Duration::from_millis(300);
/// The queue of the nodes of [`a_slow_reader_hears_that_it_lost_something`].
pub const SMALL_QUEUE: usize = 16;

/// Two nodes on one bus.
#[derive(Clone)]
pub struct Nodes {
    /// Mostly the one that listens.
    pub a: Arc<dyn Bus>,
    /// Mostly the one that publishes.
    pub b: Arc<dyn Bus>,
}

/// Reads what a node hears.
#[derive(Debug)]
pub struct Ear {
    incoming: mpsc::Receiver<Incoming>,
}

impl Ear {
    /// The node's reader; a node has one.
    pub fn of(bus: &Arc<dyn Bus>) -> Self {
        Self { incoming: bus.incoming().expect("nobody took the reader before") }
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> Incoming {
        let next = timeout(SOON, self.incoming.recv()).await;
        next.expect("nothing arrived in time").expect("the bus ended")
    }

    /// The next event.
    pub async fn event(&mut self) -> (Topic, Bytes) {
        loop {
            if let Incoming::Event { topic, payload } = self.next().await {
                return (topic, payload);
            }
        }
    }

    /// Skips everything up to the next [`Incoming::Lost`].
    pub async fn lost(&mut self) {
        while self.next().await != Incoming::Lost {}
    }

    /// Payloads on any topic until one that equals `last` comes; without it.
    pub async fn until(&mut self, last: &[u8]) -> Vec<(Topic, Bytes)> {
        let mut heard = Vec::new();
        loop {
            let (topic, payload) = self.event().await;
            if payload == last {
                return heard;
            }
            heard.push((topic, payload));
        }
    }
}

/// A topic that nobody else uses.
pub fn topic() -> Topic {
    Topic::Conversation(ConversationId::generate())
}

/// Waits until the bus says that it is up.
pub async fn up(bus: &Arc<dyn Bus>) {
    let mut status = bus.status();
    let up = timeout(SOON, status.wait_for(|status| *status == BusStatus::Up)).await;
    assert!(matches!(up, Ok(Ok(_))), "the bus is not up after {SOON:?}");
}

/// Publishes one payload.
pub async fn publish(bus: &Arc<dyn Bus>, topic: Topic, payload: &[u8]) {
    bus.publish(&[(topic, Bytes::copy_from_slice(payload))]).await.expect("publish");
}

/// Bytes arrive as they were published, on each topic in the order of their publisher, batches and topics mixed.
pub async fn events_arrive_whole_and_in_the_order_of_their_publisher(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let topics =
        [topic(), Topic::User(UserId::generate()), Topic::Org(OrgId::generate()), Topic::Node(NodeId::generate())];
    nodes.a.subscribe(&topics).await.expect("subscribe");
    let all_bytes: Vec<u8> = (0..=255).collect();
    let mut expected =
        vec![(topics[0], Bytes::new()), (topics[1], all_bytes.into()), (topics[2], vec![b'x'; 200_000].into())];
    expected.extend((0..1_000u32).map(|n| (topics[n as usize % 4], Bytes::copy_from_slice(&n.to_be_bytes()))));
    for batch in expected.chunks(37) {
        nodes.b.publish(batch).await.expect("publish");
    }
    // Between topics there is no order: they may be on different servers.
    let of = |all: &[(Topic, Bytes)], topic| all.iter().filter(|event| event.0 == topic).cloned().collect::<Vec<_>>();
    let mut heard = Vec::with_capacity(expected.len());
    while heard.len() < expected.len() {
        heard.push(ear.event().await);
    }
    for topic in topics {
        let (heard, sent) = (of(&heard, topic), of(&expected, topic));
        assert_eq!(heard.len(), sent.len(), "{topic}");
        for (n, (heard, sent)) in heard.iter().zip(&sent).enumerate() {
            assert_eq!(heard, sent, "event {n} of {topic}");
        }
    }
    nodes.b.publish(&[]).await.expect("an empty batch is fine");
}

/// A node hears its own events too, and nothing of topics that it did not subscribe.
pub async fn a_node_hears_what_it_subscribed_and_nothing_else(nodes: Nodes) {
    let (mut a, mut b) = (Ear::of(&nodes.a), Ear::of(&nodes.b));
    let (of_a, of_b, of_both, of_none) = (topic(), topic(), topic(), topic());
    nodes.a.subscribe(&[of_a, of_both]).await.expect("subscribe");
    nodes.b.subscribe(&[of_b, of_both]).await.expect("subscribe");
    for payload in [&b"event"[..], b"end"] {
        for topic in [of_none, of_a, of_b, of_both] {
            publish(&nodes.a, topic, payload).await;
        }
    }
    let event = |topic, payload: &'static [u8]| (topic, Bytes::from_static(payload));
    for (ear, own) in [(&mut a, of_a), (&mut b, of_b)] {
        let mut heard = Vec::new();
        while !(heard.contains(&event(own, b"end")) && heard.contains(&event(of_both, b"end"))) {
            heard.push(ear.event().await);
        }
        assert_eq!(heard.len(), 4, "{heard:?}");
        assert!(heard.contains(&event(own, b"event")) && heard.contains(&event(of_both, b"event")), "{heard:?}");
    }
}

/// When `subscribe` has returned, the very next event arrives, whoever publishes it.
pub async fn a_confirmed_subscription_hears_the_very_next_event(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    for round in 0..100u8 {
        let topic = topic();
        nodes.a.subscribe(&[topic]).await.expect("subscribe");
        publish(&nodes.b, topic, &[round]).await;
        assert_eq!(ear.event().await, (topic, Bytes::copy_from_slice(&[round])));
    }
}

/// Of two references, one keeps the topic; without any it falls silent soon.
pub async fn references_are_counted(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let (counted, other) = (topic(), topic());
    nodes.a.subscribe(&[counted, other]).await.expect("subscribe");
    nodes.a.subscribe(&[counted, counted]).await.expect("subscribe");
    nodes.a.unsubscribe(&[counted]);
    nodes.a.unsubscribe(&[counted]);
    tokio::time::sleep(LINGER * 2).await;
    publish(&nodes.b, counted, b"one reference is left").await;
    assert_eq!(ear.event().await.1, "one reference is left");

    nodes.a.unsubscribe(&[counted]);
    nodes.a.unsubscribe(&[counted, topic()]);
    let start = Instant::now();
    let mut silent = 0;
    // Twice: the two topics may be on different servers, so that one may be a little late.
    while silent < 2 {
        publish(&nodes.b, counted, b"is anybody there").await;
        publish(&nodes.b, other, b"end").await;
        silent = if ear.until(b"end").await.is_empty() { silent + 1 } else { 0 };
        assert!(start.elapsed() < SOON, "still subscribed {SOON:?} after the last reference went");
    }

    // What was released too often counts from zero again.
    nodes.a.subscribe(&[counted]).await.expect("subscribe");
    publish(&nodes.b, counted, b"again").await;
    // A question of before, where its server was late by more than two rounds.
    let late = ear.until(b"again").await;
    assert!(late.iter().all(|(_, payload)| payload == "is anybody there"), "{late:?}");
}

/// Released and needed again at once, many times over: never deaf afterwards.
pub async fn a_topic_that_comes_and_goes_is_never_lost(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let topic = topic();
    for round in 0..60u64 {
        nodes.a.subscribe(&[topic]).await.expect("subscribe");
        publish(&nodes.b, topic, &round.to_be_bytes()).await;
        assert_eq!(ear.event().await.1, round.to_be_bytes().as_slice(), "round {round}");
        nodes.a.unsubscribe(&[topic]);
        // Around the end of the linger, where subscribing and unsubscribing meet.
        tokio::time::sleep(if round % 20 == 19 { LINGER } else { Duration::from_millis(round % 3) }).await;
    }
}

/// Thousands of topics, by many calls at once, are all confirmed and all work.
pub async fn thousands_of_topics_at_once(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let topics: Vec<Topic> = (0..5_000).map(|_| topic()).collect();
    let (many, single) = topics.split_at(2_500);
    let calls = single.iter().map(|topic| nodes.a.subscribe(std::slice::from_ref(topic)));
    let (all_at_once, one_by_one) = tokio::join!(nodes.a.subscribe(many), join_all(calls));
    all_at_once.expect("subscribe");
    one_by_one.into_iter().collect::<Result<(), _>>().expect("subscribe");
    let events: Vec<_> = topics.iter().map(|topic| (*topic, Bytes::from_static(b"x"))).collect();
    for batch in events.chunks(1_000) {
        nodes.b.publish(batch).await.expect("publish");
    }
    let mut silent: HashSet<Topic> = topics.iter().copied().collect();
    while !silent.is_empty() {
        let (topic, _) = ear.event().await;
        assert!(silent.remove(&topic), "heard twice: {topic}");
    }
}

/// Many calls for one topic at the same moment: each returns when it is confirmed, and events come once.
pub async fn the_same_topic_by_many_at_once(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let topic = topic();
    let tasks: Vec<_> = (0..50u8)
        .map(|n| {
            let nodes = nodes.clone();
            tokio::spawn(async move {
                nodes.a.subscribe(&[topic]).await.expect("subscribe");
                publish(&nodes.b, topic, &[n]).await;
            })
        })
        .collect();
    let mut heard: Vec<u8> = Vec::new();
    for _ in 0..50 {
        heard.push(ear.event().await.1[0]);
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..50).collect::<Vec<u8>>());
    for task in tasks {
        task.await.expect("subscribed and published");
    }
}

/// There is one reader.
#[allow(clippy::unused_async)] // as all of the suite
pub async fn incoming_is_given_once(nodes: Nodes) {
    let _ear = Ear::of(&nodes.a);
    assert!(nodes.a.incoming().is_none());
}

/// Of 20 who take at once, on both nodes, one gets the value.
pub async fn a_value_is_taken_once(nodes: Nodes) {
    for round in 0..10 {
        let key = format!("ticket:{round}");
        let value = Bytes::from(vec![0, 255, round]);
        nodes.a.put(&key, value.clone(), SOON).await.expect("put");
        let takes = (0..20).map(|n| if n % 2 == 0 { &nodes.a } else { &nodes.b }).map(|bus| bus.take(&key));
        let got: Vec<Bytes> = join_all(takes).await.into_iter().filter_map(|taken| taken.expect("take")).collect();
        assert_eq!(got, [value]);
    }
    assert_eq!(nodes.a.take("never put").await.expect("take"), None);
}

/// A value ends with its time; putting it again replaces value and time.
pub async fn a_value_ends_with_its_time(nodes: Nodes) {
    let brief = Duration::from_millis(150);
    nodes.a.put("brief", Bytes::from_static(b"1"), brief).await.expect("put");
    nodes.a.put("renewed", Bytes::from_static(b"1"), brief).await.expect("put");
    nodes.a.put("renewed", Bytes::from_static(b"2"), SOON).await.expect("put");
    nodes.a.put("no time at all", Bytes::from_static(b"1"), Duration::ZERO).await.expect("put");
    nodes.a.put("for ever", Bytes::from_static(b"1"), Duration::MAX).await.expect("put");
    tokio::time::sleep(brief * 2).await;
    assert_eq!(nodes.b.take("brief").await.expect("take"), None);
    assert_eq!(nodes.b.take("renewed").await.expect("take"), Some(Bytes::from_static(b"2")));
    assert_eq!(nodes.b.take("no time at all").await.expect("take"), None);
    assert_eq!(nodes.b.take("for ever").await.expect("take"), Some(Bytes::from_static(b"1")));
}

/// A reader that falls behind hears [`Incoming::Lost`] after what it could still get, then new events.
/// Made with nodes of [`SMALL_QUEUE`].
pub async fn a_slow_reader_hears_that_it_lost_something(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let (flooded, mark) = (topic(), topic());
    nodes.a.subscribe(&[flooded, mark]).await.expect("subscribe");
    for n in 0..(SMALL_QUEUE as u32 * 4) {
        publish(&nodes.b, flooded, &n.to_be_bytes()).await;
    }
    let (mut next, mut lost) = (0u32, false);
    let start = Instant::now();
    while !lost {
        assert!(start.elapsed() < SOON, "no Lost came; events up to {next} did");
        match timeout(SOON, ear.incoming.recv()).await.expect("Lost comes").expect("the bus is there") {
            Incoming::Event { payload, .. } => {
                assert_eq!(payload, next.to_be_bytes().as_slice(), "no gap before Lost");
                next += 1;
            }
            // The first connect says Lost too.
            Incoming::Lost => lost = next > 0,
        }
    }
    assert!(next < SMALL_QUEUE as u32 * 4, "nothing was dropped");
    publish(&nodes.b, mark, b"after").await;
    while ear.event().await != (mark, Bytes::from_static(b"after")) {}
}

/// A bus that works says so.
pub async fn a_working_bus_is_up(nodes: Nodes) {
    up(&nodes.a).await;
    assert!(nodes.a.ping().await.expect("ping") < SOON);
    assert!(!nodes.a.describe().await.expect("describe").is_empty());
}

/// Asked to reconnect, a node hears [`Incoming::Lost`] when it is back, and its topics work.
pub async fn after_reconnect_everything_is_back(nodes: Nodes) {
    let mut ear = Ear::of(&nodes.a);
    let topic = topic();
    nodes.a.subscribe(&[topic]).await.expect("subscribe");
    up(&nodes.a).await;
    while timeout(Duration::from_millis(50), ear.incoming.recv()).await.is_ok() {}
    nodes.a.reconnect();
    ear.lost().await;
    publish(&nodes.b, topic, b"after").await;
    assert_eq!(ear.event().await, (topic, Bytes::from_static(b"after")));
}

/// Runs `body` and fails when it takes longer than any of these tests should.
pub async fn within_reason(body: impl Future<Output = ()>) {
    timeout(Duration::from_mins(2), body).await.expect("the test did not end within two minutes");
}
