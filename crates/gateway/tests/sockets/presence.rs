//! Who is there: told to who watches, across nodes, through reloads, flapping, lost news and nodes that die.

use std::time::Duration;

use bus::{Bus, Topic};
use bytes::Bytes;
use chat::envelope::PresenceChanged;
use gateway::{GatewayConfig, PresenceConfig};
use protocol::{ConversationId, Limits, Presence, PresenceState, ProfilePatch, Timestamp, UserId};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{DEADLINE, Person, Socket, World};

/// Everything a little faster than in life.
fn quick() -> GatewayConfig {
    let presence = PresenceConfig {
        lease: Duration::from_millis(1_200),
        grace: Duration::from_millis(400),
        pause: Duration::from_millis(200),
        recheck: Duration::from_mins(1),
    };
    GatewayConfig { presence, drain_window: Duration::from_millis(100), ..GatewayConfig::default() }
}

async fn world(config: GatewayConfig) -> World {
    World::with(config, Limits { command_rate: 0, ..Limits::default() }).await
}

fn id(who: &Person) -> UserId {
    who.caller.user.id
}

/// Watches; the states that the answer tells, in its order.
async fn watch(socket: &mut Socket, who: &[&Person]) -> Vec<Value> {
    let ids: Vec<_> = who.iter().map(|who| id(who)).collect();
    let reply = socket.ask(json!({"type": "presence.watch", "user_ids": ids})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    reply["data"]["items"].as_array().unwrap().clone()
}

async fn set(socket: &mut Socket, state: &str, focus: Option<ConversationId>) {
    let reply = socket.ask(json!({"type": "presence.set", "state": state, "focus": focus})).await;
    assert_eq!((&reply["ok"], &reply["data"]), (&json!(true), &json!({})), "{reply}");
}

/// Waits until the socket is told that somebody is in this state.
async fn told(socket: &mut Socket, who: &Person, state: &str) -> Value {
    let (id, state) = (json!(id(who)), json!(state));
    let is = |frame: &Value| frame["type"] == "presence.updated" && frame["data"]["user_id"] == id;
    socket.until(|frame| is(frame) && frame["data"]["state"] == state).await
}

/// Every state that the socket was told of somebody.
fn states(socket: &Socket, who: &Person) -> Vec<String> {
    let events = socket.seen(|frame| frame["type"] == "presence.updated" && frame["data"]["user_id"] == json!(id(who)));
    events.iter().map(|event| event["data"]["state"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the bus says this of somebody.
async fn on_bus(world: &World, who: &Person, wanted: PresenceState) -> Vec<ConversationId> {
    let start = Instant::now();
    loop {
        let said = world.bus.presence(&[id(who)]).await.unwrap().remove(0);
        if said.state == wanted {
            return said.focus;
        }
        assert!(start.elapsed() < DEADLINE, "{said:?} instead of {wanted:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_comes_goes_and_is_away_is_told_on_every_node() {
    let world = world(quick()).await;
    let peer = world.peer(quick());
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let (mut here, mut there) = (world.live(&ada).await, peer.live(&ada).await);
    for socket in [&mut here, &mut there] {
        let items = watch(socket, &[&ben]).await;
        assert_eq!((items.len(), &items[0]["state"]), (1, &json!("offline")), "{items:?}");
    }
    let mut laptop = peer.live(&ben).await;
    for socket in [&mut here, &mut there] {
        let event = told(socket, &ben, "online").await;
        assert_eq!(event["data"]["last_seen_at"], Value::Null);
        assert!(event.get("conversation_id").is_none() && event.get("seq").is_none(), "{event}");
    }
    set(&mut laptop, "away", None).await;
    told(&mut here, &ben, "away").await;
    // The most active of several devices wins, wherever they are connected.
    let phone = world.live(&ben).await;
    told(&mut here, &ben, "online").await;
    phone.cut();
    told(&mut here, &ben, "away").await;
    laptop.cut();
    for socket in [&mut here, &mut there] {
        let event = told(socket, &ben, "offline").await;
        assert!(event["data"]["last_seen_at"].is_string(), "{event}");
    }
    // What was told is what a question is answered with.
    let asked = world.chat.presence(&ada.caller, Some(&[id(&ben)])).await.unwrap();
    let last = here.seen(|frame| frame["type"] == "presence.updated").pop().unwrap();
    assert_eq!(serde_json::to_value(asked.items[0]).unwrap(), last["data"]);
    let nobody = world.chat.presence(&ada.caller, None).await.unwrap();
    assert!(nobody.items.iter().all(|presence| presence.user_id != id(&ben)));
}

#[tokio::test]
async fn a_new_profile_is_told_to_who_watches_and_to_ones_own_devices_on_every_node() {
    let world = world(quick()).await;
    let peer = world.peer(quick());
    let (ada, ben, eve) = (world.user("ada").await, world.user("ben").await, world.user("eve").await);
    world.room(&ada, &[&ben, &eve]).await;
    let (mut here, mut there, mut own) = (world.live(&ada).await, peer.live(&ada).await, peer.live(&ben).await);
    let mut blind = world.live(&eve).await;
    for socket in [&mut here, &mut there, &mut own] {
        watch(socket, &[&ben]).await;
    }
    let patch: ProfilePatch = serde_json::from_value(json!({"display_name": "Benjamin"})).unwrap();
    let user = world.chat.update_profile(&ben.caller, patch).await.unwrap();
    let told = json!({"type": "user.updated", "data": user});
    assert_eq!(told["data"]["display_name"], "Benjamin");
    for socket in [&mut here, &mut there, &mut own] {
        assert_eq!(socket.until(|frame| frame["type"] == "user.updated").await, told);
    }
    for socket in [&mut own, &mut blind] {
        sleep(Duration::from_millis(200)).await;
        socket.settle().await;
    }
    assert_eq!(own.seen(|frame| frame["type"] == "user.updated").len(), 1, "not once more for watching oneself");
    assert!(blind.seen(|frame| frame["type"] == "user.updated").is_empty(), "nobody is told who does not watch");
}

#[tokio::test]
async fn a_reload_is_not_told_and_flapping_is_told_at_most_once_per_pause() {
    let pause = Duration::from_secs(2);
    let presence = PresenceConfig { pause, grace: Duration::from_secs(5), ..quick().presence };
    let world = world(GatewayConfig { presence, ..quick() }).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let mut socket = world.live(&ada).await;
    let mut device = world.live(&ben).await;
    on_bus(&world, &ben, PresenceState::Online).await;
    assert_eq!(watch(&mut socket, &[&ben]).await[0]["state"], "online");
    // Reloads, each within the grace.
    for _ in 0..4 {
        device.cut();
        device = world.live(&ben).await;
        sleep(Duration::from_millis(100)).await;
    }
    socket.settle().await;
    assert_eq!(states(&socket, &ben), [] as [&str; 0]);
    // Away and back faster than the pause, for longer than it.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        set(&mut device, "away", None).await;
        sleep(Duration::from_millis(300)).await;
        set(&mut device, "active", None).await;
        sleep(Duration::from_millis(300)).await;
    }
    socket.settle().await;
    let (events, took) = (states(&socket, &ben).len(), start.elapsed());
    let most = 1 + took.div_duration_f64(pause) as usize;
    assert!((1..=most).contains(&events), "{events} events in {took:?}");
    // Whatever was told in between, the end is right.
    set(&mut device, "away", None).await;
    let last = timeout(DEADLINE, async {
        loop {
            sleep(Duration::from_millis(100)).await;
            socket.settle().await;
            if states(&socket, &ben).last().is_some_and(|state| state == "away") {
                return;
            }
        }
    });
    last.await.expect("the last state is told");
}

#[tokio::test]
async fn only_people_who_share_a_conversation_are_seen_and_only_as_long_as_they_do() {
    let presence = PresenceConfig { recheck: Duration::from_millis(500), ..quick().presence };
    let world = world(GatewayConfig { presence, ..quick() }).await;
    let (ada, ben, eve) = (world.user("ada").await, world.user("ben").await, world.user("eve").await);
    let far = world.stranger("far").await;
    let room = world.room(&ada, &[&ben]).await.id;
    let mut socket = world.live(&eve).await;
    assert_eq!(watch(&mut socket, &[&ada, &far]).await, [] as [Value; 0]);
    let mut watcher = world.live(&ben).await;
    assert_eq!(watch(&mut watcher, &[&ada, &far, &eve]).await.len(), 1);
    let mut device = world.live(&ada).await;
    let stranger = world.live(&far).await;
    told(&mut watcher, &ada, "online").await;
    world.chat.remove_participant(&ada.caller, room, id(&ben)).await.unwrap();
    // Until the next look at who may see whom.
    sleep(Duration::from_millis(1_500)).await;
    set(&mut device, "away", None).await;
    stranger.cut();
    sleep(Duration::from_secs(1)).await;
    for socket in [&mut socket, &mut watcher] {
        socket.settle().await;
    }
    assert_eq!(states(&watcher, &ada), ["online"]);
    for who in [&ada, &far] {
        assert_eq!(states(&socket, who), [] as [&str; 0]);
    }
    // Together again, they ask again.
    let user_ids = vec![id(&ben)];
    world.chat.add_participants(&ada.caller, room, protocol::AddParticipants { user_ids }).await.unwrap();
    assert_eq!(watch(&mut watcher, &[&ada]).await[0]["state"], "away");
    // Who blocked somebody does not see them, and is not seen.
    world.chat.set_blocked(&ada.caller, id(&ben), true).await.unwrap();
    assert_eq!(watch(&mut watcher, &[&ada]).await, [] as [Value; 0]);
    assert_eq!(watch(&mut device, &[&ben]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn who_is_not_watched_any_more_is_not_told_of_and_bad_questions_are_refused() {
    let world = world(quick()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let mut socket = world.live(&ada).await;
    assert_eq!(watch(&mut socket, &[&ben, &ben, &ada]).await.len(), 2);
    assert_eq!(watch(&mut socket, &[&ben]).await.len(), 1, "asked again, answered again");
    assert_eq!(watch(&mut socket, &[]).await.len(), 0);
    let mut device = world.live(&ben).await;
    told(&mut socket, &ben, "online").await;
    for ids in [vec![id(&ben), id(&ben)], vec![id(&ben), UserId::generate()], vec![]] {
        let reply = socket.ask(json!({"type": "presence.unwatch", "user_ids": ids})).await;
        assert_eq!((&reply["ok"], &reply["data"]), (&json!(true), &json!({})), "{reply}");
    }
    set(&mut device, "away", None).await;
    on_bus(&world, &ben, PresenceState::Away).await;
    sleep(Duration::from_millis(500)).await;
    socket.settle().await;
    assert_eq!(states(&socket, &ben), ["online"]);

    let many: Vec<_> = (0..501).map(|_| UserId::generate()).collect();
    for (command, code) in [
        (json!({"type": "presence.watch", "user_ids": many}), "limit_reached"),
        (json!({"type": "presence.watch"}), "invalid"),
        (json!({"type": "presence.watch", "user_ids": null}), "invalid"),
        (json!({"type": "presence.watch", "user_ids": "ben"}), "invalid"),
        (json!({"type": "presence.watch", "user_ids": [7]}), "invalid"),
        (json!({"type": "presence.watch", "user_ids": ["ben"]}), "invalid"),
        (json!({"type": "presence.unwatch", "user_ids": {}}), "invalid"),
        (json!({"type": "presence.unwatch"}), "invalid"),
        (json!({"type": "presence.set"}), "invalid"),
        (json!({"type": "presence.set", "state": "online"}), "invalid"),
        (json!({"type": "presence.set", "state": ""}), "invalid"),
        (json!({"type": "presence.set", "state": "away", "focus": "room"}), "invalid"),
        (json!({"type": "presence.set", "state": "away", "focus": [1]}), "invalid"),
    ] {
        let reply = socket.ask(command.clone()).await;
        assert_eq!((&reply["ok"], &reply["error"]["code"]), (&json!(false), &json!(code)), "{command}: {reply}");
    }
    // The same one many times is one; unknown people are left out; more people than may be watched are not.
    let reply = socket.ask(json!({"type": "presence.watch", "user_ids": vec![id(&ben); 600]})).await;
    assert_eq!(reply["data"]["items"].as_array().map(Vec::len), Some(1), "{reply}");
    let reply = socket.ask(json!({"type": "presence.watch", "user_ids": &many[..500]})).await;
    assert_eq!(reply["error"]["code"], "limit_reached", "with those before that is too many: {reply}");
    let reply = socket.ask(json!({"type": "presence.watch", "user_ids": &many[..498]})).await;
    assert_eq!(reply["data"]["items"], json!([]), "{reply}");
}

#[tokio::test]
async fn what_is_on_the_screens_is_known_and_ends_with_the_connection() {
    let world = world(quick()).await;
    let peer = world.peer(quick());
    let ada = world.user("ada").await;
    let rooms = [world.room(&ada, &[]).await.id, world.room(&ada, &[]).await.id];
    let (mut one, mut two) = (world.live(&ada).await, peer.live(&ada).await);
    set(&mut one, "active", Some(rooms[0])).await;
    set(&mut two, "away", Some(rooms[1])).await;
    let focused = async |wanted: &[ConversationId]| {
        let start = Instant::now();
        while on_bus(&world, &ada, PresenceState::Online).await != wanted {
            assert!(start.elapsed() < DEADLINE, "not {wanted:?}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut both = rooms;
    both.sort_unstable();
    focused(&both).await;
    two.cut();
    focused(&rooms[..1]).await;
    one.cut();
    // In the grace they are there still, looking at nothing; then they are not.
    on_bus(&world, &ada, PresenceState::Offline).await;
}

#[tokio::test]
async fn the_users_of_a_node_that_is_killed_are_offline_when_its_lease_ends() {
    // Longer than a busy machine keeps a node from renewing it.
    let presence = PresenceConfig { lease: Duration::from_secs(4), ..quick().presence };
    let world = world(GatewayConfig { presence, ..quick() }).await;
    let presence = PresenceConfig { recheck: Duration::from_millis(50), ..presence };
    let peer = world.peer(GatewayConfig { presence, ..quick() });
    let (ada, ben, cleo) = (world.user("ada").await, world.user("ben").await, world.user("cleo").await);
    world.room(&ada, &[&ben, &cleo]).await;
    let mut socket = world.live(&ada).await;
    watch(&mut socket, &[&ben, &cleo]).await;
    let (_dies, _dies_too, _stays) = (peer.live(&ben).await, peer.live(&cleo).await, world.live(&cleo).await);
    told(&mut socket, &ben, "online").await;
    told(&mut socket, &cleo, "online").await;
    let online = Timestamp::from(time::OffsetDateTime::now_utc());
    // Long enough for the lease to be seen here, and for who is there to be noted.
    sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    peer.kill();
    let event = told(&mut socket, &ben, "offline").await;
    let seen: Timestamp = serde_json::from_value(event["data"]["last_seen_at"].clone()).unwrap();
    assert!(seen > online, "{seen:?} is when he came, not when he was last there");
    assert!(start.elapsed() < Duration::from_secs(9), "after {:?}", start.elapsed());
    sleep(Duration::from_millis(500)).await;
    socket.settle().await;
    assert_eq!(states(&socket, &cleo), ["online"], "she is here too");
}

#[tokio::test]
async fn a_node_that_drains_takes_its_users_along_at_once() {
    let lease = Duration::from_mins(10);
    let slow = GatewayConfig { presence: PresenceConfig { lease, ..quick().presence }, ..quick() };
    let world = world(quick()).await;
    let peer = world.peer(slow);
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let mut socket = world.live(&ada).await;
    watch(&mut socket, &[&ben]).await;
    let device = peer.live(&ben).await;
    told(&mut socket, &ben, "online").await;
    let drained = peer.gateway.drain();
    let left = async {
        let mut device = device;
        device.until(|frame| frame["type"] == "reconnect").await;
        assert_eq!(device.close_code().await, Some(4000));
    };
    timeout(DEADLINE, async { tokio::join!(drained, left) }).await.expect("it drains");
    told(&mut socket, &ben, "offline").await;
    let said = peer.bus.presence(&[id(&ben)]).await.unwrap();
    assert_eq!(said[0].state, PresenceState::Offline);
    let other = protocol::NodeId::generate();
    assert_eq!(world.bus.hold_lease(other, Duration::from_secs(1)).await.unwrap().len(), 2, "it holds no lease");
}

#[tokio::test]
async fn what_the_bus_forgot_is_said_again_and_what_it_lost_is_found() {
    let config = quick();
    let world = world(config.clone()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let mut socket = world.live(&ada).await;
    let _device = world.live(&ben).await;
    on_bus(&world, &ben, PresenceState::Online).await;
    watch(&mut socket, &[&ben]).await;
    // As a server that was restarted: nothing that was said is left.
    world.bus.release_lease(config.node).await.unwrap();
    on_bus(&world, &ben, PresenceState::Offline).await;
    world.bus.reconnect();
    on_bus(&world, &ben, PresenceState::Online).await;
    // News that never came: another node's, published nowhere.
    let deaf = protocol::NodeId::generate();
    let cleo = world.user("cleo").await;
    world.room(&ada, &[&cleo]).await;
    assert_eq!(watch(&mut socket, &[&cleo]).await[0]["state"], "offline");
    world.bus.hold_lease(deaf, Duration::from_mins(1)).await.unwrap();
    let said = bus::NodePresence { user: id(&cleo), state: PresenceState::Away, focus: Vec::new() };
    world.bus.set_presence(deaf, &[said]).await.unwrap();
    world.bus.reconnect();
    told(&mut socket, &cleo, "away").await;
}

#[tokio::test]
async fn a_hint_is_only_a_hint_and_what_others_publish_harms_nobody() {
    let world = world(quick()).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    let mut socket = world.live(&ada).await;
    watch(&mut socket, &[&ben]).await;
    let topic = Topic::Presence(id(&ben));
    let hint = |user_id| {
        let presence = Presence { user_id, state: PresenceState::Online, last_seen_at: None };
        PresenceChanged::encode(presence).unwrap()
    };
    let payloads = [hint(id(&ben)), hint(id(&ada)), Bytes::new(), Bytes::from_static(b"{\"v\":9}")];
    for payload in payloads {
        world.bus.publish(&[(topic, payload)]).await.unwrap();
    }
    sleep(Duration::from_millis(600)).await;
    socket.settle().await;
    assert_eq!(states(&socket, &ben), [] as [&str; 0], "nobody said that he is there");
    let _device = world.live(&ben).await;
    told(&mut socket, &ben, "online").await;
}

#[tokio::test]
async fn whoever_watches_while_somebody_comes_and_goes_ends_up_right() {
    let presence = PresenceConfig { grace: Duration::ZERO, pause: Duration::from_millis(100), ..quick().presence };
    let config = GatewayConfig { presence, ..quick() };
    let world = world(config.clone()).await;
    let peer = world.peer(config);
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.room(&ada, &[&ben]).await;
    for round in 0..12u64 {
        let mut socket = world.live(&ada).await;
        let device = peer.live(&ben).await;
        sleep(Duration::from_millis(round * 40)).await;
        let asked = watch(&mut socket, &[&ben]).await;
        let mut known = asked[0]["state"].as_str().unwrap().to_owned();
        if known != "online" {
            told(&mut socket, &ben, "online").await;
            known = "online".into();
        }
        device.cut();
        told(&mut socket, &ben, "offline").await;
        assert_eq!(known, "online");
        socket.cut();
    }
}
