//! How connections end, and what the close code tells the client.

use std::time::Duration;

use gateway::GatewayConfig;
use protocol::{GuestRequest, Limits, LogoutRequest};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite};

use crate::harness::{DEADLINE, Person, Socket, World, seqs, token};

fn patient() -> Limits {
    Limits { command_rate: 0, ..Limits::default() }
}

pub(crate) async fn guest(world: &World, name: &str) -> (Person, chat::Caller) {
    let request = GuestRequest { username: name.into(), device: None };
    let answer = world.chat.sign_in_guest(request).await.unwrap();
    let caller = world.chat.authenticate(&answer.access_token).await.unwrap();
    (Person { token: answer.access_token, caller: caller.clone() }, caller)
}

#[tokio::test]
async fn a_revoked_session_ends_its_own_sockets_and_no_others() {
    let world = World::start().await;
    let (ada, caller) = guest(&world, "ada").await;
    let ben = world.user("ben").await;
    let (mut mine, mut other) = (world.live(&ada).await, world.live(&ben).await);
    world.chat.logout(&caller, LogoutRequest { all: false }).await.unwrap();
    assert_eq!(mine.close_code().await, Some(4501));
    assert_eq!(mine.seen(|frame| frame["type"] == "session.revoked").len(), 1);
    other.settle().await;
    let mut again = world.connect(&ada).await;
    assert_eq!(again.close_code().await, Some(4501));
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let mut socket = world.live(&ada).await;
    let now = chat::Clock::now(&chat::SystemClock);
    let (org, id) = (ada.caller.user.org_id, ada.caller.user.id);
    world.store.set_disabled(org, id, true, None, now).await.unwrap();
    // The store was changed behind the domain's back: nobody publishes, the sweep finds it.
    assert_eq!(socket.close_code().await, Some(4504));
    let mut again = world.connect(&Person { token: token("ada", 60), ..ada }).await;
    assert_eq!(again.close_code().await, Some(4504));
}

#[tokio::test]
async fn an_admin_who_disables_somebody_closes_their_sockets_on_every_node_within_a_second() {
    let world = World::start().await;
    let peer = world.peer(GatewayConfig::default());
    let (boss, ada) = (world.admin("boss").await, world.user("ada").await);
    let mut sockets = [world.live(&ada).await, world.live(&ada).await, peer.live(&ada).await];
    let mut other = peer.live(&boss).await;
    let patch = protocol::OrgUserPatch { role: None, disabled: Some(true) };
    let start = std::time::Instant::now();
    world.chat.update_org_user(&boss.caller, ada.caller.user.id, patch).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(socket.close_code().await, Some(4504));
    }
    assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
    other.settle().await;
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_in_band_or_closes_the_socket() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let short = Person { token: token("ada", 2), ..ada.clone() };
    let (mut renewed, mut forgotten) = (world.live(&short).await, world.live(&short).await);
    let reply = renewed.ask(json!({"type": "auth.renew", "token": token("ben", 60)})).await;
    assert_eq!(reply["error"]["code"], "invalid", "another user's token renews nothing: {reply}");
    let reply = renewed.ask(json!({"type": "auth.renew", "token": ada.token})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(forgotten.close_code().await, Some(4003));
    renewed.settle().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_to_wait() {
    let limits = Limits { user_connections: 2, ..patient() };
    let world = World::with(GatewayConfig::default(), limits).await;
    let ada = world.user("ada").await;
    let _open = [world.live(&ada).await, world.live(&ada).await];
    let mut third = world.connect(&ada).await;
    assert_eq!(third.close_code().await, Some(4008));
}

#[tokio::test]
async fn a_silent_client_is_closed_and_a_reading_one_is_not() {
    let config = GatewayConfig { heartbeat: Duration::from_millis(300), ..GatewayConfig::default() };
    let world = World::with(config, patient()).await;
    let ada = world.user("ada").await;
    let mut socket = world.live(&ada).await;
    let mut silent = world.live(&ada).await;
    // The library answers pings while it reads; the other one is not read for three intervals.
    for _ in 0..10 {
        socket.until(|frame| frame["type"] == "heartbeat").await;
    }
    assert!(matches!(silent.close_code().await, Some(4002) | None));
    socket.settle().await;
}

#[tokio::test]
async fn a_node_that_stood_still_listens_before_it_gives_a_client_up() {
    let config = GatewayConfig { heartbeat: Duration::from_millis(300), ..GatewayConfig::default() };
    let world = World::with(config, patient()).await;
    let ada = world.user("ada").await;
    let mut socket = world.live(&ada).await;
    for _ in 0..3 {
        socket.until(|frame| frame["type"] == "heartbeat").await;
        // The node too, which runs on this very thread: as long as no living client is silent.
        std::thread::sleep(Duration::from_millis(800));
    }
    socket.until(|frame| frame["type"] == "heartbeat").await;
    socket.settle().await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_delays_nobody() {
    let config = GatewayConfig { outbox_bytes: 64 * 1024, ..GatewayConfig::default() };
    let world = World::with(config, patient()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut slow = world.live(&ben).await;
    let mut fast = world.live(&ada).await;
    let text = "x".repeat(4_000);
    let mut last = 0;
    // More than the kernel's buffers and the outbox hold together.
    for _ in 0..3_000 {
        last = world.say(&ada, room, &text).await.seq;
        fast.until(|frame| frame["seq"] == last || frame["to"] == last).await;
    }
    let code = slow.close_code().await;
    assert!(matches!(code, Some(4001) | None), "{code:?}");
    let missed = slow.seen(|frame| frame["seq"].is_u64()).last().map_or(1, |frame| frame["seq"].as_u64().unwrap());
    assert!(missed < last, "it was never behind");
    // The code says: come back and resume.
    let page = world.chat.changes(&ben.caller, room, missed, None).await.unwrap();
    assert_eq!(page.changes[0].seq, missed + 1);
}

#[tokio::test]
async fn a_draining_node_sends_everybody_on_at_moments_of_its_choice() {
    let config = GatewayConfig { drain_window: Duration::from_secs(1), ..GatewayConfig::default() };
    let world = World::with(config, patient()).await;
    let ada = world.user("ada").await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(world.live(&ada).await);
    }
    let gateway = world.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain().await });
    let mut moments = Vec::new();
    for socket in &mut sockets {
        let event = socket.until(|frame| frame["type"] == "reconnect").await;
        moments.push(event["data"]["after_ms"].as_u64().unwrap());
    }
    moments.sort_unstable();
    assert_eq!(moments, (0..10).map(|n| n * 100).collect::<Vec<_>>());
    let mut request = world.request("");
    request.headers_mut().insert("authorization", format!("Bearer {}", ada.token).parse().unwrap());
    match connect_async(request).await {
        Err(tungstenite::Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
        }
        other => panic!("{other:?}"),
    }
    // Half of them move by themselves, the others are closed.
    for mut socket in sockets.drain(..5) {
        socket.settle().await;
        socket.cut();
    }
    for mut socket in sockets {
        assert_eq!(socket.close_code().await, Some(4000));
    }
    timeout(DEADLINE, drain).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let ticket = world.chat.issue_ticket(&ada.caller, protocol::TicketRequest::default()).await.unwrap().ticket;
    let mut socket = Socket::open(world.request(&format!("?ticket={ticket}"))).await;
    let connected = socket.until(|frame| frame["type"] == "connected").await;
    assert_eq!(connected["data"]["user"]["id"], json!(ada.caller.user.id));
    let mut again = Socket::open(world.request(&format!("?ticket={ticket}"))).await;
    assert_eq!(again.close_code().await, Some(4500));
}

#[tokio::test]
async fn leaving_while_connected_ends_the_subscription_also_in_public_rooms() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let request = protocol::CreateConversation {
        kind: protocol::ConversationKind::Public,
        title: Some("lobby".into()),
        description: None,
        avatar_url: None,
        participant_ids: Vec::new(),
        subject: None,
        posting: protocol::Posting::default(),
        history: protocol::History::All,
        slow_mode_seconds: 0,
    };
    let room = world.chat.create_conversation(&ada.caller, request, None).await.unwrap().0.id;
    let mut socket = world.live(&ben).await;
    world.chat.join(&ben.caller, room).await.unwrap();
    socket.until(|frame| frame["type"] == "conversation.created").await;
    let hello = world.say(&ada, room, "hello ben").await;
    socket.until(|frame| seqs(std::slice::from_ref(frame), room).contains(&hello.seq)).await;
    world.chat.leave(&ben.caller, room).await.unwrap();
    socket.until(|frame| frame["type"] == "participant.removed").await;
    world.say(&ada, room, "he is gone").await;
    socket.settle().await;
    assert!(socket.seen(|frame| frame["data"]["content"] == "he is gone").is_empty());
}
