//! Who may open a stream, and what others are told.

use gateway::GatewayConfig;
use protocol::{Limits, TicketPurpose, TicketRequest};
use reqwest::Method;
use serde_json::Value;

use crate::{
    client::{Stream, get, send},
    harness::{Socket, World, token},
};

fn limits() -> Limits {
    Limits { command_rate: 0, ..Limits::default() }
}

/// Status and code of a refusal.
async fn refused(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = send(request).await;
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
    assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    let problem: Value = answer.json().await.unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn strangers_and_strange_credentials_are_refused_in_https_words() {
    let config = GatewayConfig { allowed_origins: vec!["https://ours.example".into()], ..GatewayConfig::default() };
    let world = World::with(config, limits()).await;
    let ada = world.user("ada").await;
    let at = world.address;
    assert_eq!(refused(get(at, "")).await, (401, "not_authenticated".into()));
    assert_eq!(refused(get(at, "").bearer_auth("nonsense")).await, (401, "not_authenticated".into()));
    assert_eq!(refused(get(at, "").header("authorization", "Basic YTpi")).await, (401, "not_authenticated".into()));
    assert_eq!(refused(get(at, &format!("?token={}", ada.token))).await, (401, "not_authenticated".into()));
    let late = token("ada", 0);
    tokio::time::timeout(crate::harness::DEADLINE, async {
        // Five seconds of leeway.
        while send(get(at, "").bearer_auth(&late)).await.status() == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(refused(get(at, "").bearer_auth(&late)).await, (401, "token_expired".into()));
    let theirs = get(at, "").bearer_auth(&ada.token).header("origin", "https://theirs.example");
    assert_eq!(refused(theirs).await, (403, "forbidden".into()));
    let post = reqwest::Client::builder().no_proxy().build().unwrap().post(format!("http://{at}/v1/events"));
    assert_eq!(refused(post).await, (405, "method_not_allowed".into()));
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_it_and_ask_before() {
    let config = GatewayConfig { allowed_origins: vec!["https://ours.example".into()], ..GatewayConfig::default() };
    let world = World::with(config, limits()).await;
    let ada = world.user("ada").await;
    let mut stream =
        Stream::of(get(world.address, "").bearer_auth(&ada.token).header("origin", "https://ours.example")).await;
    assert_eq!(stream.header("access-control-allow-origin"), "https://ours.example");
    stream.live().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (origin, allowed) in [("https://ours.example", true), ("https://theirs.example", false)] {
        let asked = http.request(Method::OPTIONS, format!("http://{}/v1/events", world.address));
        let answer = send(asked.header("origin", origin)).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_ticket_for_events_opens_streams_again_and_again_and_nothing_else() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let buy = async |purpose| world.chat.issue_ticket(&ada.caller, TicketRequest { purpose }).await.unwrap();
    let ticket = buy(TicketPurpose::Events).await;
    assert!((3_500..=3_600).contains(&ticket.expires_in), "as long as the token: {}", ticket.expires_in);
    let ticket = ticket.ticket;
    for _ in 0..3 {
        Stream::of(get(world.address, &format!("?ticket={ticket}"))).await.live().await;
    }
    // Not a socket, not REST.
    let mut socket = Socket::open(world.request(&format!("?ticket={ticket}"))).await;
    assert_eq!(socket.close_code().await, Some(4_500));
    assert!(world.chat.authenticate(&ticket).await.is_err());
    // Nor anything else a stream: a ticket for a socket (which is still good for that), a token, a forgery.
    let other = buy(TicketPurpose::Ws).await.ticket;
    let (said, signature) = ticket.split_once('.').unwrap();
    let parts: Vec<_> = ada.token.split('.').collect();
    let spliced = format!("{}.{}", parts[1], parts[2]);
    for bad in [&*other, &ada.token, &spliced, &format!("{said}x.{signature}"), said, ".", "", &"x".repeat(9_000)] {
        let answer = refused(get(world.address, &format!("?ticket={bad}"))).await;
        assert_eq!(answer, (401, "not_authenticated".into()), "{bad}");
    }
    let mut socket = Socket::open(world.request(&format!("?ticket={other}"))).await;
    socket.until(|frame| frame["type"] == "connected").await;
}

#[tokio::test]
async fn too_many_connections_of_one_user_are_told_to_come_back() {
    let world = World::with(GatewayConfig::default(), Limits { user_connections: 1, ..limits() }).await;
    let ada = world.user("ada").await;
    let mut first = Stream::open(world.address, &ada, None).await;
    first.live().await;
    let mut second = Stream::open(world.address, &ada, None).await;
    assert_eq!(second.ends().await, Some(4_008));
}
