//! What no good client sends: a clear error, nothing lost, nothing panics.

use gateway::GatewayConfig;
use protocol::{Limits, MessageId};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::harness::{Socket, World, token};

#[tokio::test]
async fn frames_that_are_no_commands_are_answered_with_a_stable_code() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[]).await.id;
    let hidden = world.room(&ben, &[]).await.id;
    let secret = world.say(&ben, hidden, "secret").await.id;
    let mut socket = world.live(&ada).await;
    let send = |content: Value| json!({"type":"message.send","conversation_id":room,"client_id":"c","content":content});
    let cases = [
        ("{".into(), "bad_json"),
        ("[]".into(), "bad_json"),
        ("null".into(), "bad_json"),
        (r#"{"type":7}"#.into(), "bad_json"),
        (json!({"type": "message.shout"}).to_string(), "unknown_command"),
        (json!({"type": "x".repeat(1_000)}).to_string(), "unknown_command"),
        (json!({"type": "ping", "ref": "r".repeat(65)}).to_string(), "invalid"),
        (json!({"type": "message.send", "conversation_id": room}).to_string(), "invalid"),
        (send(json!("")).to_string(), "invalid"),
        (send(json!("   \n")).to_string(), "invalid"),
        (send(json!("a\u{0}b")).to_string(), "invalid"),
        (send(json!("x".repeat(4_001))).to_string(), "invalid"),
        (send(json!(7)).to_string(), "invalid"),
        (send(json!("x")).to_string().replace("\"x\"", r#""\ud800""#), "bad_json"),
        (json!({"type":"message.send","conversation_id":room,"client_id":"","content":"x"}).to_string(), "invalid"),
        (
            json!({"type":"message.send","conversation_id":room,"client_id":"c".repeat(65),"content":"x"}).to_string(),
            "invalid",
        ),
        (json!({"type":"message.send","conversation_id":"nope","client_id":"c","content":"x"}).to_string(), "invalid"),
        (
            json!({"type":"message.send","conversation_id":hidden,"client_id":"c","content":"x"}).to_string(),
            "not_found",
        ),
        (json!({"type":"message.edit","message_id":secret,"content":"x"}).to_string(), "not_found"),
        (json!({"type":"message.delete","message_id":secret}).to_string(), "not_found"),
        (json!({"type":"message.delete","message_id":MessageId::generate()}).to_string(), "not_found"),
        (json!({"type":"receipt.read","conversation_id":hidden,"seq":1}).to_string(), "not_found"),
        (json!({"type":"receipt.read","conversation_id":room,"seq":-1}).to_string(), "invalid"),
        (json!({"type":"receipt.read","conversation_id":room,"seq":"1"}).to_string(), "invalid"),
        (json!({"type":"changes.get","conversation_id":hidden,"after":0}).to_string(), "not_found"),
        (json!({"type":"changes.get","conversation_id":room,"after":99}).to_string(), "invalid"),
        (json!({"type":"changes.get","conversation_id":room,"after":u64::MAX}).to_string(), "invalid"),
        (json!({"type":"changes.get","conversation_id":room,"after":0,"limit":0}).to_string(), "invalid"),
        (json!({"type":"changes.get","conversation_id":room,"after":0,"limit":1_000_000_000}).to_string(), "invalid"),
        (json!({"type":"hello"}).to_string(), "invalid"),
        (json!({"type":"auth.renew","token":"nonsense"}).to_string(), "not_authenticated"),
    ];
    for (frame, code) in cases {
        socket.send(Message::text(frame.clone())).await;
        let reply = socket.until(|frame| frame["type"] == "reply").await;
        assert_eq!((&reply["ok"], &reply["error"]["code"]), (&json!(false), &json!(code)), "{frame}: {reply}");
        assert!(reply["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply}");
    }
    // A mark past the head is the head.
    let reply = socket.ask(json!({"type":"receipt.read","conversation_id":room,"seq":u64::MAX})).await;
    assert_eq!(reply["data"]["read_seq"], 1, "{reply}");
    let history = world.chat.history(&ada.caller, room, protocol::HistoryWindow::Latest, None).await.unwrap();
    assert_eq!(history.items.len(), 1, "nothing was stored but the creation");
}

#[tokio::test]
async fn a_resume_that_makes_no_sense_is_refused_and_a_good_one_may_follow() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    let mut socket = world.connect(&ada).await;
    let epoch = socket.until(|frame| frame["type"] == "connected").await["data"]["epoch"].clone();
    let resume = |user_seq: Value, cursors: Value| json!({"epoch": epoch, "user_seq": user_seq, "cursors": cursors});
    let many: serde_json::Map<_, _> =
        (0..=1_000).map(|_| (protocol::ConversationId::generate().to_string(), json!(1))).collect();
    let cases = [
        resume(json!(1), json!({room.to_string(): -1})),
        resume(json!(1), json!({room.to_string(): 1.5})),
        resume(json!(1), json!({room.to_string(): "1"})),
        resume(json!(1), json!({room.to_string(): null})),
        // One more than the largest number that there is.
        serde_json::from_str(&format!(
            r#"{{"epoch":{epoch},"user_seq":1,"cursors":{{"{room}":18446744073709551616}}}}"#
        ))
        .unwrap(),
        resume(json!(1), json!({"not an id": 1})),
        resume(json!(1), json!([])),
        resume(json!(1), Value::Object(many)),
        resume(json!(-1), json!({})),
        resume(json!("1"), json!({})),
        json!({"epoch": 7, "user_seq": 1, "cursors": {}}),
        json!({"user_seq": 1, "cursors": {}}),
        json!("garbage"),
    ];
    for case in cases {
        let reply = socket.ask(json!({"type": "hello", "resume": case})).await;
        assert_eq!((&reply["ok"], &reply["error"]["code"]), (&json!(false), &json!("invalid")), "{case}: {reply}");
    }
    // The largest that there is: above every head, so of a future that nobody has.
    let good = resume(json!(1), json!({room.to_string(): u64::MAX}));
    let reply = socket.ask(json!({"type": "hello", "resume": good})).await;
    assert_eq!((&reply["ok"], &reply["data"]["heads"][room.to_string()]), (&json!(true), &json!(1)), "{reply}");
    world.say(&ada, room, "on").await;
    socket.until(|frame| frame["seq"] == 2).await;
}

#[tokio::test]
async fn a_binary_frame_and_a_frame_over_the_limit_end_the_connection_for_good() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let mut socket = world.live(&ada).await;
    socket.send(Message::Binary(Bytes::from_static(b"\x00\x01"))).await;
    assert_eq!(socket.close_code().await, Some(4502));
    let mut socket = world.live(&ada).await;
    socket.send(Message::text("x".repeat(64 * 1024 + 1))).await;
    assert_eq!(socket.close_code().await, Some(1009));
}

#[tokio::test]
async fn a_thousand_commands_without_reading_a_reply_lose_nothing() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    let mut socket = world.live(&ada).await;
    for n in 0..1_000 {
        let client_id = n.to_string();
        socket
            .command(json!({"type":"message.send","conversation_id":room,"client_id":client_id,"content":client_id}))
            .await;
    }
    let last = socket.ask(json!({"type": "ping"})).await;
    assert_eq!(last["ok"], true);
    let done = |socket: &Socket| socket.seen(|frame| frame["type"] == "reply" && frame["data"]["seq"].is_u64());
    while done(&socket).len() < 1_000 {
        socket.next().await;
    }
    // One connection's commands are done in the order it sent them.
    let contents: Vec<_> = {
        let mut replies = done(&socket);
        replies.sort_by_key(|reply| reply["data"]["seq"].as_u64());
        replies.iter().map(|reply| reply["data"]["content"].clone()).collect()
    };
    assert_eq!(contents, (0..1_000).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn beyond_the_rate_commands_are_refused_with_a_time_and_a_flood_ends_the_connection() {
    let limits = Limits { command_rate: 1, command_burst: 5, ..Limits::default() };
    let world = World::with(GatewayConfig::default(), limits).await;
    let ada = world.user("ada").await;
    let mut socket = world.live(&ada).await;
    for _ in 0..10 {
        socket.command(json!({"type": "ping"})).await;
    }
    let refused = socket.until(|frame| frame["error"]["code"] == "rate_limited").await;
    assert!(refused["error"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refused}");
    assert!(refused["ref"].is_string());
    for _ in 0..1_200 {
        socket.command(json!({"type": "ping"})).await;
    }
    assert_eq!(socket.close_code().await, Some(4008));
}

#[tokio::test]
async fn credentials_that_are_not_good_are_told_by_the_close_code() {
    let world = World::start().await;
    world.user("ada").await;
    let expired = {
        let token = token("ada", 1);
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        token
    };
    let none_alg = {
        let good = token("ada", 60);
        let payload = good.split('.').nth(1).unwrap().to_owned();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")
    };
    let mut other_key = token("ada", 60);
    other_key.replace_range(other_key.len() - 6.., "AAAAAA");
    for (token, code) in [(expired, 4003), (none_alg, 4500), (other_key, 4500), ("x".into(), 4500)] {
        // At the upgrade, and in the first frame.
        let mut request = world.request("");
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        assert_eq!(Socket::open(request).await.close_code().await, Some(code), "{token}");
        let mut socket = Socket::open(world.request("")).await;
        let reply = socket.ask(json!({"type": "hello", "token": token})).await;
        assert_eq!(reply["ok"], false, "{reply}");
        assert_eq!(socket.close_code().await, Some(code), "{token}");
    }
    for (query, header) in [("?token=x", None), ("?ticket=x", None), ("", Some("Basic YTpi"))] {
        let mut request = world.request(query);
        if let Some(header) = header {
            request.headers_mut().insert("authorization", header.parse().unwrap());
        }
        assert_eq!(Socket::open(request).await.close_code().await, Some(4500), "{query} {header:?}");
    }
}

#[tokio::test]
async fn before_hello_nothing_is_done_and_the_socket_does_not_stay_open_for_ever() {
    let config = GatewayConfig { hello_timeout: std::time::Duration::from_millis(500), ..GatewayConfig::default() };
    let world = World::with(config, Limits::default()).await;
    let ada = world.user("ada").await;
    let mut socket = Socket::open(world.request("")).await;
    let reply = socket.ask(json!({"type": "ping"})).await;
    assert_eq!(reply["error"]["code"], "not_authenticated");
    assert_eq!(socket.close_code().await, Some(4500));
    let mut socket = Socket::open(world.request("")).await;
    let reply = socket.ask(json!({"type": "hello", "token": ada.token})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(socket.seen(|_| true)[0]["type"], "connected");
    socket.settle().await;
}

#[tokio::test]
async fn only_listed_origins_may_connect() {
    let config = GatewayConfig { allowed_origins: vec!["https://chat.example".into()], ..GatewayConfig::default() };
    let world = World::with(config, Limits::default()).await;
    let ada = world.user("ada").await;
    for (origin, allowed) in [
        ("https://chat.example", true),
        ("https://chat.example.evil", false),
        ("http://chat.example", false),
        ("null", false),
    ] {
        let mut request = world.request("");
        request.headers_mut().insert("authorization", format!("Bearer {}", ada.token).parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let mut socket = Socket::open(request).await;
        if allowed {
            socket.until(|frame| frame["type"] == "connected").await;
        } else {
            assert_eq!(socket.close_code().await, Some(4503), "{origin}");
        }
    }
}
