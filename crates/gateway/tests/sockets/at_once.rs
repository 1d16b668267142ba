//! What is lost is looked for at once when there is a reason to: here, no comparison would come by itself within the
//! test.

use std::{sync::Arc, time::Duration};

use bus::{Bus, local::LocalBus};
use chat::Chat;
use gateway::{GatewayConfig, PresenceConfig};
use protocol::Limits;
use tokio::time::{Instant, sleep};

use crate::harness::{DEADLINE, World, chat_on, text};

/// A node that compares nothing by itself, and a writer on the same store whose events nobody hears.
async fn world() -> (World, Chat) {
    let presence = PresenceConfig { lease: Duration::from_millis(900), ..PresenceConfig::default() };
    let config = GatewayConfig { sweep_interval: Duration::from_hours(10), presence, ..GatewayConfig::default() };
    let limits = Limits { command_rate: 0, ..Limits::default() };
    let world = World::with(config, limits.clone()).await;
    let unheard = Arc::new(LocalBus::start());
    let silent = chat_on(&world.store, unheard, limits, &prometheus::Registry::new());
    (world, silent)
}

fn nodes(world: &World) -> f64 {
    let found = world.registry.gather().into_iter().find(|family| family.name() == "starling_nodes");
    found.map_or(0.0, |family| family.get_metric()[0].get_gauge().get_value())
}

/// Waits until a peer is seen.
async fn until_a_peer_is_seen(world: &World) {
    let start = Instant::now();
    while nodes(world) < 2.0 {
        assert!(start.elapsed() < DEADLINE, "the peer holds no lease");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn when_the_bus_was_away() {
    let (world, silent) = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut socket = world.live(&ben).await;
    let sent = silent.send(&ada.caller, room, text("nobody heard of it")).await.unwrap().0;
    socket.settle().await;
    assert!(socket.seen(|frame| frame["conversation_id"] == room.to_string()).is_empty());
    world.bus.reconnect();
    let frame = socket.until(|frame| frame["type"] == "changes").await;
    assert_eq!(frame["to"], sent.seq);
}

#[tokio::test]
async fn when_another_node_died() {
    let (world, silent) = world().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let presence = PresenceConfig { lease: Duration::from_millis(900), ..PresenceConfig::default() };
    let peer = world.peer(GatewayConfig { presence, ..GatewayConfig::default() });
    let mut socket = world.live(&ben).await;
    until_a_peer_is_seen(&world).await;
    // It died between the commit and the event.
    let sent = silent.send(&ada.caller, room, text("its last words")).await.unwrap().0;
    socket.settle().await;
    assert!(socket.seen(|frame| frame["conversation_id"] == room.to_string()).is_empty());
    peer.kill();
    let frame = socket.until(|frame| frame["type"] == "changes").await;
    assert_eq!(frame["to"], sent.seq);
}
