//! Coming back with nothing but an id: what was missed comes, on any node; what cannot come is said.

use std::time::Duration;

use gateway::GatewayConfig;
use protocol::{AddParticipants, EditMessage, Limits};
use serde_json::{Value, json};

use crate::{
    client::Stream,
    harness::{World, seqs, text},
};

fn config() -> GatewayConfig {
    GatewayConfig { sweep_interval: Duration::from_millis(100), ..GatewayConfig::default() }
}

async fn world() -> World {
    World::with(config(), Limits { command_rate: 0, ..Limits::default() }).await
}

#[tokio::test]
async fn after_its_node_was_killed_a_stream_goes_on_at_another_with_all_that_was_missed() {
    let world = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let boss = world.admin("boss").await;
    let room = world.room(&ada, &[&ben]).await.id;
    let lost = world.room(&ada, &[&ben]).await.id;
    let quiet = world.room(&ada, &[&ben]).await.id;
    let early = world.say(&ada, room, "early").await;
    let gone = world.say(&ada, room, "to be deleted").await;
    let peer = world.peer(config());
    let mut stream = Stream::open(peer.address, &ben, None).await;
    stream.live().await;
    world.say(&ada, room, "seen").await;
    stream.until(|item| item.data["data"]["content"] == "seen").await;
    peer.kill();
    while stream.next().await.is_some() {}
    let id = stream.id.clone().expect("an id came with the reply");

    world.say(&ada, room, "missed").await;
    let edit = EditMessage { content: "early, edited".into(), mentions: None };
    world.chat.edit(&ada.caller, early.id, edit).await.unwrap();
    world.chat.delete(&ada.caller, gone.id).await.unwrap();
    world.chat.react(&ada.caller, early.id, "👍", true).await.unwrap();
    world.say(&ada, lost, "the last for ben").await;
    world.chat.remove_participant(&ada.caller, lost, ben.caller.user.id).await.unwrap();
    world.say(&ada, lost, "a secret").await;
    let new = world.room(&ada, &[]).await.id;
    for n in 0..5 {
        world.say(&ada, new, &format!("before ben {n}")).await;
    }
    let user_ids = vec![ben.caller.user.id];
    world.chat.add_participants(&ada.caller, new, AddParticipants { user_ids }).await.unwrap();
    let news = protocol::CreateAnnouncement { title: "news".into(), content: "all is well".into(), url: None };
    world.chat.announce(&boss.caller, news, None).await.unwrap();

    let mut again = Stream::open(world.address, &ben, Some(&id)).await;
    let reply = again.live().await;
    let heads: std::collections::BTreeSet<String> = reply["heads"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(heads, [room, quiet, new].map(|id| id.to_string()).into(), "what is not named is not theirs");
    let frames = again.frames();
    let missed = world.chat.changes(&ben.caller, room, 4, None).await.unwrap();
    let told: Vec<_> = frames
        .iter()
        .filter(|frame| frame["type"] == "changes" && frame["conversation_id"] == json!(room))
        .flat_map(|frame| frame["changes"].as_array().unwrap().clone())
        .filter(|change| change["seq"].as_u64() > Some(4))
        .collect();
    for (told, missed) in told.iter().zip(&missed.changes) {
        // From how far back it is replayed is the store's choice: to it, what was edited may be new.
        let missed = serde_json::to_value(missed).unwrap();
        assert_eq!((&told["seq"], &told["data"]), (&missed["seq"], &missed["data"]));
    }
    assert_eq!(told.len(), 3, "a new one, one edited and reacted to, one deleted: {told:#?}");
    assert_eq!(seqs(&frames, quiet), [0; 0], "nothing was missed there");
    let feed: Vec<_> = frames.iter().filter(|frame| frame["user_seq"].is_u64()).collect();
    let about = |kind: &str, id| feed.iter().any(|f| f["type"] == kind && f["conversation_id"] == json!(id));
    assert!(about("participant.removed", lost) && about("conversation.created", new), "{feed:#?}");
    assert!(!format!("{frames:?}").contains("secret"));
    assert_eq!(seqs(&frames, new), [0; 0], "one that is shown anew is not replayed");
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "announcement").count(), 1);
    for (place, content) in [(room, "live again"), (new, "live in the new one"), (quiet, "and here")] {
        world.say(&ada, place, content).await;
        again.until(|item| item.data["data"]["content"] == content).await;
    }
}

#[tokio::test]
async fn an_id_that_is_none_of_ours_asks_for_a_resync_and_events_flow_all_the_same() {
    let world = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut stream = Stream::open(world.address, &ben, None).await;
    stream.live().await;
    let id = stream.newest_id().await;
    let parts: Vec<&str> = id.split('.').collect();
    let [epoch, user_seq, announcements, watermark] = parts[..] else { panic!("{id}") };
    let next = u64::from_str_radix(watermark.split('-').next().unwrap(), 16).unwrap() + 1_000_000;
    for (bad, reason) in [
        ("nonsense".to_owned(), "bad_cursor"),
        ("42".to_owned(), "bad_cursor"),
        (format!("{id}.1"), "bad_cursor"),
        (format!("{epoch}.-1.{announcements}.{watermark}"), "bad_cursor"),
        (format!("{epoch}.{user_seq}.{announcements}.{}", "f".repeat(600)), "bad_cursor"),
        (format!("0123456789abcdef.{user_seq}.{announcements}.{watermark}"), "epoch_changed"),
        (format!("{epoch}.{}.{announcements}.{watermark}", i64::MAX), "cursor_ahead"),
        (format!("{epoch}.{user_seq}.{announcements}.{next:x}"), "cursor_ahead"),
    ] {
        let mut stream = Stream::open(world.address, &ben, Some(&bad)).await;
        let reply = stream.live().await;
        let resync: Vec<Value> = stream.frames().into_iter().filter(|f| f["type"] == "resync_required").collect();
        assert_eq!(resync.len(), 1, "{bad}: {resync:?}");
        assert_eq!(resync[0]["data"], json!({"conversation_id": null, "reason": reason}), "{bad}");
        assert_eq!(stream.frames()[0]["type"], "connected");
        assert!(reply["heads"][room.to_string()].is_u64(), "{reply}");
        world.say(&ada, room, &bad[..bad.len().min(30)]).await;
        stream.event("message.created").await;
        // And it has a good one from now on.
        let new = stream.newest_id().await;
        assert!(new.starts_with(&format!("{epoch}.")), "{new}");
    }
    // A header that is not even text, and an empty one, as `EventSource` would never send it.
    let raw = reqwest::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let request = crate::client::get(world.address, "").bearer_auth(&ben.token).header("last-event-id", raw);
    let mut stream = Stream::of(request).await;
    assert_eq!(stream.event("resync_required").await.data["data"]["reason"], "bad_cursor");
    let mut stream = Stream::open(world.address, &ben, Some("")).await;
    stream.live().await;
    assert!(stream.seen.iter().all(|item| item.event != "resync_required"));
}

#[tokio::test]
async fn an_id_in_the_query_does_for_clients_that_make_a_new_event_source() {
    let world = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut stream = Stream::open(world.address, &ben, None).await;
    stream.live().await;
    let id = stream.newest_id().await;
    drop(stream);
    world.chat.send(&ada.caller, room, text("missed")).await.unwrap();
    let query = format!("?last_event_id={id}");
    let mut again = Stream::of(crate::client::get(world.address, &query).bearer_auth(&ben.token)).await;
    again.live().await;
    assert_eq!(seqs(&again.frames(), room), [2]);
}

#[tokio::test]
async fn who_was_away_for_too_long_is_asked_to_fetch_that_conversation() {
    let world = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let (room, other) = (world.room(&ada, &[&ben]).await.id, world.room(&ada, &[&ben]).await.id);
    let mut stream = Stream::open(world.address, &ben, None).await;
    stream.live().await;
    let id = stream.newest_id().await;
    drop(stream);
    for batch in 0..101 {
        let sends = (0..100).map(|n| world.say(&ada, room, if n == batch { "a" } else { "b" }));
        futures_util::future::join_all(sends.collect::<Vec<_>>()).await;
    }
    world.say(&ada, other, "near enough").await;
    let mut again = Stream::open(world.address, &ben, Some(&id)).await;
    let reply = again.live().await;
    let resync: Vec<_> = again.seen.iter().filter(|item| item.event == "resync_required").collect();
    assert_eq!(resync.len(), 1);
    assert_eq!(resync[0].data["data"], json!({"conversation_id": room, "reason": "too_far_behind"}));
    assert_eq!(reply["heads"][room.to_string()], 10_101);
    assert_eq!(seqs(&again.frames(), other), [2]);
}
