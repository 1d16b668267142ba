//! Sessions, settings, announcements, and what befell the database.

use std::time::Duration;

use protocol::{Notify, SessionId};
use serde_json::{Value, json};

use super::{
    super::{OwnDeed, Restored, SignedIn},
    Happened, Kind, Outcome, kinds,
    world::World,
};

const REVOKED: Happened = Happened::Closed(4501);

// ---- sessions

/// Ben's device is signed in, and its session ends at this second.
fn revoked(second: u64) -> (World, SessionId) {
    let mut world = World::new();
    let session = SessionId::generate();
    world.log.own.sessions.insert(1, SignedIn { session, at: Duration::ZERO });
    let ben = world.ben;
    world.own(second, ben, OwnDeed::Revoke(Some(session)), Outcome::Done(None));
    (world, session)
}

fn is_over(session: SessionId) -> Value {
    json!({"type": "session.revoked", "user_seq": 2, "data": {"session_id": session}})
}

#[test]
fn a_session_that_ends_and_hears_no_more_is_fine() {
    let (mut world, session) = revoked(3);
    world.truth(|_, theirs| theirs.feed_head = 2);
    world.hear(1, is_over(session));
    world.push(1, REVOKED);
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
}

#[test]
fn who_is_sent_away_although_nobody_ended_their_session_is_told() {
    let (mut world, _) = revoked(3);
    world.log.own.acts.clear();
    world.push(1, REVOKED);
    assert_eq!(kinds(&world), [Kind::Protocol]);
    // Neither does the end of another one send it away.
    let (mut world, _) = revoked(3);
    world.log.own.acts[0].deed = OwnDeed::Revoke(Some(SessionId::generate()));
    world.push(1, REVOKED);
    assert_eq!(kinds(&world), [Kind::Protocol]);
}

#[test]
fn a_session_that_hears_after_its_end_is_told() {
    // After it was told of it.
    let (mut world, session) = revoked(3);
    world.truth(|_, theirs| theirs.feed_head = 2);
    world.hear(1, is_over(session));
    world.hear(1, json!({"type": "heartbeat", "data": {}}));
    assert_eq!(kinds(&world), [Kind::Leaked]);
    // On a connection that began after it.
    let (mut world, _) = revoked(3);
    world.reconnect(1, &json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}}));
    assert_eq!(kinds(&world), [Kind::Leaked]);
    // For ever.
    let (mut world, _) = revoked(1);
    world.log.quiet_since = Some(Duration::from_secs(3));
    assert_eq!(kinds(&world), [Kind::Leaked]);
}

// ---- settings and announcements

#[test]
fn acknowledged_settings_that_are_not_stored_are_lost() {
    let ana = World::new().ana;
    for deed in [OwnDeed::Notify(None, Notify::None), OwnDeed::Block(ana, true), OwnDeed::Announce("news".into())] {
        let mut world = World::new();
        let ben = world.ben;
        world.own(5, ben, deed.clone(), Outcome::Done(None));
        assert_eq!(kinds(&world), [Kind::Lost], "{deed:?}");
        // Nobody knows what came last.
        if !matches!(deed, OwnDeed::Announce(_)) {
            world.own(6, ben, deed.clone(), Outcome::Unknown);
            assert_eq!(kinds(&world), [], "{deed:?}");
        }
        world.log.own.acts.truncate(1);
        let theirs = world.truth.users.get_mut(&ben).unwrap();
        (theirs.notify, theirs.blocked) = (Notify::None, [ana].into());
        for device in &mut world.log.devices {
            device.settled = false;
        }
        world.truth.announcements = [(1, "news".to_owned())].into();
        assert_eq!(kinds(&world), [], "{deed:?}: {}", super::super::summary(&world.judge()));
    }
}

/// Somebody announced something, so that what is outside of conversations is judged.
fn announced(stored: &[&str]) -> World {
    let mut world = World::new();
    let ana = world.ana;
    world.own(5, ana, OwnDeed::Announce("one".into()), Outcome::Unknown);
    world.truth.announcements = (1..).zip(stored.iter().map(|title| (*title).to_owned())).collect();
    world
}

fn announcement(seq: u64, title: &str) -> Value {
    json!({"type": "announcement", "data": {"seq": seq, "title": title}})
}

#[test]
fn announcements_come_once_in_order_and_as_they_are_stored() {
    type Case<'a> = (&'a [(u64, &'a str)], &'a [Kind]);
    let cases: [Case<'_>; 5] = [
        (&[(1, "one"), (2, "two"), (3, "three")], &[]),
        (&[(1, "one"), (2, "two")], &[Kind::FeedNotWhole]),
        (&[(1, "one"), (3, "three")], &[Kind::Gap, Kind::FeedNotWhole]),
        (&[(1, "one"), (2, "two"), (2, "two"), (3, "three")], &[Kind::Doubled]),
        (&[(1, "one"), (2, "2"), (3, "three")], &[Kind::Diverged]),
    ];
    for (heard, found) in cases {
        let mut world = announced(&["one", "two", "three"]);
        for (seq, title) in [(1, "one"), (2, "two"), (3, "three")] {
            world.hear(0, announcement(seq, title));
        }
        for (seq, title) in heard {
            world.hear(1, announcement(*seq, title));
        }
        assert_eq!(kinds(&world), found, "{heard:?}: {}", super::super::summary(&world.judge()));
    }
    let mut world = announced(&["one", "one"]);
    world.hear_all(&announcement(1, "one"));
    world.hear_all(&announcement(2, "one"));
    assert_eq!(kinds(&world), [Kind::Lost]);
}

#[test]
fn a_device_that_was_told_of_other_settings_is_told() {
    let mut world = announced(&[]);
    world.truth(|_, theirs| theirs.feed_head = 3);
    let ana = world.ana;
    world.hear(1, json!({"type": "user.blocked", "user_seq": 2, "data": {"user_id": ana}}));
    assert_eq!(kinds(&world), [Kind::FeedNotWhole]);
    let ben = world.ben;
    world.truth.users.get_mut(&ben).unwrap().blocked.insert(ana);
    assert_eq!(kinds(&world), []);
    let data = json!({"notify": "none", "muted_until": null});
    world.hear(1, json!({"type": "notification_preferences.updated", "user_seq": 3, "data": data}));
    assert_eq!(kinds(&world), [Kind::FeedNotWhole]);
}

// ---- a restore

/// The backup is of second 2.6, it was put back at second 3.8, and everybody comes back with what they knew.
fn restored(told: Option<&str>) -> World {
    let mut world = World::new();
    let (saved, at) = (Duration::from_millis(2_600), Duration::from_millis(3_800));
    world.log.own.restored = Some(Restored { saved, at, epoch: "f".into() });
    let resume = json!({"epoch": "e", "user_seq": 1, "cursors": {world.id.to_string(): 4}});
    for device in 0..2 {
        world.come_back(device, ("f", 1), &resume, told);
    }
    world
}

#[test]
fn who_comes_back_with_a_lost_future_and_is_told_so_is_fine() {
    let world = restored(Some("epoch_changed"));
    assert_eq!(kinds(&world), [], "{}", super::super::summary(&world.judge()));
}

#[test]
fn cursors_of_a_lost_future_that_are_believed_are_told() {
    assert_eq!(kinds(&restored(None)), [Kind::Diverged]);
    assert_eq!(kinds(&restored(Some("too_far_behind"))), [Kind::Diverged]);
}

#[test]
fn what_was_acknowledged_in_a_lost_future_is_not_lost_and_what_was_before_is() {
    // At 3 stands what was acknowledged in second 3, at 2 what was in second 2.
    for (place, lost) in [(3, false), (2, true)] {
        let mut world = restored(Some("epoch_changed"));
        world.truth(|history, _| drop(history.messages.remove(&place)));
        let told = |what: &str| what.contains("was acknowledged at place");
        assert_eq!(
            world.judge().iter().any(|found| told(&found.what)),
            lost,
            "{}",
            super::super::summary(&world.judge())
        );
    }
}
