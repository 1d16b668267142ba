//! The auditor finds each kind of violation in a made-up log, and none in a clean one.

mod again;
mod anew;
mod back;
mod followed;
mod own;
mod world;

use std::time::Duration;

use serde_json::json;

use self::world::World;
use super::{Act, Deed, Happened, Kind, Outcome, PresenceSeen};

fn kinds(world: &World) -> Vec<Kind> {
    let mut kinds: Vec<_> = world.judge().into_iter().map(|violation| violation.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn a_clean_log_is_clean() {
    let world = World::new();
    assert!(world.judge().is_empty(), "{}", super::summary(&world.judge()));
}

// ---- what is stored

#[test]
fn an_acknowledged_message_that_is_not_stored_is_lost() {
    let mut world = World::new();
    world.truth(|history, _| drop(history.messages.remove(&3)));
    assert!(kinds(&world).contains(&Kind::Lost));
}

#[test]
fn an_acknowledged_edit_that_is_not_stored_is_lost() {
    let mut world = World::new();
    world.truth(|history, _| history.messages.get_mut(&2).unwrap().content = "t1 another".into());
    assert!(kinds(&world).contains(&Kind::Lost));
}

#[test]
fn an_edit_whose_order_is_not_known_is_not_judged() {
    let mut world = World::new();
    let mut rival = world.log.acts[2].clone();
    let Deed::Edit { content, .. } = &mut rival.deed else { panic!() };
    *content = "t1 rival".into();
    rival.outcome = Outcome::Unknown;
    world.log.acts.push(rival);
    // The other edit, whose answer was lost, came last after all: as step 5.
    let stored = world.message(2, 5, "t1 rival");
    world.store_change(&stored);
    world.hear_all(&world.event("message.updated", &stored));
    assert_eq!(kinds(&world), [], "{}", super::summary(&world.judge()));
}

#[test]
fn an_acknowledged_deletion_reaction_pin_marker_and_removal_that_are_not_stored_are_lost() {
    let world = World::new();
    let message = world.id_of(3);
    let deeds = [
        Deed::Delete { conversation: world.id, message },
        Deed::React { conversation: world.id, message, emoji: "👍".into(), on: true },
        Deed::Pin { conversation: world.id, message, on: true },
        Deed::Read { conversation: world.id, seq: 3 },
        Deed::Member { conversation: world.id, who: world.ben, on: false },
    ];
    for deed in deeds {
        let mut world = World::new();
        world.truth(|_, theirs| theirs.receipts.iter_mut().for_each(|receipt| receipt.read_seq = 2));
        world.log.looked.clear();
        let (at, until) = (Duration::from_secs(8), Duration::from_secs(9));
        let (user, outcome) = (world.ana, Outcome::Done(None));
        world.log.acts.push(Act { at, until, user, deed: deed.clone(), outcome });
        let deed = Deed::clone(&deed).on(world.id, world.id_of(3), world.ben);
        world.log.acts.last_mut().unwrap().deed = deed.clone();
        assert_eq!(kinds(&world), [Kind::Lost], "{deed:?}: {}", super::summary(&world.judge()));
    }
}

#[test]
fn a_send_that_is_stored_twice_is_doubled() {
    let mut world = World::new();
    let again = world.message(5, 5, "t2 ho");
    world.store_change(&again);
    world.hear_all(&world.event("message.created", &again));
    assert!(kinds(&world).contains(&Kind::Doubled));
}

#[test]
fn a_send_that_was_stored_twice_shows_even_when_one_of_them_is_deleted() {
    let mut world = World::new();
    let again = world.message(5, 5, "t2 ho");
    world.hear_all(&world.event("message.created", &again));
    let mut gone = world.message(5, 6, "");
    gone.id = again.id;
    gone.deleted_at = Some(gone.created_at);
    world.store_change(&gone);
    world.hear_all(&world.event("message.deleted", &gone));
    assert!(kinds(&world).contains(&Kind::Doubled));
}

#[test]
fn a_place_that_two_messages_were_acknowledged_at_diverges() {
    let mut world = World::new();
    let Outcome::Done(Some(said)) = &mut world.log.acts[1].outcome else { panic!() };
    said.id = protocol::MessageId::generate();
    assert!(kinds(&world).contains(&Kind::Diverged));
}

#[test]
fn a_text_without_its_number_and_a_head_without_its_change_are_lost() {
    let mut world = World::new();
    world.truth(|history, _| history.head += 1);
    assert!(kinds(&world).contains(&Kind::Lost));
    let mut world = World::new();
    world.truth(|history, _| history.messages.get_mut(&3).unwrap().number = 3);
    assert!(kinds(&world).contains(&Kind::Lost));
}

// ---- what a connection heard

#[test]
fn an_event_that_comes_twice_on_a_connection_is_doubled() {
    let mut world = World::new();
    let event = world.heard(1, 5);
    world.insert(1, 7, event);
    assert_eq!(kinds(&world), [Kind::Doubled]);
}

#[test]
fn an_event_below_the_cursor_that_the_client_named_is_doubled() {
    let mut world = World::new();
    let event = world.heard(1, 5);
    let cursors = json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}});
    world.reconnect(1, &cursors);
    world.hear(1, event);
    assert_eq!(kinds(&world), [Kind::Doubled]);
}

#[test]
fn events_in_the_wrong_order_are_a_gap_and_reordered() {
    let mut world = World::new();
    world.log.devices[1].entries.swap(5, 6);
    let found = kinds(&world);
    assert!(found.contains(&Kind::Gap) && found.contains(&Kind::Reordered), "{found:?}");
}

#[test]
fn a_skipped_event_is_a_gap_and_its_change_missing() {
    let mut world = World::new();
    world.log.devices[1].entries.remove(6);
    assert_eq!(kinds(&world), [Kind::Gap, Kind::Missing]);
}

#[test]
fn an_event_or_a_page_of_a_conversation_that_one_was_never_in_is_leaked() {
    for page in [false, true] {
        let mut world = World::new();
        let message = world.message(3, 3, "t2 ho");
        let mut event = world.event("message.created", &message);
        if page {
            let changes = json!([{"type": "message.created", "seq": 3, "data": message}]);
            event = json!({"type": "changes", "conversation_id": world.id, "from": 2, "to": 3, "more": false,
                "changes": changes});
        }
        world.outsider(event);
        let found = kinds(&world);
        assert!(found.contains(&Kind::Leaked), "{found:?}");
    }
}

#[test]
fn what_comes_after_the_removal_or_was_before_the_arrival_is_leaked() {
    let mut world = World::removed();
    assert_eq!(kinds(&world), [], "{}", super::summary(&world.judge()));
    let message = world.message(6, 6, "t3 secret");
    world.store_change(&message);
    world.hear(0, world.event("message.created", &message));
    assert_eq!(kinds(&world), []);
    world.hear(1, world.event("message.created", &message));
    assert_eq!(kinds(&world), [Kind::Leaked]);

    let mut world = World::new();
    world.log.since_join.insert(world.id);
    let ben = world.ben;
    world.truth(|history, _| drop(history.members.insert(ben, vec![(3, None)])));
    assert!(kinds(&world).contains(&Kind::Leaked));
}

#[test]
fn frames_that_the_protocol_does_not_know_are_told() {
    let mut world = World::new();
    world.hear(1, json!({"type": "message.created", "conversation_id": world.id, "seq": 5, "data": {}}));
    assert!(kinds(&world).contains(&Kind::Protocol));
}

// ---- what a device shows

#[test]
fn a_device_that_is_behind_is_stale_and_one_that_was_away_is_not_judged() {
    let mut world = World::new();
    world.log.devices[1].entries.pop();
    assert_eq!(kinds(&world), [Kind::Stale]);
    world.log.devices[1].settled = false;
    assert_eq!(kinds(&world), []);
}

#[test]
fn a_device_that_shows_another_state_misses_a_change() {
    let mut world = World::new();
    let Happened::Heard(frame) = &mut world.log.devices[1].entries[7].what else { panic!() };
    frame["data"]["content"] = "t1 something else".into();
    assert_eq!(kinds(&world), [Kind::Missing]);
}

#[test]
fn a_device_with_another_message_at_a_place_diverges() {
    let mut world = World::new();
    let Happened::Heard(frame) = &mut world.log.devices[1].entries[6].what else { panic!() };
    frame["data"]["id"] = json!(protocol::MessageId::generate());
    assert!(kinds(&world).contains(&Kind::Diverged));
}

#[test]
fn a_step_of_the_feed_that_never_came_is_told() {
    let mut world = World::new();
    world.truth(|_, theirs| {
        theirs.feed = vec![1, 2];
        theirs.feed_head = 2;
    });
    assert_eq!(kinds(&world), [Kind::FeedNotWhole]);
}

#[test]
fn counts_and_markers_that_do_not_follow_from_the_messages_are_told() {
    let mut world = World::new();
    world.log.looked[0].conversations[0].unread_count += 1;
    assert_eq!(kinds(&world), [Kind::WrongUnread]);
    let mut world = World::new();
    world.log.looked[0].unread.as_mut().unwrap().unread_count += 1;
    assert_eq!(kinds(&world), [Kind::WrongUnread]);
    let mut world = World::new();
    let data = json!({"conversation_id": world.id, "user_id": world.ana, "delivered_seq": 99, "read_seq": 99,
        "read_number": 9});
    world.hear(1, json!({"type": "receipt.updated", "conversation_id": world.id, "data": data}));
    assert_eq!(kinds(&world), [Kind::WrongUnread]);
}

#[test]
fn ghosts_and_those_who_are_told_gone_are_told() {
    for (online, expected) in [(true, false), (false, true)] {
        let mut world = World::new();
        let (at, user, by) = (Duration::from_mins(1), world.ana, "the api".to_owned());
        world.log.presence.push(PresenceSeen { at, user, online, expected, by });
        assert_eq!(kinds(&world), [Kind::GhostPresence]);
    }
}

#[test]
fn a_violation_comes_with_what_everybody_did_and_saw_of_it() {
    let mut world = World::new();
    let Happened::Heard(frame) = &mut world.log.devices[1].entries[7].what else { panic!() };
    frame["data"]["content"] = "t1 something else".into();
    let told = world.judge()[0].to_string();
    for part in ["did Edit", "device 1", "t1 something else", "the store has it at 2, changed at 4"] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn what_comes_before_its_announcement_is_judged_from_there() {
    let mut world = World::new();
    // As after a resume that did not name the conversation: its page, then the feed that makes it theirs.
    let page = json!({"type": "changes", "conversation_id": world.id, "from": 1, "to": 3, "more": false, "changes": [
        {"type": "message.created", "seq": 2, "data": world.message(2, 2, "t1 hello")},
        {"type": "message.created", "seq": 3, "data": world.message(3, 3, "t2 ho")},
    ]});
    let entries = &mut world.log.devices[1].entries;
    entries.drain(5..7);
    world.insert(1, 4, page);
    assert_eq!(kinds(&world), [], "{}", super::summary(&world.judge()));
}
