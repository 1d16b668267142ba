//! Who was removed, and perhaps added again: what of it is for them.

use std::slice::from_ref;

use protocol::{Message, Seq};
use serde_json::{Value, json};

use super::{Kind, kinds, world::World};

/// A page with these messages.
fn page(world: &World, from: Seq, to: Seq, messages: &[Message]) -> Value {
    let change = |message: &Message| json!({"type": "message.updated", "seq": message.changed_seq, "data": message});
    let changes: Vec<_> = messages.iter().map(change).collect();
    json!({"type": "changes", "conversation_id": world.id, "from": from, "to": to, "more": false, "changes": changes})
}

/// Ana changes the text at this place as step 8, and Ben's device hears this of it.
fn changed(place: Seq, hears: impl Fn(&World, &Message) -> Value) -> World {
    let mut world = World::again();
    let change = world.message(place, 8, "t1 changed");
    world.log.acts.clear();
    world.truth(|history, theirs| {
        history.head = 8;
        if theirs.memberships.values().all(|since| *since < place) {
            history.messages.insert(place, change.clone());
        }
    });
    world.hear(0, world.event("message.updated", &change));
    let frame = hears(&world, &change);
    world.hear(1, frame);
    world
}

fn is_leaked(world: &World) -> bool {
    kinds(world).contains(&Kind::Leaked)
}

#[test]
fn what_came_before_the_return_is_told_as_empty_steps_and_otherwise_leaked() {
    // At 3 stands what they could read in their first time, at 6 what they never could.
    for place in [3, 6] {
        let world = changed(place, |world, _| page(world, 7, 8, &[]));
        assert!(!is_leaked(&world), "{}", super::super::summary(&world.judge()));
        assert!(is_leaked(&changed(place, |world, change| world.event("message.updated", change))), "{place}, live");
        assert!(is_leaked(&changed(place, |world, change| page(world, 7, 8, from_ref(change)))), "{place}, in a page");
    }
}

#[test]
fn a_page_from_before_the_removal_to_after_the_return_holds_nothing_of_the_first_time() {
    for leaks in [false, true] {
        let mut world = World::again();
        world.reconnect(1, &json!({"epoch": "e", "user_seq": 3, "cursors": {world.id.to_string(): 2}}));
        let mut messages = vec![serde_json::from_value(world.heard(0, 10)["data"].clone()).unwrap()];
        if leaks {
            messages.insert(0, world.message(3, 3, "t2 ho"));
        }
        let frame = page(&world, 2, 7, &messages);
        world.hear(1, frame);
        let expected: &[Kind] = if leaks { &[Kind::Leaked] } else { &[] };
        assert_eq!(kinds(&world), expected, "{}", super::super::summary(&world.judge()));
    }
}

#[test]
fn in_a_conversation_that_is_open_to_newcomers_what_was_before_the_return_is_theirs_too() {
    for place in [3, 6] {
        for live in [true, false] {
            let mut world = changed(place, |world, change| {
                if live { world.event("message.updated", change) } else { page(world, 7, 8, from_ref(change)) }
            });
            world.log.since_join.clear();
            assert!(!is_leaked(&world), "{}", super::super::summary(&world.judge()));
        }
    }
}

#[test]
fn what_was_theirs_and_comes_late_is_fine_as_long_as_it_ends_with_the_removal() {
    // Nothing after the first text came before the news of the removal: then a page tells it, up to the removal itself.
    let told = |to: Seq| {
        let mut world = World::again();
        let removal: Message = serde_json::from_value(world.heard(1, 8)["data"].clone()).unwrap();
        let texts = [world.message(3, 3, "t2 ho"), world.message(2, 4, "t1 hello, edited"), removal];
        let page = page(&world, 2, to, &texts);
        world.log.devices[1].entries.drain(6..9);
        world.insert(1, 6, page);
        world
    };
    assert_eq!(kinds(&told(5)), [], "{}", super::super::summary(&told(5).judge()));
    assert!(is_leaked(&told(6)), "whoever reads it later is not in it any more");
}

// ---- what is not kept

fn typing(world: &World) -> Value {
    json!({"type": "typing", "conversation_id": world.id, "data": {"typing": true, "expires_in_ms": 5_000}})
}

fn marker(world: &World, whose: protocol::UserId) -> Value {
    let data =
        json!({"conversation_id": world.id, "user_id": whose, "delivered_seq": 3, "read_seq": 3, "read_number": 2});
    json!({"type": "receipt.updated", "conversation_id": world.id, "data": data})
}

#[test]
fn typing_and_markers_after_the_removal_are_leaked_and_before_it_or_after_the_return_they_are_fine() {
    for hears in [typing, |world: &World| marker(world, world.ana)] {
        let mut world = World::removed();
        let frame = hears(&world);
        world.insert(1, 9, frame.clone());
        assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
        world.hear(1, frame);
        assert_eq!(kinds(&world), [Kind::Leaked]);

        let mut world = World::again();
        let frame = hears(&world);
        world.hear(1, frame);
        assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
    }
}

#[test]
fn ones_own_marker_may_come_after_the_removal() {
    let mut world = World::removed();
    let frame = marker(&world, world.ben);
    world.hear(1, frame);
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
}
