//! The rule of ids: everything that could be seen at an id's watermark was sent before it.
//!
//! Checked from outside, against the store: the bus loses most of the news (the writers are another node's, whose
//! events do not come through), conversations are joined and left all the while, and of each id that came it is asked
//! what the store would replay after it. What it would not replay must have been told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bus::local::LocalBus;
use gateway::GatewayConfig;
use protocol::{AddParticipants, ConversationId, Limits, Seq};
use serde_json::Value;
use store::Watermark;

use crate::{
    client::Stream,
    harness::{World, chat_on, text},
};

const ROOMS: usize = 6;
const SECONDS: u64 = 8;

/// What a client knows of each conversation: up to where.
type Known = BTreeMap<ConversationId, Seq>;

fn take(known: &mut Known, frame: &Value) {
    let Ok(id) = serde_json::from_value::<ConversationId>(frame["conversation_id"].clone()) else { return };
    let to = match frame["type"].as_str() {
        Some("changes") => frame["to"].as_u64(),
        Some("conversation.created") => frame["data"]["last_seq"].as_u64(),
        Some("participant.removed") => {
            known.remove(&id);
            None
        }
        _ => frame["seq"].as_u64(),
    };
    if let Some(to) = to {
        let known = known.entry(id).or_default();
        *known = (*known).max(to);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_never_stands_for_more_than_was_sent_before_it() {
    let config = GatewayConfig { sweep_interval: Duration::from_millis(40), ..GatewayConfig::default() };
    let limits = Limits { command_rate: 0, ..Limits::default() };
    let world = World::with(config, limits.clone()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let deaf = chat_on(&world.store, Arc::new(LocalBus::start()), limits, &prometheus::Registry::new());
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(world.room(&ada, &[&ben]).await.id);
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut working = Vec::new();
    for (place, room) in rooms.iter().copied().enumerate() {
        // Of each three, one whose events come, and two whose events only the sweep finds.
        let chat = if place % 3 == 0 { world.chat.clone() } else { deaf.clone() };
        let (ada, done, ben) = (ada.clone(), Arc::clone(&done), ben.caller.user.id);
        working.push(tokio::spawn(async move {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                chat.send(&ada.caller, room, text("news")).await.unwrap();
                count += 1;
                if place % 2 == 1 && count % 60 == 0 {
                    chat.remove_participant(&ada.caller, room, ben).await.unwrap();
                    chat.send(&ada.caller, room, text("without ben")).await.unwrap();
                    let user_ids = vec![ben];
                    chat.add_participants(&ada.caller, room, AddParticipants { user_ids }).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }));
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(SECONDS);
    let mut stands: Vec<(String, Known)> = Vec::new();
    let (mut id, mut known) = (None::<String>, Known::new());
    // Streams of some length: an id must be right in the first moments of a stream, too.
    while tokio::time::Instant::now() < until {
        let mut stream = Stream::open(world.address, &ben, id.as_deref()).await;
        let ends = tokio::time::Instant::now() + Duration::from_millis(1_500);
        while tokio::time::Instant::now() < ends {
            let Some(item) = stream.next().await else { panic!("the stream ended") };
            take(&mut known, &item.data);
            for (id, head) in item.data["data"]["heads"].as_object().into_iter().flatten() {
                // A fresh client fetches what was before; one that came back must have it by now.
                let known = known.entry(serde_json::from_value(id.as_str().into()).unwrap()).or_default();
                *known = (*known).max(head.as_u64().unwrap());
            }
            assert_ne!(item.event, "resync_required", "nobody was away for long: {item:?}");
            if let Some(id) = item.id {
                stands.push((id, known.clone()));
            }
        }
        id = stream.id.or(id);
    }
    done.store(true, Ordering::Relaxed);
    for task in working {
        task.await.unwrap();
    }
    let user = ben.caller.user.id;
    let different: BTreeSet<_> = stands.iter().map(|(id, _)| id.rsplit('.').next().unwrap().to_owned()).collect();
    assert!(different.len() >= 8, "only {} watermarks, so this proves little", different.len());
    let heads: Known = world.chat.heads(&rooms).await.unwrap().into_iter().collect();
    for (id, known) in stands {
        let parts: Vec<_> = id.split('.').collect();
        let watermark: Watermark = parts[3].parse().unwrap();
        let user_seq: u64 = parts[1].parse().unwrap();
        let since = world.chat.changed_since(user, u64::MAX, &watermark, 1_000_000).await.unwrap();
        // Those that the feed would show anew need no replay.
        let (_, feed) = world.chat.feed(user, user_seq).await.unwrap();
        let shown: BTreeSet<_> = feed
            .iter()
            .filter_map(|event| match event.effect {
                chat::FeedEffect::Joined(id, _) => Some(id),
                _ => None,
            })
            .collect();
        let replayed: Known =
            since.items.iter().map(|item| (item.conversation_id, item.cursor.unwrap_or_default())).collect();
        for room in rooms.iter().filter(|room| !shown.contains(room)) {
            let seen = replayed.get(room).copied().unwrap_or(heads[room]);
            let told = known.get(room).copied().unwrap_or_default();
            assert!(told >= seen, "at {id}: {room} was told up to {told}, and would be replayed after {seen} only");
        }
    }
}
