//! The fault proxy before a real Redis, a real Postgres and plain sockets.

#![allow(clippy::unwrap_used)]

use std::{io::ErrorKind, time::Duration};

use futures_util::StreamExt;
use redis::AsyncCommands;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use starling_tests::{
    client::SOON,
    postgres::TestDatabase,
    process::eventually,
    proxy::{CommitFault, Direction, Faults, Flow, MessageFaults, Proxy},
    redis::Redis,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// Time enough for bytes to pass on a busy machine, were they to pass at all.
const NEVER: Duration = Duration::from_millis(300);

/// A server that sends back what it gets, and a proxy before it.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Proxy::bytes(port).unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
}

/// Sends and waits for the same to come back.
async fn echoes(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut back = vec![0; text.len()];
    let read = timeout(SOON, socket.read_exact(&mut back)).await;
    read.unwrap_or_else(|_| panic!("{text:?} does not come back")).unwrap();
    assert_eq!(back, text.as_bytes());
}

/// Fails when anything comes.
async fn silent(socket: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(NEVER, socket.read(&mut byte)).await;
    assert!(read.is_err(), "not silent: {read:?}");
}

/// Waits for the end of the connection, orderly or not.
async fn ends(socket: &mut TcpStream) {
    let read = timeout(SOON, socket.read(&mut [0; 64])).await.expect("the connection does not end");
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_pass_in_both_directions_and_are_counted() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    for text in ["a", "bc", "def"] {
        echoes(&mut socket, text).await;
    }
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.open, counts.to_server, counts.to_client), (1, 1, 6, 6));
    // The end of one side is told to the other, and what was under way arrives before it.
    socket.write_all(b"last").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = String::new();
    timeout(SOON, socket.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "last");
    let none_open = async || match proxy.counts().open {
        0 => Ok(()),
        open => Err(open),
    };
    eventually("the connection is forgotten", SOON, none_open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_cut_and_new_ones_refused_until_it_heals() {
    let proxy = echo().await;
    let (mut first, mut second) = (connect(&proxy).await, connect(&proxy).await);
    echoes(&mut first, "a").await;
    echoes(&mut second, "b").await;
    proxy.refuse();
    let refused = async || match TcpStream::connect(("127.0.0.1", proxy.port())).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually("new connections are refused", SOON, refused).await;
    echoes(&mut first, "still there").await;
    proxy.cut();
    ends(&mut first).await;
    ends(&mut second).await;
    proxy.heal().unwrap();
    proxy.heal().unwrap();
    echoes(&mut connect(&proxy).await, "back").await;
    proxy.down();
    eventually("it is down", SOON, refused).await;
    proxy.heal().unwrap();
    echoes(&mut connect(&proxy).await, "back again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stalled_passes_later_and_what_is_swallowed_never_does() {
    let proxy = echo().await;
    let (mut stalled, mut dead) = (connect(&proxy).await, connect(&proxy).await);
    echoes(&mut stalled, "a").await;
    echoes(&mut dead, "b").await;
    proxy.set(Flow::Stall);
    stalled.write_all(b"later").await.unwrap();
    silent(&mut stalled).await;
    proxy.heal().unwrap();
    let mut back = [0; 5];
    timeout(SOON, stalled.read_exact(&mut back)).await.expect("it does not pass").unwrap();
    assert_eq!(&back, b"later");

    proxy.set(Flow::Swallow);
    dead.write_all(b"lost").await.unwrap();
    let mut born_dead = connect(&proxy).await;
    born_dead.write_all(b"lost too").await.unwrap();
    silent(&mut dead).await;
    silent(&mut born_dead).await;
    proxy.heal().unwrap();
    // A stream with a hole must not go on; a connection that lost nothing does, and new ones do.
    dead.write_all(b"more").await.unwrap();
    silent(&mut dead).await;
    silent(&mut born_dead).await;
    echoes(&mut stalled, "c").await;
    echoes(&mut connect(&proxy).await, "d").await;
    assert_eq!(proxy.counts().swallowed, 16);
    proxy.cut();
    ends(&mut dead).await;
    ends(&mut born_dead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_is_one_direction_alone() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    echoes(&mut socket, "a").await;
    let before = proxy.counts();
    proxy.set_one(Direction::ToClient, Flow::Swallow);
    socket.write_all(b"heard").await.unwrap();
    silent(&mut socket).await;
    let after = proxy.counts();
    assert_eq!((after.to_server - before.to_server, after.to_client, after.swallowed), (5, before.to_client, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_can_be_for_new_connections_alone() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    echoes(&mut old, "a").await;
    proxy.set_for_new(Faults { to_server: Flow::Swallow, to_client: Flow::Pass });
    let mut new = connect(&proxy).await;
    new.write_all(b"lost").await.unwrap();
    silent(&mut new).await;
    echoes(&mut old, "as before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_bytes_come_in_order_and_not_before_their_time() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    let (base, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
    proxy.set_one(Direction::ToServer, Flow::Delay { base, jitter, seed: 1 });
    let start = Instant::now();
    let text: String = (0..100_u8).map(|number| char::from(b'!' + number % 90)).collect();
    for piece in text.as_bytes().chunks(7) {
        socket.write_all(piece).await.unwrap();
    }
    let mut back = vec![0; text.len()];
    timeout(SOON, socket.read_exact(&mut back)).await.unwrap().unwrap();
    assert!(start.elapsed() >= base, "{:?}", start.elapsed());
    assert_eq!(back, text.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_direction_passes_no_more_than_it_may() {
    let proxy = echo().await;
    let mut socket = connect(&proxy).await;
    proxy.set_one(Direction::ToServer, Flow::Throttle { bytes_per_second: 10_000 });
    let start = Instant::now();
    echoes(&mut socket, &"x".repeat(5_000)).await;
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    proxy.heal().unwrap();
    echoes(&mut socket, &"x".repeat(100_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_a_connection_is_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let proxy = Proxy::bytes(port).unwrap();
    // The reset may come before or after the connection is ours.
    if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", proxy.port())).await {
        ends(&mut socket).await;
    }
    let counted = async || match proxy.counts().unreachable {
        1 => Ok(()),
        other => Err(other),
    };
    eventually("it is counted", SOON, counted).await;
}

/// A subscriber through one proxy, and who publishes through another.
struct Radio {
    redis: Redis,
    publishing: Proxy,
    subscribing: Proxy,
}

impl Radio {
    async fn start() -> Self {
        let redis = Redis::start().await.unwrap();
        let port = redis.port();
        Self { redis, publishing: Proxy::redis(port).unwrap(), subscribing: Proxy::redis(port).unwrap() }
    }

    /// Publishes 1 to 12 in one pipeline and returns what is told to the publisher, and what the subscriber hears
    /// until the end.
    async fn transmit(&self) -> (Vec<u64>, Vec<String>) {
        let url = |proxy: &Proxy| redis::Client::open(format!("redis://127.0.0.1:{}", proxy.port())).unwrap();
        let mut subscriber = url(&self.subscribing).get_async_pubsub().await.unwrap();
        subscriber.subscribe(&["c:music", "c:end"]).await.unwrap();
        let mut publisher = url(&self.publishing).get_multiplexed_async_connection().await.unwrap();
        let mut pipeline = redis::pipe();
        for number in 1..=12 {
            pipeline.publish("c:music", number);
        }
        let told = timeout(SOON, pipeline.query_async(&mut publisher)).await.expect("no answers").unwrap();
        // Past the publisher's filter.
        let mut direct = self.redis.connection().await.unwrap();
        let mut heard = Vec::new();
        let mut stream = subscriber.into_on_message();
        direct.publish::<_, _, ()>("c:end", "end").await.unwrap();
        while let Some(message) = timeout(SOON, stream.next()).await.expect("the end does not come") {
            if message.get_channel_name() == "c:end" {
                break;
            }
            heard.push(message.get_payload::<String>().unwrap());
        }
        (told, heard)
    }
}

fn numbers(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(ToString::to_string).collect()
}

fn every(drop_every: u64, duplicate_every: u64, reorder_every: u64) -> MessageFaults {
    MessageFaults { drop_every, duplicate_every, reorder_every, only: "music" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_messages_are_dropped_repeated_and_swapped_before_a_real_redis() {
    let radio = Radio::start().await;
    let (told, heard) = radio.transmit().await;
    assert_eq!((told, heard), (vec![1; 12], numbers(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])));
    radio.publishing.publishes(every(3, 0, 0));
    let (told, heard) = radio.transmit().await;
    assert_eq!(heard, numbers(&[1, 2, 4, 5, 7, 8, 10, 11]));
    assert_eq!(told, [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0], "one answer each");
    radio.publishing.publishes(every(0, 4, 0));
    let (told, heard) = radio.transmit().await;
    assert_eq!(heard, numbers(&[1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12]));
    assert_eq!(told, [1; 12]);
    radio.publishing.publishes(every(0, 0, 4));
    let (told, heard) = radio.transmit().await;
    // The last is held back, has nobody to come after, and comes late.
    assert_eq!(heard, numbers(&[1, 2, 3, 5, 4, 6, 7, 9, 8, 10, 11, 12]));
    assert_eq!(told, [1; 12]);
    let counts = radio.publishing.counts();
    assert_eq!((counts.published, counts.dropped, counts.duplicated, counts.reordered), (48, 4, 3, 3));
    radio.publishing.heal().unwrap();
    assert_eq!(radio.transmit().await.1.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushed_messages_are_dropped_repeated_and_swapped_before_one_subscriber() {
    let radio = Radio::start().await;
    radio.subscribing.pushes(every(3, 4, 5));
    let (told, heard) = radio.transmit().await;
    assert_eq!(told, [1; 12], "it is not the publisher's business");
    assert_eq!(heard, numbers(&[1, 2, 4, 4, 7, 5, 8, 8, 11, 10]));
    let counts = radio.subscribing.counts();
    assert_eq!((counts.pushed, counts.dropped, counts.duplicated, counts.reordered), (13, 4, 2, 2));
}

async fn postgres(proxy: &Proxy, database: &TestDatabase) -> PgConnection {
    let options: PgConnectOptions = database.url().parse().unwrap();
    options.port(proxy.port()).connect().await.unwrap()
}

/// Adds a row within a transaction.
async fn insert(connection: &mut PgConnection, number: i32) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT INTO kept VALUES ($1)").bind(number).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn kept(direct: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("SELECT number FROM kept ORDER BY number").fetch_all(direct).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_broken_with_its_answer_or_before_it_is_sent_on_a_real_postgres() {
    let database = TestDatabase::create_empty().await.unwrap();
    let mut direct = database.connection().await.unwrap();
    sqlx::query("CREATE TABLE kept (number int)").execute(&mut direct).await.unwrap();
    let port = database.url().parse::<PgConnectOptions>().unwrap().get_port();
    let proxy = Proxy::postgres(port).unwrap();

    let mut through = postgres(&proxy, &database).await;
    insert(&mut through, 1).await.unwrap();
    proxy.break_commit(2, CommitFault::AnswerLost);
    insert(&mut through, 2).await.unwrap();
    let lost = timeout(SOON, insert(&mut through, 3)).await.expect("nothing is told").unwrap_err();
    assert!(matches!(lost, sqlx::Error::Io(_)), "{lost:?}");
    assert_eq!(kept(&mut direct).await, [1, 2, 3], "it is committed");

    let mut through = postgres(&proxy, &database).await;
    proxy.break_commit(1, CommitFault::NeverSent);
    let lost = timeout(SOON, insert(&mut through, 4)).await.expect("nothing is told").unwrap_err();
    assert!(matches!(lost, sqlx::Error::Io(_)), "{lost:?}");
    let mut through = postgres(&proxy, &database).await;
    insert(&mut through, 5).await.unwrap();
    assert_eq!(kept(&mut direct).await, [1, 2, 3, 5], "4 was rolled back");
    let counts = proxy.counts();
    assert_eq!((counts.commits, counts.broken_commits), (5, 2));

    let mut other = postgres(&proxy, &database).await;
    proxy.break_commit(1, CommitFault::AnswerLostAndDown);
    let lost = timeout(SOON, insert(&mut through, 6)).await.expect("nothing is told").unwrap_err();
    assert!(matches!(lost, sqlx::Error::Io(_)), "{lost:?}");
    assert_eq!(kept(&mut direct).await, [1, 2, 3, 5, 6]);
    assert!(TcpStream::connect(("127.0.0.1", proxy.port())).await.is_err(), "nobody can ask");
    assert!(timeout(SOON, insert(&mut other, 7)).await.expect("nothing is told").is_err());
    proxy.heal().unwrap();
    insert(&mut postgres(&proxy, &database).await, 8).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_commit_is_found_too() {
    let database = TestDatabase::create_empty().await.unwrap();
    let port = database.url().parse::<PgConnectOptions>().unwrap().get_port();
    let proxy = Proxy::postgres(port).unwrap();
    let mut through = postgres(&proxy, &database).await;
    sqlx::query("BEGIN").execute(&mut through).await.unwrap();
    sqlx::query("COMMIT").execute(&mut through).await.unwrap();
    assert_eq!(proxy.counts().commits, 1);
}
