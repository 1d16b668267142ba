//! Announcements reach everybody of an org, once, also those who were away; and frames for all of a user's devices.

use std::time::Duration;

use bus::{Bus, Topic};
use chat::envelope::{AnnouncementMoved, UserEvent};
use gateway::GatewayConfig;
use protocol::{CreateAnnouncement, Limits};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{Person, Socket, World, chat_on};

fn news(title: &str) -> CreateAnnouncement {
    CreateAnnouncement { title: title.into(), content: "All of you, listen.".into(), url: None }
}

async fn announce(world: &World, who: &Person, title: &str) -> u64 {
    world.chat.announce(&who.caller, news(title), None).await.unwrap().0.seq
}

/// Titles and seqs of the announcements that a socket got.
fn got(socket: &Socket) -> Vec<(u64, String)> {
    let fields = |frame: &Value| {
        let data = &frame["data"];
        (data["seq"].as_u64().unwrap(), data["title"].as_str().unwrap().to_owned())
    };
    socket.seen(|frame| frame["type"] == "announcement").iter().map(fields).collect()
}

async fn until(socket: &mut Socket, seq: u64) {
    socket.until(|frame| frame["type"] == "announcement" && frame["data"]["seq"] == seq).await;
}

/// A connection that continues after an announcement; the reply to its `hello`.
async fn resumed(world: &World, who: &Person, after: Option<u64>) -> (Socket, Value) {
    let mut socket = world.connect(who).await;
    let connected = socket.until(|frame| frame["type"] == "connected").await;
    let mut resume = json!({"epoch": connected["data"]["epoch"], "user_seq": connected["data"]["user_seq"]});
    if let Some(after) = after {
        resume["announcement_seq"] = after.into();
    }
    let reply = socket.ask(json!({"type": "hello", "resume": resume})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    (socket, reply["data"].clone())
}

#[tokio::test]
async fn everybody_of_the_org_hears_it_once_and_nobody_else() {
    let world = World::start().await;
    let peer = world.peer(GatewayConfig::default());
    let (boss, ada, ben) = (world.admin("boss").await, world.user("ada").await, world.user("ben").await);
    let far = world.stranger("far").await;
    let mut sockets = [world.live(&ada).await, world.live(&ada).await, peer.live(&ben).await, peer.live(&boss).await];
    let mut elsewhere = world.live(&far).await;
    let early = world.connect(&ada).await.until(|frame| frame["type"] == "connected").await;
    assert_eq!(early["data"]["announcement_seq"], 0, "{early}");
    for title in ["one", "two", "three"] {
        announce(&world, &boss, title).await;
    }
    for socket in &mut sockets {
        until(socket, 3).await;
        socket.settle().await;
        let expected = [(1, "one"), (2, "two"), (3, "three")].map(|(seq, title)| (seq, title.to_owned()));
        assert_eq!(got(socket), expected);
    }
    elsewhere.settle().await;
    assert_eq!(got(&elsewhere), []);
    assert_eq!(announce(&world, &far, "ours").await, 1, "each org counts for itself");
    until(&mut elsewhere, 1).await;
    let later = world.connect(&ada).await.until(|frame| frame["type"] == "connected").await;
    assert_eq!(later["data"]["announcement_seq"], 3, "{later}");
}

#[tokio::test]
async fn who_was_away_gets_what_they_missed_but_not_a_flood() {
    let world = World::start().await;
    let (boss, ada) = (world.admin("boss").await, world.user("ada").await);
    for n in 1..=5 {
        announce(&world, &boss, &format!("news {n}")).await;
    }
    let seqs = |socket: &Socket| got(socket).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    let (mut socket, reply) = resumed(&world, &ada, Some(2)).await;
    assert_eq!((seqs(&socket), &reply["announcement_seq"]), (vec![3, 4, 5], &json!(5)));
    announce(&world, &boss, "live").await;
    until(&mut socket, 6).await;
    assert_eq!(seqs(&socket), [3, 4, 5, 6]);
    for (after, expected) in [(None, vec![]), (Some(6), vec![]), (Some(u64::MAX), vec![])] {
        let (mut socket, reply) = resumed(&world, &ada, after).await;
        socket.settle().await;
        assert_eq!((seqs(&socket), &reply["announcement_seq"]), (expected, &json!(6)), "after {after:?}");
    }
    for n in 7..=130 {
        announce(&world, &boss, &format!("news {n}")).await;
    }
    // The node has heard of all of them by then.
    until(&mut socket, 130).await;
    let (mut socket, reply) = resumed(&world, &ada, Some(0)).await;
    assert_eq!((seqs(&socket), &reply["announcement_seq"]), ((31..=130).collect(), &json!(130)));
    announce(&world, &boss, "one more").await;
    until(&mut socket, 131).await;
    // Without a resume a connection starts from now.
    let mut fresh = world.connect(&ada).await;
    let reply = fresh.ask(json!({"type": "hello"})).await;
    assert_eq!((seqs(&fresh), &reply["data"]["announcement_seq"]), (vec![], &json!(131)));
}

#[tokio::test]
async fn an_announcement_whose_news_was_lost_is_found_and_a_forged_one_is_not() {
    let config = GatewayConfig { sweep_interval: Duration::from_millis(300), ..GatewayConfig::default() };
    let world = World::with(config, Limits { command_rate: 0, ..Limits::default() }).await;
    let (boss, ada) = (world.admin("boss").await, world.user("ada").await);
    let mut socket = world.live(&ada).await;
    let deaf = bus::local::LocalBus::start();
    let other = chat_on(&world.store, std::sync::Arc::new(deaf), Limits::default(), &prometheus::Registry::new());
    other.announce(&boss.caller, news("unheard"), None).await.unwrap();
    until(&mut socket, 1).await;
    let topic = Topic::Org(ada.caller.user.org_id);
    for payload in [AnnouncementMoved::encode(u64::MAX), "".into(), "{}".into(), AnnouncementMoved::encode(0)] {
        world.bus.publish(&[(topic, payload)]).await.unwrap();
    }
    announce(&world, &boss, "heard").await;
    until(&mut socket, 2).await;
    assert_eq!(got(&socket).len(), 2);
}

#[tokio::test]
async fn who_connects_while_announcements_come_misses_none() {
    let world = World::start().await;
    let (boss, ada) = (world.admin("boss").await, world.user("ada").await);
    let (chat, caller) = (world.chat.clone(), boss.caller.clone());
    let speaker = tokio::spawn(async move {
        for n in 0..60 {
            chat.announce(&caller, news(&n.to_string()), None).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    });
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let (socket, _) = resumed(&world, &ada, Some(0)).await;
        sockets.push(socket);
    }
    speaker.await.unwrap();
    for socket in &mut sockets {
        while got(socket).len() < 60 {
            socket.next().await;
        }
        socket.settle().await;
        let seqs: Vec<_> = got(socket).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_frame_for_a_user_reaches_all_their_devices_and_no_other() {
    let world = World::start().await;
    let peer = world.peer(GatewayConfig::default());
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let mut sockets = [world.live(&ada).await, world.live(&ada).await, peer.live(&ada).await];
    let mut other = world.live(&ben).await;
    let frame = json!({"type": "receipt.updated", "data": {"read_seq": 7}});
    let payload = UserEvent::encode_frame(&frame, None).unwrap();
    world.bus.publish(&[(Topic::User(ada.caller.user.id), payload)]).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(socket.until(|frame| frame["type"] == "receipt.updated").await, frame);
    }
    other.settle().await;
    assert!(other.seen(|frame| frame["type"] == "receipt.updated").is_empty());
}
