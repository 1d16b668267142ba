//! Runs the suite of the bus on each implementation.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bus::{
    Bus,
    local::LocalBus,
    redis::{RedisBus, RedisConfig},
};
use starling_tests::{
    conformance::bus::{self as suite, LINGER, Nodes, SMALL_QUEUE, within_reason},
    redis::{Redis, RedisCluster, RedisSentinels},
    sim::{Broker, BusFaults, Chance, Gate, SimBus},
};
use tokio::sync::Mutex;

const QUEUE: usize = 65_536;

fn local(queue: usize) -> Nodes {
    let a = LocalBus::with_queue(queue);
    Nodes { b: Arc::new(a.node()), a: Arc::new(a) }
}

/// Tests that share servers have a prefix each.
fn node(url: String, prefix: &str, queue: usize) -> Arc<dyn Bus> {
    let config = RedisConfig {
        linger: LINGER,
        queue,
        prefix: prefix.into(),
        // Nothing here is about calls that take long; a busy machine may hold one up.
        command_timeout: Duration::from_secs(15),
        ..RedisConfig::new(url)
    };
    Arc::new(RedisBus::start(config).unwrap())
}

async fn nodes(url: String, queue: usize) -> Nodes {
    let prefix = format!("suite-{}:", uuid::Uuid::new_v4());
    let nodes = Nodes { a: node(url.clone(), &prefix, queue), b: node(url, &prefix, queue) };
    // Where the servers are has to be found first, and a call may give up before.
    suite::up(&nodes.a).await;
    suite::up(&nodes.b).await;
    nodes
}

async fn redis(queue: usize) -> (Nodes, Redis) {
    let server = Redis::start().await.unwrap();
    let nodes = Nodes { a: node(server.url(), "suite:", queue), b: node(server.url(), "suite:", queue) };
    (nodes, server)
}

/// The Sentinel set of the tests that run now.
async fn sentinels(queue: usize) -> (Nodes, Arc<RedisSentinels>) {
    static SHARED: Mutex<Weak<RedisSentinels>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    let set = match shared.upgrade() {
        Some(set) => set,
        None => Arc::new(RedisSentinels::start().await.unwrap()),
    };
    *shared = Arc::downgrade(&set);
    (nodes(set.url(), queue).await, set)
}

/// The cluster of the tests that run now.
async fn cluster(queue: usize) -> (Nodes, Arc<RedisCluster>) {
    static SHARED: Mutex<Weak<RedisCluster>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    let cluster = match shared.upgrade() {
        Some(cluster) => cluster,
        None => Arc::new(RedisCluster::start().await.unwrap()),
    };
    *shared = Arc::downgrade(&cluster);
    (nodes(cluster.url(), queue).await, cluster)
}

/// Two nodes of a simulated bus on which nothing is wrong but the time that everything takes.
fn simulated(queue: usize) -> Nodes {
    let broker = Broker::start(Chance::new(1, "broker"));
    let node = |name: &str| {
        let gate = Gate::new(Chance::new(1, ("gate", name)), 50);
        let bus = SimBus::join(&broker, &gate, Chance::new(1, ("bus", name)), queue);
        bus.set(BusFaults { delay: Duration::from_millis(5), ..BusFaults::default() });
        bus
    };
    Nodes { a: node("a"), b: node("b") }
}

macro_rules! on_each_bus {
    ($($name:ident: $queue:expr,)+) => {
        mod in_a_simulation {$(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                super::within_reason(super::suite::$name(super::simulated($queue))).await;
            }
        )+}
        mod in_process {$(
            #[tokio::test]
            async fn $name() {
                super::within_reason(super::suite::$name(super::local($queue))).await;
            }
        )+}
        mod over_redis {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (nodes, _server) = super::redis($queue).await;
                super::within_reason(super::suite::$name(nodes)).await;
            }
        )+}
        mod over_a_sentinel_set {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (nodes, _set) = super::sentinels($queue).await;
                super::within_reason(super::suite::$name(nodes)).await;
            }
        )+}
        mod over_a_cluster {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (nodes, _cluster) = super::cluster($queue).await;
                super::within_reason(super::suite::$name(nodes)).await;
            }
        )+}
    };
}

on_each_bus! {
    events_arrive_whole_and_in_the_order_of_their_publisher: super::QUEUE,
    a_node_hears_what_it_subscribed_and_nothing_else: super::QUEUE,
    a_confirmed_subscription_hears_the_very_next_event: super::QUEUE,
    references_are_counted: super::QUEUE,
    a_topic_that_comes_and_goes_is_never_lost: super::QUEUE,
    thousands_of_topics_at_once: super::QUEUE,
    the_same_topic_by_many_at_once: super::QUEUE,
    incoming_is_given_once: super::QUEUE,
    a_value_is_taken_once: super::QUEUE,
    a_value_ends_with_its_time: super::QUEUE,
    a_slow_reader_hears_that_it_lost_something: super::SMALL_QUEUE,
    a_working_bus_is_up: super::QUEUE,
    after_reconnect_everything_is_back: super::QUEUE,
    presence_is_what_all_nodes_say_together: super::QUEUE,
    a_node_without_a_lease_says_nothing: super::QUEUE,
    a_restarted_node_disturbs_nobody: super::QUEUE,
    presence_of_hundreds_in_one_call: super::QUEUE,
}
