//! Coming back: what was missed comes once, in order, in its present state.

use std::collections::{BTreeSet, HashMap};

use gateway::GatewayConfig;
use protocol::{AddParticipants, ConversationId, EditMessage, Limits};
use serde_json::{Value, json};

use crate::harness::{Person, Socket, World, seqs, text};

/// Connects and resumes; the reply.
async fn resume(world: &World, who: &Person, user_seq: u64, cursors: HashMap<ConversationId, u64>) -> (Socket, Value) {
    let mut socket = world.connect(who).await;
    let epoch = socket.until(|frame| frame["type"] == "connected").await["data"]["epoch"].clone();
    let command = json!({"type": "hello", "resume": {"epoch": epoch, "user_seq": user_seq, "cursors": cursors}});
    let reply = socket.ask(command).await;
    assert_eq!(reply["ok"], true, "{reply}");
    (socket, reply["data"].clone())
}

#[tokio::test]
async fn what_was_missed_comes_once_in_order_in_its_present_state() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let early = world.say(&ada, room, "early").await;
    let gone = world.say(&ada, room, "to be deleted").await;
    world.live(&ben).await.cut();
    world.say(&ada, room, "missed").await;
    world
        .chat
        .edit(&ada.caller, early.id, EditMessage { content: "early, edited".into(), mentions: None })
        .await
        .unwrap();
    world.chat.delete(&ada.caller, gone.id).await.unwrap();

    let (mut socket, data) = resume(&world, &ben, 1, HashMap::from([(room, 3)])).await;
    assert_eq!(data["heads"], json!({}), "the client named all it has");
    let page = &socket.seen(|frame| frame["type"] == "changes")[0];
    assert_eq!((&page["from"], &page["to"], &page["more"]), (&json!(3), &json!(6), &json!(false)));
    let kinds: Vec<_> = page["changes"].as_array().unwrap().iter().map(|change| change["type"].clone()).collect();
    assert_eq!(kinds, ["message.created", "message.updated", "message.deleted"]);
    assert_eq!(page["changes"][1]["data"]["content"], "early, edited");
    assert_eq!(page["changes"][2]["data"]["content"], "");
    world.say(&ada, room, "live again").await;
    socket.until(|frame| frame["seq"] == 7).await;
    assert_eq!(seqs(&socket.seen(|_| true), room), [4, 5, 6, 7]);
}

#[tokio::test]
async fn a_long_absence_comes_in_pages_and_many_writers_meanwhile_tear_no_hole() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    for n in 0..450 {
        world.say(&ada, room, &n.to_string()).await;
    }
    let writer = {
        let (chat, ada) = (world.chat.clone(), ada.clone());
        tokio::spawn(async move {
            for _ in 0..300 {
                let request = text("meanwhile");
                chat.send(&ada.caller, room, request).await.unwrap();
            }
        })
    };
    let (mut socket, _) = resume(&world, &ben, 1, HashMap::from([(room, 1)])).await;
    writer.await.unwrap();
    let last = 1 + 450 + 300;
    if seqs(&socket.seen(|_| true), room).last() != Some(&last) {
        socket.until(|frame| frame["seq"] == last || frame["to"] == last).await;
    }
    assert_eq!(seqs(&socket.seen(|_| true), room), (2..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn conversations_that_came_and_went_meanwhile_are_told_in_the_users_feed() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let lost = world.room(&ada, &[&ben]).await.id;
    let kept = world.room(&ada, &[&ben]).await.id;
    let cursors = HashMap::from([(lost, 1), (kept, 1)]);
    world.chat.remove_participant(&ada.caller, lost, ben.caller.user.id).await.unwrap();
    world.say(&ada, lost, "secret").await;
    let new = world.room(&ada, &[]).await.id;
    let user_ids = vec![ben.caller.user.id];
    world.chat.add_participants(&ada.caller, new, AddParticipants { user_ids }).await.unwrap();

    // Being added moves a feed twice: the conversation, and the notification of it.
    let (mut socket, data) = resume(&world, &ben, 4, cursors).await;
    let feed: Vec<_> = socket
        .seen(|frame| frame["user_seq"].is_u64())
        .iter()
        .map(|frame| (frame["type"].clone(), frame["conversation_id"].clone(), frame["user_seq"].clone()))
        .collect();
    assert_eq!(
        feed,
        [
            (json!("participant.removed"), json!(lost), json!(5)),
            (json!("conversation.created"), json!(new), json!(6)),
            (json!("notification.created"), json!(new), json!(7)),
        ]
    );
    assert_eq!(data["heads"], json!({ new.to_string(): 2 }));
    world.say(&ada, new, "hello").await;
    socket.until(|frame| frame["data"]["content"] == "hello").await;
    assert!(socket.seen(|frame| frame.to_string().contains("secret")).is_empty());
}

#[tokio::test]
async fn a_conversation_that_was_deleted_meanwhile_is_told_as_lost() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    world.chat.delete_conversation(&ada.caller, room).await.unwrap();
    let (socket, data) = resume(&world, &ben, 1, HashMap::from([(room, 1)])).await;
    let lost = socket.seen(|frame| frame["type"] == "participant.removed");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0]["data"]["conversation_id"], json!(room));
    assert_eq!(data["heads"], json!({}));
}

#[tokio::test]
async fn a_resume_tells_the_markers() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[&ben]).await.id;
    let sent = world.say(&ada, room, "read this").await;
    world.chat.mark_read(&ben.caller, room, sent.seq).await.unwrap();
    let (_, data) = resume(&world, &ada, 1, HashMap::from([(room, 2)])).await;
    let markers: BTreeSet<_> = data["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| format!("{} {}", receipt["user_id"].as_str().unwrap(), receipt["read_seq"]))
        .collect();
    assert_eq!(markers, [&ada, &ben].map(|who| format!("{} 2", who.caller.user.id)).into());
}

#[tokio::test]
async fn a_cursor_that_cannot_be_true_is_refused_rather_than_believed() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[]).await.id;
    let foreign = world.room(&ben, &[]).await.id;
    world.say(&ben, foreign, "secret").await;
    let (mut socket, data) = resume(&world, &ada, 1, HashMap::from([(room, u64::MAX), (foreign, 0)])).await;
    let resyncs = socket.seen(|frame| frame["type"] == "resync_required");
    assert_eq!(resyncs.len(), 1, "{resyncs:?}");
    assert_eq!(resyncs[0]["data"], json!({"conversation_id": room, "reason": "cursor_ahead"}));
    assert_eq!(data["heads"], json!({ room.to_string(): 1 }));
    world.say(&ada, room, "on").await;
    socket.until(|frame| frame["seq"] == 2).await;
    assert!(socket.seen(|frame| frame.to_string().contains("secret")).is_empty());

    let mut socket = world.connect(&ada).await;
    let command = json!({"type": "hello", "resume": {"epoch": "another", "user_seq": 0, "cursors": {}}});
    assert_eq!(socket.ask(command).await["ok"], true);
    let resyncs = socket.seen(|frame| frame["type"] == "resync_required");
    assert_eq!(resyncs[0]["data"], json!({"conversation_id": null, "reason": "epoch_changed"}));

    let (socket, _) = resume(&world, &ada, 99, HashMap::new()).await;
    assert_eq!(socket.seen(|frame| frame["data"]["reason"] == "cursor_ahead").len(), 1);
}

#[tokio::test]
async fn who_missed_more_than_the_operator_allows_is_told_to_fetch() {
    let config = GatewayConfig { resume_distance: 5, ..GatewayConfig::default() };
    let world = World::with(config, Limits { command_rate: 0, ..Limits::default() }).await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    for n in 0..8 {
        world.say(&ada, room, &n.to_string()).await;
    }
    let (mut socket, data) = resume(&world, &ada, 1, HashMap::from([(room, 3)])).await;
    let told = socket.seen(|frame| frame["type"] == "resync_required");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["data"], json!({"conversation_id": room, "reason": "too_far_behind"}));
    assert_eq!(data["heads"], json!({ room.to_string(): 9 }), "it goes on from the head");
    world.say(&ada, room, "on").await;
    socket.until(|frame| frame["seq"] == 10).await;
    assert_eq!(seqs(&socket.seen(|_| true), room), [10], "never a part of what was missed");

    let (socket, data) = resume(&world, &ada, 1, HashMap::from([(room, 5)])).await;
    assert!(socket.seen(|frame| frame["type"] == "resync_required").is_empty());
    assert_eq!((seqs(&socket.seen(|_| true), room), &data["heads"]), (vec![6, 7, 8, 9, 10], &json!({})));
}

#[tokio::test]
async fn when_the_epoch_changes_everybody_is_told_to_start_anew() {
    let config = GatewayConfig { sweep_interval: std::time::Duration::from_millis(200), ..GatewayConfig::default() };
    let world = World::with(config, Limits { command_rate: 0, ..Limits::default() }).await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let room = world.room(&ada, &[]).await.id;
    // Ben takes part in nothing: he is told all the same.
    let (mut adas, mut bens) = (world.connect(&ada).await, world.live(&ben).await);
    let epoch = adas.until(|frame| frame["type"] == "connected").await["data"]["epoch"].clone();
    adas.ask(json!({"type": "hello"})).await;
    world.store.new_epoch().await.unwrap();
    assert_eq!((adas.close_code().await, bens.close_code().await), (Some(4000), Some(4000)));

    let mut socket = world.connect(&ada).await;
    let command = json!({"type":"hello","resume":{"epoch":epoch,"user_seq":1,"cursors":HashMap::from([(room, 1)])}});
    let reply = socket.ask(command).await;
    assert_eq!(reply["ok"], true, "{reply}");
    let told = socket.seen(|frame| frame["type"] == "resync_required");
    assert_eq!(told[0]["data"], json!({"conversation_id": null, "reason": "epoch_changed"}));
    let connected = socket.seen(|frame| frame["type"] == "connected");
    assert_ne!(connected[0]["data"]["epoch"], epoch);
    // The node goes on with the new one: nobody is sent away again.
    world.say(&ada, room, "on").await;
    socket.until(|frame| frame["seq"] == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    socket.settle().await;
}

#[tokio::test]
async fn who_says_nothing_goes_live_after_a_second_with_what_was_held() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let room = world.room(&ada, &[]).await.id;
    let mut socket = world.connect(&ada).await;
    socket.until(|frame| frame["type"] == "connected").await;
    world.say(&ada, room, "held").await;
    let event = socket.next().await;
    assert_eq!((&event["type"], &event["seq"]), (&json!("message.created"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conversation_that_is_made_while_one_connects_has_no_hole() {
    let world = World::start().await;
    let (ada, ben, cat) = (world.user("ada").await, world.user("ben").await, world.user("cat").await);
    // Ben's connection makes the node follow each room from its first moment.
    let _ben = world.live(&ben).await;
    for round in 0..100u64 {
        let making = async {
            tokio::time::sleep(std::time::Duration::from_micros(5_000 + 40 * round)).await;
            let room = world.room(&ada, &[&ben, &cat]).await.id;
            for n in 0..8 {
                world.say(&ada, room, &n.to_string()).await;
            }
            room
        };
        let connecting = async {
            let mut socket = world.connect(&cat).await;
            let reply = socket.ask(json!({"type": "hello"})).await;
            (socket, reply["data"]["heads"].clone())
        };
        let (room, (mut socket, heads)) = tokio::join!(making, connecting);
        // Where the client stands when it hears of the room: the reply's head, or the event's.
        let mut cursor = heads[room.to_string()].as_u64();
        if cursor.is_none() {
            let ours =
                |frame: &Value| frame["type"] == "conversation.created" && frame["conversation_id"] == json!(room);
            let event = match socket.seen(ours).first() {
                Some(event) => event.clone(),
                None => socket.until(ours).await,
            };
            cursor = event["data"]["last_seq"].as_u64();
        }
        let cursor = cursor.unwrap();
        let last = world.say(&ada, room, "the last one").await.seq;
        if seqs(&socket.seen(|_| true), room).last() != Some(&last) {
            socket
                .until(|frame| frame["conversation_id"] == json!(room) && (frame["seq"] == last || frame["to"] == last))
                .await;
        }
        let got = seqs(&socket.seen(|_| true), room);
        assert_eq!(got, (cursor + 1..=last).collect::<Vec<_>>(), "round {round}, from {cursor}");
    }
}

/// The feed stood where the client knew it when the connection began, and moved before `hello`.
#[tokio::test]
async fn what_moves_the_feed_between_the_start_and_hello_is_told_once() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let (old, kept) = (world.room(&ada, &[&ben]).await.id, world.room(&ada, &[&ben]).await.id);
    world.say(&ada, kept, "before").await;
    let mut socket = world.narrow_silent(&ben).await;
    let connected = socket.until(|frame| frame["type"] == "connected").await;
    let (epoch, user_seq) = (connected["data"]["epoch"].clone(), connected["data"]["user_seq"].clone());
    world.chat.remove_participant(&ada.caller, old, ben.caller.user.id).await.unwrap();
    let new = world.room(&ada, &[&ben]).await.id;
    world.say(&ada, new, "hello").await;
    world.say(&ada, kept, "after").await;
    let cursors = json!({old.to_string(): 1, kept.to_string(): 2});
    let resume = json!({"epoch": epoch, "user_seq": user_seq, "cursors": cursors});
    let reply = socket.ask(json!({"type": "hello", "resume": resume})).await;
    assert_eq!(reply["ok"], true, "{reply}");
    socket.until(|frame| frame["type"] == "conversation.created" && frame["conversation_id"] == new.to_string()).await;
    world.say(&ada, new, "again").await;
    socket.until(|frame| frame["conversation_id"] == new.to_string() && frame["data"]["content"] == "again").await;
    world.say(&ada, old, "not for ben").await;
    world.say(&ada, kept, "last").await;
    socket.until(|frame| frame["conversation_id"] == kept.to_string() && frame["data"]["content"] == "last").await;
    let of = |kind: &str, id: ConversationId| {
        socket.seen(|frame| frame["type"] == kind && frame["conversation_id"] == id.to_string()).len()
    };
    assert_eq!((of("participant.removed", old), of("conversation.created", new)), (1, 1));
    assert!(socket.seen(|frame| frame["data"]["content"] == "not for ben").is_empty());
    assert_eq!(seqs(&socket.seen(|_| true), kept), [3, 4]);
}
