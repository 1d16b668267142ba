//! How a stream ends, and what its client is told.

use std::time::{Duration, Instant};

use gateway::GatewayConfig;
use protocol::{GuestRequest, Limits, LogoutRequest, TicketPurpose, TicketRequest};
use reqwest::StatusCode;
use tokio::{io::AsyncWriteExt, net::TcpSocket, time::timeout};

use crate::{
    client::{Stream, get, send},
    harness::{DEADLINE, Person, World, token},
};

fn limits() -> Limits {
    Limits { command_rate: 0, ..Limits::default() }
}

/// Somebody with a session of ours.
async fn guest(world: &World, name: &str) -> Person {
    let answer = world.chat.sign_in_guest(GuestRequest { username: name.into(), device: None }).await.unwrap();
    let caller = world.chat.authenticate(&answer.access_token).await.unwrap();
    Person { token: answer.access_token, caller }
}

#[tokio::test]
async fn a_revoked_session_ends_its_streams_and_its_ticket_opens_no_more() {
    let world = World::start().await;
    let (ben, other) = (guest(&world, "ben").await, guest(&world, "cleo").await);
    let request = TicketRequest { purpose: TicketPurpose::Events };
    let ticket = world.chat.issue_ticket(&ben.caller, request).await.unwrap().ticket;
    let query = format!("?ticket={ticket}");
    let mut stream = Stream::of(get(world.address, &query)).await;
    stream.live().await;
    let mut theirs = Stream::open(world.address, &other, None).await;
    theirs.live().await;
    world.chat.logout(&ben.caller, LogoutRequest { all: false }).await.unwrap();
    assert_eq!(stream.ends().await, Some(4_501));
    assert!(stream.seen.iter().any(|item| item.event == "session.revoked"), "{:#?}", stream.seen);
    let answer = send(get(world.address, &query)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.text().await.unwrap().contains("session_revoked"));
    world.room(&other, &[]).await;
    theirs.event("conversation.created").await;
}

#[tokio::test]
async fn a_token_that_ends_ends_its_stream() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let short = Person { token: token("ada", 2), ..ada };
    let mut stream = Stream::open(world.address, &short, None).await;
    assert_eq!(stream.ends().await, Some(4_003));
}

#[tokio::test]
async fn a_draining_node_ends_each_stream_at_a_moment_of_its_choice_and_opens_none() {
    let config = GatewayConfig { drain_window: Duration::from_secs(1), ..GatewayConfig::default() };
    let world = World::with(config, limits()).await;
    let ada = world.user("ada").await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = Stream::open(world.address, &ada, None).await;
        stream.live().await;
        streams.push(stream);
    }
    let gateway = world.gateway.clone();
    let (start, drain) = (Instant::now(), tokio::spawn(async move { gateway.drain().await }));
    let ends = streams.into_iter().map(async |mut stream| {
        let after_ms = stream.event("reconnect").await.data["data"]["after_ms"].as_u64().unwrap();
        let refused = send(get(world.address, "").bearer_auth(&ada.token)).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        assert_eq!(stream.ends().await, Some(4_000));
        assert!(start.elapsed() >= Duration::from_millis(after_ms), "it was ended before its moment");
        after_ms
    });
    let mut moments = futures_util::future::join_all(ends).await;
    moments.sort_unstable();
    assert_eq!(moments, (0..10).map(|n| n * 100).collect::<Vec<_>>());
    timeout(DEADLINE, drain).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_comes_back_to_everything() {
    let config = GatewayConfig {
        outbox_bytes: 512 * 1024,
        sweep_interval: Duration::from_millis(200),
        ..GatewayConfig::default()
    };
    let world = World::with(config, limits()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut before = Stream::open(world.address, &ben, None).await;
    before.live().await;
    let id = before.newest_id().await;
    drop(before);

    // A client whose kernel takes in little, and that asks for its stream and reads nothing of it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = timeout(DEADLINE, socket.connect(world.address)).await.unwrap().unwrap();
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", ben.token);
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut fast = Stream::open(world.address, &ada, None).await;
    fast.live().await;
    let text = "x".repeat(4_000);
    let mut last = 0;
    // More than the kernel's buffers, the server's for one connection and the outbox hold together.
    for _ in 0..3_000 {
        last = world.say(&ada, room, &text).await.seq;
        fast.until(|item| item.data["seq"] == last || item.data["to"] == last).await;
    }
    // The connection is over for the node although its client still reads nothing.
    timeout(DEADLINE, async {
        while !closed_as_slow(&world) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("a stream that is not read is given up");
    let mut again = Stream::open(world.address, &ben, Some(&id)).await;
    again.live().await;
    assert_eq!(crate::harness::seqs(&again.frames(), room), (2..=last).collect::<Vec<_>>());
    drop(slow);
}

fn closed_as_slow(world: &World) -> bool {
    let families = world.registry.gather();
    let closed = families.iter().find(|family| family.name() == "starling_connections_closed_total");
    closed.into_iter().flat_map(prometheus::proto::MetricFamily::get_metric).any(|metric| {
        metric.get_label().iter().any(|label| label.value() == "4001") && metric.get_counter().get_value() >= 1.0
    })
}
