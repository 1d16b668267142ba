//! What was forgiven too easily: who is told to fetch everything had what came before that, and a list loses no more
//! than the conversation that is to be fetched.

use protocol::ConversationId;
use serde_json::{Value, json};

use super::{Kind, kinds, world::World};

fn blocked(world: &World, user_seq: u64) -> Value {
    json!({"type": "user.blocked", "user_seq": user_seq, "data": {"user_id": world.ana}})
}

/// Three steps of Ben's feed stand; his device heard the first and these.
fn with_steps(came: &[u64]) -> World {
    let mut world = World::new();
    let ben = world.ben;
    let theirs = world.truth.users.get_mut(&ben).unwrap();
    (theirs.feed_head, theirs.feed) = (3, vec![1, 2, 3]);
    for seq in came {
        let frame = blocked(&world, *seq);
        world.hear(1, frame);
    }
    world
}

fn told_to_fetch_everything(world: &mut World, user_seq: u64) {
    let resume = json!({"epoch": "e", "user_seq": user_seq, "cursors": {world.id.to_string(): 4}});
    world.come_back(1, ("e", 3), &resume, Some("too_far_behind"));
}

#[test]
fn a_step_that_was_lost_before_everything_was_to_be_fetched_is_told() {
    let mut world = with_steps(&[2, 3]);
    told_to_fetch_everything(&mut world, 3);
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
    // What nothing came after is what it fetches.
    let mut world = with_steps(&[2]);
    told_to_fetch_everything(&mut world, 2);
    assert_eq!(kinds(&world), []);
    let mut world = with_steps(&[3]);
    told_to_fetch_everything(&mut world, 3);
    assert_eq!(kinds(&world), [Kind::FeedNotWhole]);
    // Nor is one forgiven who was not there in the end.
    let mut world = with_steps(&[3]);
    world.log.devices[1].settled = false;
    assert_eq!(kinds(&world), [Kind::FeedNotWhole]);
}

#[test]
fn a_conversation_that_is_to_be_fetched_hides_no_other() {
    let mut world = World::new();
    world.insert_listed(1, 4);
    let other = ConversationId::generate();
    for (title, id) in [("another", world.id), ("lost", other)] {
        let mut listed = world.log.looked[1].conversations[0].clone();
        (listed.id, listed.title) = (id, Some(title.into()));
        world.log.looked[1].conversations.push(listed);
    }
    world.log.looked[1].conversations.remove(0);
    let wrong = |world: &World| {
        let wrong = world.judge().into_iter().filter(|violation| violation.kind == Kind::WrongList);
        wrong.map(|violation| violation.conversation.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&world).len(), 2);
    let data = json!({"conversation_id": world.id, "reason": "too_far_behind"});
    world.insert(1, 5, json!({"type": "resync_required", "data": data}));
    assert_eq!(wrong(&world), [other]);
}

#[test]
fn a_list_has_the_marker_that_its_own_device_moved() {
    let mut world = World::new();
    world.insert_listed(1, 4);
    let is_wrong = |world: &World| {
        let of_ben =
            |violation: &super::super::Violation| violation.device == Some(1) && violation.kind == Kind::WrongList;
        world.judge().iter().any(of_ben)
    };
    let last = serde_json::from_value(world.heard(1, 7)["data"].clone()).unwrap();
    world.log.looked[1].conversations[0].last_message = Some(last);
    assert!(!is_wrong(&world));
    world.log.looked[1].conversations[0].read_seq = 4;
    assert!(is_wrong(&world));
    let data = json!({"conversation_id": world.id, "user_id": world.ben, "delivered_seq": 4, "read_seq": 4,
        "read_number": 2});
    world.hear(1, json!({"type": "reply", "ref": "7", "ok": true, "data": data}));
    assert!(!is_wrong(&world));
}

#[test]
fn what_only_a_client_finds_wrong_is_told() {
    let mut world = World::new();
    world.hear(1, json!({"type": "message.exploded", "data": {}}));
    assert_eq!(kinds(&world), [Kind::Protocol]);
    let mut world = World::new();
    world.hear(1, json!({"type": "announcement", "data": {"title": "without a place"}}));
    assert_eq!(kinds(&world), [Kind::Protocol]);
    // The hole is between two connections.
    let mut world = World::new();
    world.hear(1, json!({"type": "announcement", "data": {"seq": 1, "title": "one"}}));
    world.reconnect(1, &json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}}));
    world.hear(1, json!({"type": "announcement", "data": {"seq": 3, "title": "three"}}));
    assert_eq!(kinds(&world), [Kind::Protocol]);
}
