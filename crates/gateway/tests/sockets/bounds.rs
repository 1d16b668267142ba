//! What a client that was away for long gets: all of it at the pace of its reading, or the word to fetch; never an end
//! that comes again and again.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use gateway::{Bounds, GatewayConfig};
use protocol::{ConversationId, Limits};
use serde_json::{Value, json};

use crate::harness::{Person, Socket, World};

async fn world(outbox_events: usize, bounds: Bounds) -> World {
    let config = GatewayConfig { outbox_events, bounds, ..GatewayConfig::default() };
    World::with(config, Limits { command_rate: 0, ..Limits::default() }).await
}

/// A connection that resumes, and the reply.
async fn resume(world: &World, who: &Person, user_seq: u64, cursors: HashMap<ConversationId, u64>) -> (Socket, Value) {
    let mut socket = world.connect(who).await;
    let epoch = socket.until(|frame| frame["type"] == "connected").await["data"]["epoch"].clone();
    let command = json!({"type": "hello", "resume": {"epoch": epoch, "user_seq": user_seq, "cursors": cursors}});
    let reply = socket.ask(command).await;
    assert_eq!(reply["ok"], true, "{reply}");
    (socket, reply["data"].clone())
}

/// So many times somebody is named while they are away; where.
async fn mentioned(world: &World, times: usize) -> (Person, Person, ConversationId) {
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    for n in 0..times {
        world.say(&ada, room, &format!("@ben {n}")).await;
    }
    (ada, ben, room)
}

#[tokio::test]
async fn a_feed_that_moved_further_than_an_outbox_takes_comes_whole() {
    let world = world(16, Bounds::default()).await;
    let (ada, ben, room) = mentioned(&world, 80).await;
    let (mut socket, _) = resume(&world, &ben, 1, HashMap::from([(room, 1)])).await;
    let told = socket.seen(|frame| frame["type"] == "notification.created");
    let steps: Vec<_> = told.iter().filter_map(|frame| frame["user_seq"].as_u64()).collect();
    assert_eq!(steps, (2..=82).collect::<Vec<_>>(), "one for being added, and eighty");
    world.say(&ada, room, "live").await;
    socket.until(|frame| frame["data"]["content"] == "live").await;
}

#[tokio::test]
async fn of_a_feed_that_moved_too_far_it_is_told_to_fetch_and_goes_on_live() {
    let world = world(16, Bounds { feed_distance: 20, ..Bounds::default() }).await;
    let (ada, ben, room) = mentioned(&world, 40).await;
    let (mut socket, data) = resume(&world, &ben, 1, HashMap::from([(room, 1)])).await;
    let asked = socket.seen(|frame| frame["type"] == "resync_required");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0]["data"], json!({"conversation_id": null, "reason": "too_far_behind"}));
    assert_eq!(data["heads"][room.to_string()], 41);
    assert!(socket.seen(|frame| frame["type"] == "notification.created").is_empty());
    world.say(&ada, room, "live").await;
    socket.until(|frame| frame["data"]["content"] == "live").await;
}

#[tokio::test]
async fn conversations_that_are_not_theirs_are_told_at_the_pace_of_the_reader() {
    let world = world(16, Bounds::default()).await;
    let ben = world.user("ben").await;
    let foreign: Vec<_> = (0..900).map(|_| ConversationId::generate()).collect();
    let (socket, _) = resume(&world, &ben, 0, foreign.iter().map(|id| (*id, 5)).collect()).await;
    let gone = socket.seen(|frame| frame["type"] == "participant.removed");
    let gone: BTreeSet<_> = gone.iter().filter_map(|frame| frame["conversation_id"].as_str()).collect();
    assert_eq!(gone.len(), foreign.len());
}

#[tokio::test]
async fn markers_of_many_conversations_follow_the_reply() {
    let world = world(16, Bounds { receipts_at_once: 3, ..Bounds::default() }).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let mut rooms = HashMap::new();
    for _ in 0..10 {
        rooms.insert(world.room(&ada, &[&ben]).await.id, 1);
    }
    let user_seq = 20;
    let (mut socket, data) = resume(&world, &ben, user_seq, rooms.clone()).await;
    let first: BTreeSet<_> = of(data["receipts"].as_array().unwrap().iter());
    assert_eq!(first.len(), 3, "{data}");
    let mut told = first;
    while told.len() < rooms.len() {
        let frame = socket.until(|frame| frame["type"] == "receipt.updated").await;
        told.extend(of([&frame["data"]].into_iter()));
    }
    let all: BTreeSet<_> = rooms.keys().map(ToString::to_string).collect();
    assert_eq!(told, all);
}

fn of<'a>(receipts: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    receipts.filter_map(|receipt| Some(receipt["conversation_id"].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn deaf_connections_that_resume_many_busy_conversations_hold_no_more_than_their_bounds() {
    let bounds = Bounds { page: 5, held_events: 1_000, ..Bounds::default() };
    let config = GatewayConfig { outbox_bytes: 32 * 1024, bounds, ..GatewayConfig::default() };
    let limits = Limits { command_rate: 0, ..Limits::default() };
    let world = World::with(config, limits).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let mut rooms = HashMap::new();
    for _ in 0..40 {
        let room = world.room(&ada, &[&ben]).await.id;
        for n in 0..12 {
            world.say(&ada, room, &format!("{n} {}", "x".repeat(1_500))).await;
        }
        rooms.insert(room, 1);
    }
    // It asks for all of it and reads nothing while more comes; then it reads.
    let epoch = {
        let mut socket = world.connect(&ben).await;
        socket.until(|frame| frame["type"] == "connected").await["data"]["epoch"].clone()
    };
    let mut deaf = world.narrow_silent(&ben).await;
    let hello = json!({"type": "hello", "resume": {"epoch": epoch, "user_seq": 80, "cursors": rooms}});
    deaf.command(hello).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    for room in rooms.keys() {
        for n in 0..10 {
            world.say(&ada, *room, &format!("later {n} {}", "y".repeat(1_500))).await;
        }
    }
    let mut got: HashMap<String, u64> = HashMap::new();
    while got.len() < rooms.len() || got.values().any(|seq| *seq < 23) {
        let frame = deaf.next().await;
        let seq = frame["to"].as_u64().or(frame["seq"].as_u64());
        if let (Some(id), Some(seq)) = (frame["conversation_id"].as_str(), seq) {
            let known = got.entry(id.to_owned()).or_insert(1);
            if frame["type"] == "changes" {
                assert_eq!(frame["from"], *known, "no hole");
            } else {
                assert_eq!(seq, *known + 1, "no hole: {frame}");
            }
            *known = seq;
        }
    }
}
