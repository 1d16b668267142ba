//! Who gets which event.

use std::time::{Duration, Instant};

use protocol::{AddParticipants, EditMessage, History, Limits};
use serde_json::json;

use crate::harness::{World, chat_on, seqs, text};

#[tokio::test]
async fn a_message_reaches_every_device_of_every_participant_once_and_in_order() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut sockets = [world.live(&ada).await, world.live(&ada).await, world.live(&ben).await, world.live(&ben).await];
    for n in 0..20 {
        let reply = sockets[n % 4]
            .ask(json!({"type": "message.send", "conversation_id": room, "client_id": n.to_string(), "content": "hi"}))
            .await;
        assert_eq!(reply["ok"], true, "{reply}");
        assert_eq!(reply["data"]["seq"], n + 2);
    }
    for socket in &mut sockets {
        socket.settle().await;
        // The conversation's creation was before they connected.
        let got = seqs(&socket.seen(|_| true), room);
        assert_eq!(got, (2..22).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_conversation_that_is_made_later_is_followed_by_every_device() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let mut sockets = [world.live(&ada).await, world.live(&ben).await, world.live(&ben).await];
    let room = world.room(&ada, &[&ben]).await;
    for socket in &mut sockets {
        let event = socket.until(|frame| frame["type"] == "conversation.created").await;
        assert_eq!((&event["data"]["id"], &event["user_seq"]), (&json!(room.id), &json!(1)));
    }
    let sent = world.say(&ada, room.id, "welcome").await;
    for socket in &mut sockets {
        // Sent while a device still joins, it comes as a part of `changes`.
        let frame = socket.until(|frame| seqs(std::slice::from_ref(frame), room.id).contains(&sent.seq)).await;
        assert!(frame.to_string().contains("\"welcome\""), "{frame}");
    }
}

#[tokio::test]
async fn who_is_removed_gets_the_news_and_nothing_after_it_and_who_comes_back_gets_all_again() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let mut socket = world.live(&ben).await;
    let ben_id = ben.caller.user.id;
    world.chat.remove_participant(&ada.caller, room, ben_id).await.unwrap();
    world.say(&ada, room, "we are among ourselves").await;
    let event = socket.until(|frame| frame["type"] == "participant.removed").await;
    assert_eq!(event["data"]["conversation_id"], json!(room));
    world.say(&ada, room, "still").await;
    socket.settle().await;
    let secret = socket.seen(|frame| frame["data"]["kind"] == "text");
    assert!(secret.is_empty(), "{secret:?}");
    let refused = socket.ask(json!({"type": "changes.get", "conversation_id": room, "after": 0})).await;
    assert_eq!(refused["error"]["code"], "not_found");

    world.chat.add_participants(&ada.caller, room, AddParticipants { user_ids: vec![ben_id] }).await.unwrap();
    socket.until(|frame| frame["type"] == "conversation.created").await;
    let back = world.say(&ada, room, "welcome back").await;
    socket.until(|frame| seqs(std::slice::from_ref(frame), room).contains(&back.seq)).await;
}

#[tokio::test]
async fn what_came_before_one_joined_stays_hidden_where_the_conversation_says_so_and_leaves_no_hole() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.conversation(&ada, &[], History::SinceJoin).await.id;
    let old = world.say(&ada, room, "before").await;
    let mut socket = world.live(&ben).await;
    let user_ids = vec![ben.caller.user.id];
    world.chat.add_participants(&ada.caller, room, AddParticipants { user_ids }).await.unwrap();
    socket.until(|frame| frame["type"] == "conversation.created").await;
    world
        .chat
        .edit(&ada.caller, old.id, EditMessage { content: "before, edited".into(), mentions: None })
        .await
        .unwrap();
    let step = socket.until(|frame| frame["type"] == "changes" && frame["to"] == 4).await;
    assert_eq!((&step["from"], &step["changes"]), (&json!(3), &json!([])));
    assert!(socket.seen(|frame| frame.to_string().contains("before")).is_empty());
}

#[tokio::test]
async fn a_hole_is_filled_from_the_store_and_a_lost_last_event_is_found() {
    let config = gateway::GatewayConfig {
        sweep_interval: std::time::Duration::from_millis(300),
        ..gateway::GatewayConfig::default()
    };
    let world = World::with(config, Limits::default()).await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    // A node whose events never arrive: it commits to the same store and publishes to a bus of its own.
    let deaf = bus::local::LocalBus::start();
    let other = chat_on(&world.store, std::sync::Arc::new(deaf), Limits::default(), &prometheus::Registry::new());
    let mut socket = world.live(&ada).await;
    for lost in ["lost", "lost too"] {
        other.send(&ada.caller, room, text(lost)).await.unwrap();
    }
    world.say(&ada, room, "heard").await;
    socket.until(|frame| frame["seq"] == 4 || frame["to"] == 4).await;
    other.send(&ada.caller, room, text("the last one, lost")).await.unwrap();
    socket.until(|frame| frame["type"] == "changes" && frame["to"] == 5).await;
    assert_eq!(seqs(&socket.seen(|_| true), room), [2, 3, 4, 5]);
    // A feed's lost move is found too.
    let other_room = protocol::CreateConversation {
        kind: protocol::ConversationKind::Public,
        title: Some("elsewhere".into()),
        description: None,
        avatar_url: None,
        participant_ids: Vec::new(),
        subject: None,
        posting: protocol::Posting::default(),
        history: History::All,
        slow_mode_seconds: 0,
    };
    other.create_conversation(&ada.caller, other_room, None).await.unwrap();
    socket.until(|frame| frame["type"] == "conversation.created").await;
}

#[tokio::test]
async fn what_another_program_publishes_on_our_topics_harms_nobody() {
    use bus::{Bus, Topic};
    use chat::envelope::{ChangePlace, ConversationEvent, VERSION};
    let world = World::start().await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    let mut socket = world.live(&ada).await;
    let epoch = world.chat.heads_seen(&[]).await.unwrap().epoch;
    let topic = Topic::Conversation(room);
    let change = |seq| {
        let at = ChangePlace { seq, place: seq, removed: &[], ends: false, epoch: &epoch, trace: None };
        let event = json!({"type": "message.created", "seq": seq});
        ConversationEvent::encode_change(at, &event).unwrap()
    };
    let later = [&[VERSION + 1], &change(1)[1..]].concat().into();
    let [empty, garbage, object] = ["", "garbage", "{}"].map(bytes::Bytes::from);
    // The last two are well-formed, of a place that is not there and of one that was told.
    let payloads = [empty, garbage, object, later, change(9_000_000_000_000_000_000), change(1)];
    for payload in payloads {
        world.bus.publish(&[(topic, payload.clone()), (Topic::User(ada.caller.user.id), payload)]).await.unwrap();
    }
    for n in 0..3 {
        let sent = world.say(&ada, room, "still here").await;
        socket.until(|frame| frame["seq"] == sent.seq || frame["to"].as_u64() >= Some(sent.seq)).await;
        assert_eq!(sent.seq, n + 2);
    }
    assert_eq!(seqs(&socket.seen(|_| true), room), [2, 3, 4]);
}

#[tokio::test]
async fn markers_whose_news_was_lost_are_told_when_the_bus_is_back() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let sent = world.say(&ada, room, "hello").await;
    let mut socket = world.live(&ada).await;
    // Over a bus that nobody here listens to.
    let deaf = bus::local::LocalBus::start();
    let other = chat_on(&world.store, std::sync::Arc::new(deaf), Limits::default(), &prometheus::Registry::new());
    other.mark_read(&ben.caller, room, sent.seq).await.unwrap();
    socket.settle().await;
    let is_bens = |frame: &serde_json::Value| frame["data"]["user_id"] == json!(ben.caller.user.id);
    assert!(socket.seen(|frame| frame["type"] == "receipt.updated" && is_bens(frame)).is_empty());
    bus::Bus::reconnect(&*world.bus);
    let told = socket.until(|frame| frame["type"] == "receipt.updated" && is_bens(frame)).await;
    assert_eq!((&told["conversation_id"], &told["data"]["read_seq"]), (&json!(room), &json!(sent.seq)));
}

#[tokio::test]
async fn a_conversation_that_ends_while_it_is_told_of_is_told_to_be_gone() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let mut socket = world.live(&ben).await;
    for round in 0..60 {
        let room = world.room(&ada, &[&ben]).await.id;
        // At another moment of its telling in each round.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        world.chat.delete_conversation(&ada.caller, room).await.unwrap();
    }
    let last = world.room(&ada, &[&ben]).await.id;
    socket.until(|frame| frame["type"] == "conversation.created" && frame["data"]["id"] == json!(last)).await;
    for created in socket.seen(|frame| frame["type"] == "conversation.created") {
        let id = &created["data"]["id"];
        let over = |frame: &serde_json::Value| {
            (frame["type"] == "participant.removed" && frame["data"]["conversation_id"] == *id)
                || (frame["conversation_id"] == *id
                    && frame["data"]["system"].to_string().contains("conversation.deleted"))
        };
        if *id != json!(last) && socket.seen(over).is_empty() {
            socket.until(over).await;
        }
    }
}

#[tokio::test]
async fn markers_that_wait_for_their_write_hold_up_nothing_else_and_are_not_taken_without_end() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let sent = world.say(&ada, room, "hello").await;
    let mut socket = world.live(&ben).await;
    let marker = json!({"type": "receipt.delivered", "conversation_id": room, "seq": sent.seq});
    let mut markers = Vec::new();
    for attempt in 0.. {
        let start = Instant::now();
        let mut these = Vec::new();
        for _ in 0..40 {
            these.push(json!(socket.command(marker.clone()).await));
        }
        let client_id = format!("c{attempt}");
        let send = json!({"type": "message.send", "conversation_id": room, "client_id": client_id, "content": "hi"});
        assert_eq!(socket.ask(send).await["ok"], true);
        let answered = socket.seen(|frame| these.contains(&frame["ref"])).len();
        markers.extend(these);
        if answered < 32 {
            break;
        }
        // They are written after a second: a machine that was held up for as long proves nothing.
        let took = start.elapsed();
        assert!(
            took > Duration::from_millis(900) && attempt < 5,
            "{answered} markers were answered first, in {took:?}"
        );
    }
    for _ in 0..600 {
        markers.push(json!(socket.command(marker.clone()).await));
    }
    while socket.seen(|frame| markers.contains(&frame["ref"])).len() < markers.len() {
        socket.next().await;
    }
    let refused = socket.seen(|frame| markers.contains(&frame["ref"]) && frame["ok"] == false);
    assert!(refused.iter().all(|frame| frame["error"]["code"] == "rate_limited"), "{refused:?}");
    assert!(!refused.is_empty() && refused[0]["error"]["retry_after_ms"] == 1_000, "{refused:?}");
}
