//! What devices make of events: whom they show as there, and their lists.

use std::time::Duration;

use protocol::PresenceState::{self, Away, Offline, Online};
use serde_json::{Value, json};

use super::{super::Roll, Happened, Kind, kinds, world::World};

/// Ben's device asks for Ana and is answered like this.
fn watching(answered: PresenceState) -> World {
    let mut world = World::new();
    ask(&mut world, answered);
    world
}

fn ask(world: &mut World, answered: PresenceState) {
    let ana = world.ana;
    world.say(1, json!({"type": "presence.watch", "ref": "watch", "user_ids": [ana]}));
    world.hear(1, json!({"type": "reply", "ref": "watch", "ok": true, "data": {"items": [is(world, answered)]}}));
}

fn is(world: &World, state: PresenceState) -> Value {
    json!({"user_id": world.ana, "state": state, "last_seen_at": null})
}

fn told(world: &mut World, state: PresenceState) {
    let data = is(world, state);
    world.hear(1, json!({"type": "presence.updated", "data": data}));
}

fn roll(world: &mut World, state: PresenceState) {
    let at = world.log.devices[1].entries.last().unwrap().at + Duration::from_millis(100);
    world.log.rolls.push(Roll { at, states: [(world.ana, state), (world.ben, Online)].into(), ..Roll::default() });
}

#[test]
fn a_watcher_that_shows_what_is_so_is_fine() {
    let mut world = watching(Offline);
    roll(&mut world, Offline);
    told(&mut world, Online);
    told(&mut world, Away);
    roll(&mut world, Away);
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
}

#[test]
fn who_is_shown_as_there_and_is_gone_or_not_shown_at_all_is_told() {
    for (shown, is) in [(Online, Offline), (Offline, Online), (Away, Online)] {
        let mut world = watching(shown);
        roll(&mut world, is);
        assert_eq!(kinds(&world), [Kind::WrongWatch], "{shown:?} for {is:?}");
    }
    // It asked, and the answer knows nothing of them.
    let mut world = World::new();
    let ana = world.ana;
    world.say(1, json!({"type": "presence.watch", "ref": "watch", "user_ids": [ana]}));
    world.hear(1, json!({"type": "reply", "ref": "watch", "ok": true, "data": {"items": []}}));
    roll(&mut world, Online);
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
}

#[test]
fn who_is_out_of_sight_is_not_judged_and_who_was_need_not_be_shown() {
    let mut world = World::new();
    let pair = (world.ben, world.ana);
    world.say(1, json!({"type": "presence.watch", "ref": "watch", "user_ids": [world.ana]}));
    world.hear(1, json!({"type": "reply", "ref": "watch", "ok": true, "data": {"items": []}}));
    roll(&mut world, Online);
    world.log.rolls[0].seen_again.insert(pair);
    assert_eq!(kinds(&world), []);
    // The other way round excuses nobody.
    world.log.rolls[0].seen_again = [(pair.1, pair.0)].into();
    assert_eq!(kinds(&world), [Kind::WrongWatch]);

    let mut world = watching(Offline);
    let pair = (world.ben, world.ana);
    roll(&mut world, Online);
    world.log.rolls[0].seen_again.insert(pair);
    assert_eq!(kinds(&world), [Kind::WrongWatch], "who is shown is shown as they are");
    world.log.rolls[0].unseen.insert(pair);
    assert_eq!(kinds(&world), []);
}

#[test]
fn who_leaves_at_the_moment_of_a_roll_is_judged_as_before() {
    let mut world = watching(Offline);
    world.end(1);
    let at = world.log.devices[1].entries.last().unwrap().at;
    world.log.rolls.push(Roll { at, states: [(world.ana, Online)].into(), ..Roll::default() });
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
}

#[test]
fn what_an_older_connection_told_counts_no_more_and_who_is_not_connected_is_not_judged() {
    let mut world = watching(Online);
    world.reconnect(1, &json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}}));
    ask(&mut world, Offline);
    roll(&mut world, Offline);
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
    world.end(1);
    roll(&mut world, Online);
    assert_eq!(kinds(&world), []);
}

#[test]
fn who_does_not_ask_again_after_a_reconnect_shows_nothing() {
    let mut world = watching(Online);
    world.reconnect(1, &json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}}));
    roll(&mut world, Online);
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
}

#[test]
fn the_same_told_again_and_a_flood_are_told() {
    let mut world = watching(Offline);
    told(&mut world, Online);
    told(&mut world, Online);
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
    world.log.drops = true;
    assert_eq!(kinds(&world), [], "what was dropped may have been among them");
    // Events come every half second.
    let mut world = watching(Offline);
    for state in [Online, Away, Online, Away] {
        told(&mut world, state);
    }
    assert_eq!(kinds(&world), [], "a few may be squeezed together");
    told(&mut world, Online);
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
}

#[test]
fn somebody_whom_nobody_asked_for_is_told() {
    let mut world = World::new();
    told(&mut world, Online);
    assert_eq!(kinds(&world), [Kind::WrongWatch]);
}

// ---- lists

#[test]
fn what_was_heard_before_a_list_was_asked_for_is_not_added_to_it() {
    let mut world = World::new();
    let mut deleted = world.log.looked[1].conversations[0].clone();
    deleted.id = protocol::ConversationId::generate();
    world.hear(1, json!({"type": "conversation.created", "user_seq": 2, "data": deleted}));
    let last = world.log.devices[1].entries.last().unwrap().at;
    let list = |asked| Happened::Listed { asked, conversations: world.log.looked[1].conversations.clone() };
    let (late, early) = (list(last + Duration::from_millis(1)), list(last));
    let is_wrong = |world: &World| world.judge().iter().any(|violation| violation.kind == Kind::WrongList);
    world.push(1, late);
    assert!(!is_wrong(&world), "it was deleted before, and is not in the answer");
    world.log.devices[1].entries.pop();
    world.push(1, early);
    assert!(is_wrong(&world), "it came while the list was under way");
}

/// Ben's device fetched an empty list when it began.
fn listing() -> World {
    let mut world = World::new();
    world.insert_listed(1, 4);
    // As the events make it.
    let edited = world.heard(1, 8)["data"].clone();
    let last = world.heard(1, 7)["data"].clone();
    assert_ne!(edited, last);
    for looked in &mut world.log.looked {
        looked.conversations[0].last_message = Some(serde_json::from_value(last.clone()).unwrap());
    }
    world
}

#[test]
fn a_list_that_follows_from_events_is_fine() {
    let world = listing();
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
}

#[test]
fn a_list_that_is_not_what_a_fresh_request_gives_is_told() {
    let mut world = listing();
    world.log.looked[1].conversations[0].mention_count = 1;
    assert_eq!(kinds(&world), [Kind::WrongList]);
    let mut world = listing();
    world.log.looked[1].conversations[0].title = Some("another".into());
    assert_eq!(kinds(&world), [Kind::WrongList]);
    let mut world = listing();
    world.log.looked[1].conversations[0].last_message = None;
    assert_eq!(kinds(&world), [Kind::WrongList]);
}

#[test]
fn a_list_that_the_server_asked_to_fetch_anew_is_judged_once_it_was() {
    let mut world = listing();
    world.log.looked[1].conversations[0].title = Some("another".into());
    world.log.devices[1].settled = true;
    let id = world.id;
    world.hear(0, json!({"type": "typing", "conversation_id": id, "data": {}}));
    let resync = json!({"type": "resync_required", "data": {"conversation_id": null, "reason": "epoch_changed"}});
    world.insert(1, 5, resync);
    assert!(!kinds(&world).contains(&Kind::WrongList), "{:?}", kinds(&world));
    let asked = |asked| Happened::Listed { asked, conversations: Vec::new() };
    world.push(1, asked(Duration::ZERO));
    assert!(!kinds(&world).contains(&Kind::WrongList), "asked for before that: {:?}", kinds(&world));
    world.push(1, asked(Duration::MAX));
    assert!(kinds(&world).contains(&Kind::WrongList), "{:?}", kinds(&world));
}

#[test]
fn a_list_in_the_wrong_order_is_told() {
    let mut world = World::new();
    let mut newer = world.log.looked[1].conversations[0].clone();
    newer.last_activity_at = serde_json::from_value(json!("2026-01-02T00:00:00.000Z")).unwrap();
    world.log.looked[1].conversations.push(newer);
    assert!(kinds(&world).contains(&Kind::WrongList));
}
