//! Who is connected in the end.

use std::time::Duration;

use super::{Happened, Kind, kinds, world::World};

fn leaving_later() -> World {
    let mut world = World::new();
    world.log.left_at = Some(Duration::from_mins(1));
    world
}

#[test]
fn who_is_connected_until_everybody_leaves_is_fine() {
    let mut world = leaving_later();
    assert_eq!(kinds(&world), []);
    let last = world.log.devices[1].entries.last().unwrap().at;
    world.log.left_at = Some(last + Duration::from_millis(1));
    world.end(1);
    assert_eq!(kinds(&world), []);
}

#[test]
fn who_did_not_come_back_is_told_with_how_the_last_connection_ended() {
    let mut world = leaving_later();
    world.push(1, Happened::Closed(4001));
    let found = world.judge();
    assert_eq!(kinds(&world), [Kind::NotBack]);
    assert!(found[0].what.contains("4001 at 4.000 s"), "{}", found[0]);
    // A connection that says nothing is none.
    world.push(1, Happened::Opened);
    assert_eq!(kinds(&world), [Kind::NotBack]);
    world.log.devices[1].settled = false;
    assert_eq!(kinds(&world), []);
}
