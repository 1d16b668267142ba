//! What a stream says while nothing goes wrong.

use std::time::Duration;

use gateway::GatewayConfig;
use protocol::Limits;
use serde_json::json;

use crate::{
    client::Stream,
    harness::{World, seqs},
};

#[tokio::test]
async fn a_stream_brings_the_very_frames_of_a_socket() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut socket = world.live(&ben).await;
    let mut stream = Stream::open(world.address, &ben, None).await;
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(stream.header(name), value);
    }
    let reply = stream.live().await;
    assert_eq!(reply["heads"], json!({ room.to_string(): 1 }));
    assert_eq!(stream.frames()[0]["type"], "connected", "first");

    let first = world.say(&ada, room, "two\nlines").await;
    world.chat.delete(&ada.caller, first.id).await.unwrap();
    let other = world.room(&ada, &[&ben]).await.id;
    world.chat.remove_participant(&ada.caller, room, ben.caller.user.id).await.unwrap();
    world.say(&ada, room, "secret").await;
    world.say(&ada, other, "the end").await;
    let is_end = |frame: &serde_json::Value| frame["data"]["content"] == "the end";
    socket.until(is_end).await;
    stream.until(|item| is_end(&item.data)).await;
    // Two streams of news, each in its order; how they interleave is chance.
    for of_feed in [true, false] {
        let news = |frame: &serde_json::Value| {
            let own = frame["type"] == "connected" || frame["type"] == "reply";
            !own && frame["user_seq"].is_u64() == of_feed && (of_feed || frame["seq"].is_u64())
        };
        let on_stream: Vec<_> = stream.frames().into_iter().filter(news).collect();
        assert_eq!(on_stream, socket.seen(news));
        assert!(on_stream.len() >= 3, "{on_stream:#?}");
    }
    for item in stream.seen.iter().filter(|item| !item.data.is_null()) {
        assert_eq!(item.data["type"], item.event.as_str());
    }
    assert_eq!(seqs(&stream.frames(), room), [2, 3, 4]);
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments_which_bring_the_newest_id() {
    let config = GatewayConfig {
        heartbeat: Duration::from_millis(100),
        sweep_interval: Duration::from_millis(100),
        ..GatewayConfig::default()
    };
    let world = World::with(config, Limits { command_rate: 0, ..Limits::default() }).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    world.room(&ben, &[]).await;
    let mut stream = Stream::open(world.address, &ben, None).await;
    stream.live().await;
    let first = Some(stream.newest_id().await);
    // Somebody else writes somewhere else: all that this stream has to say of it is how far it stands.
    let cleo = world.user("cleo").await;
    let theirs = world.room(&cleo, &[]).await.id;
    world.say(&cleo, theirs, "not for ben").await;
    let moved = stream.until(|item| item.id.is_some() && item.id != first).await;
    assert_eq!((&moved.event[..], &moved.data), ("", &serde_json::Value::Null), "an id alone");
    let comments = |stream: &Stream| stream.seen.iter().filter(|item| item.comment).count();
    let before = comments(&stream);
    for _ in 0..5 {
        stream.until(|item| item.comment).await;
    }
    assert!(comments(&stream) > before, "it lives for longer than two heartbeats without a word from the client");
    world.say(&ada, room, "still there").await;
    stream.until(|item| item.data["data"]["content"] == "still there").await;
}
