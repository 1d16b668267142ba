//! What a stream says while nothing goes wrong.

use std::time::Duration;

use gateway::GatewayConfig;
use protocol::Limits;
use serde_json::{Value, json};

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
    socket.until(|frame| frame["type"] == "participant.removed").await;
    stream.event("participant.removed").await;
    let end = world.say(&ada, other, "the end").await;
    // What comes while a join is under way comes as an event or as a part of `changes`: chance.
    let is_end = |frame: &Value| seqs(std::slice::from_ref(frame), other).contains(&end.seq);
    socket.until(is_end).await;
    stream.until(|item| is_end(&item.data)).await;
    // How the feed and a conversation interleave is chance, too.
    let of_feed = |frame: &Value| frame["type"] != "connected" && frame["user_seq"].is_u64();
    let on_stream: Vec<_> = stream.frames().into_iter().filter(of_feed).collect();
    assert_eq!(on_stream, socket.seen(of_feed));
    let kinds: Vec<_> = on_stream.iter().map(|frame| &frame["type"]).collect();
    assert_eq!(kinds, ["conversation.created", "notification.created", "participant.removed"]);
    // So is whether the news of a removal comes by the feed before the conversation's own event of it.
    let before_removal = |frame: &Value| {
        frame["conversation_id"] == room.to_string() && frame["seq"].as_u64().is_some_and(|seq| seq < 4)
    };
    let on_stream: Vec<_> = stream.frames().into_iter().filter(before_removal).collect();
    assert_eq!(on_stream, socket.seen(before_removal));
    assert_eq!(seqs(&on_stream, room), [2, 3]);
    for frames in [stream.frames(), socket.seen(|_| true)] {
        assert!(seqs(&frames, room).iter().all(|seq| *seq <= 4), "nothing after the removal: {frames:#?}");
    }
    for item in stream.seen.iter().filter(|item| !item.data.is_null()) {
        assert_eq!(item.data["type"], item.event.as_str());
    }
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
    assert_eq!((&moved.event[..], &moved.data), ("", &Value::Null), "an id alone");
    let comments = |stream: &Stream| stream.seen.iter().filter(|item| item.comment).count();
    let before = comments(&stream);
    for _ in 0..5 {
        stream.until(|item| item.comment).await;
    }
    assert!(comments(&stream) > before, "it lives for longer than two heartbeats without a word from the client");
    world.say(&ada, room, "still there").await;
    stream.until(|item| item.data["data"]["content"] == "still there").await;
}
