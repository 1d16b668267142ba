//! Each kind of fault is found as often as it happens, and what is allowed is none.

use super::*;

struct World {
    ledger: Ledger,
    room: Arc<Room>,
    a: Arc<Receiver>,
    b: Arc<Receiver>,
}

fn world() -> World {
    let ledger = Ledger::new("test");
    let room = ledger.room(ConversationId::generate(), 1);
    let (a, b) = (Receiver::new(0), Receiver::new(1));
    for receiver in [&a, &b] {
        receiver.follow(&room);
        receiver.head(room.id, 1);
    }
    World { ledger, room, a, b }
}

impl World {
    fn say(&self, number: u64, seq: Seq) -> String {
        let key = Key { sender: 0, number };
        let text = self.ledger.said(&self.room, key, 7).text(80);
        self.ledger.acknowledged(&self.room, key, seq);
        text
    }

    fn hear(&self, who: &Receiver, seq: Seq, text: &str) -> Came {
        self.ledger.came(who, self.room.id, seq, text, false)
    }

    fn faults(&self) -> Counts {
        self.ledger.verdict().faults
    }
}

#[test]
fn what_comes_once_and_in_order_is_right() {
    let world = world();
    for (number, seq) in [(1, 2), (2, 3)] {
        let text = world.say(number, seq);
        for who in [&world.a, &world.b] {
            assert!(matches!(world.hear(who, seq, &text), Came::New(_)));
        }
    }
    let verdict = world.ledger.verdict();
    assert!(verdict.faults.is_clean());
    assert_eq!((verdict.acknowledged, verdict.expected, verdict.delivered), (2, 4, 4));
}

#[test]
fn a_message_that_one_receiver_lacks_is_lost_once() {
    let world = world();
    let text = world.say(1, 2);
    world.hear(&world.a, 2, &text);
    assert_eq!(world.faults(), Counts { lost: 1, ..Counts::default() });
}

#[test]
fn twice_on_one_connection_is_doubled_and_after_a_resume_it_is_not() {
    let world = world();
    let (one, two) = (world.say(1, 2), world.say(2, 3));
    for who in [&world.a, &world.b] {
        world.hear(who, 2, &one);
        world.hear(who, 3, &two);
    }
    world.hear(&world.a, 3, &two);
    assert_eq!(world.faults(), Counts { doubled: 1, ..Counts::default() });
    world.a.connects();
    assert_eq!(world.hear(&world.a, 3, &two), Came::Known);
    assert_eq!(world.faults().doubled, 1);
    assert_eq!(world.a.cursor(world.room.id), Some(3));
}

#[test]
fn what_a_page_that_was_asked_for_holds_may_come_as_an_event_too() {
    let world = world();
    let one = world.say(1, 2);
    world.hear(&world.b, 2, &one);
    assert!(matches!(world.ledger.came(&world.a, world.room.id, 2, &one, true), Came::New(_)));
    world.a.page(world.room.id, 1, 2, true);
    assert_eq!(world.hear(&world.a, 2, &one), Came::Known);
    assert!(world.faults().is_clean());
}

#[test]
fn above_a_hole_the_cursor_stays_and_a_resume_fills_it() {
    let world = world();
    let (one, two) = (world.say(1, 2), world.say(2, 3));
    world.hear(&world.b, 2, &one);
    world.hear(&world.b, 3, &two);
    world.hear(&world.a, 3, &two);
    assert_eq!(world.a.cursor(world.room.id), Some(1));
    world.a.connects();
    assert!(matches!(world.hear(&world.a, 2, &one), Came::New(_)));
    assert_eq!(world.hear(&world.a, 3, &two), Came::Known);
    assert!(world.faults().is_clean());
}

#[test]
fn a_message_that_was_stored_twice_is_doubled() {
    let world = world();
    let one = world.say(1, 2);
    for who in [&world.a, &world.b] {
        world.hear(who, 2, &one);
        world.hear(who, 3, &one);
    }
    assert_eq!(world.faults(), Counts { doubled: 2, ..Counts::default() });
}

#[test]
fn after_a_later_one_is_reordered() {
    let world = world();
    let (one, two) = (world.say(1, 2), world.say(2, 3));
    world.hear(&world.a, 3, &two);
    world.hear(&world.a, 2, &one);
    world.hear(&world.b, 2, &one);
    world.hear(&world.b, 3, &two);
    assert_eq!(world.faults(), Counts { reordered: 1, ..Counts::default() });
}

#[test]
fn another_message_at_the_same_place_is_diverged() {
    let world = world();
    let (one, two) = (world.say(1, 2), world.say(2, 3));
    world.hear(&world.a, 2, &one);
    world.hear(&world.a, 3, &two);
    world.hear(&world.b, 2, &two);
    world.hear(&world.b, 3, &one);
    assert_eq!(world.faults(), Counts { diverged: 2, ..Counts::default() });
}

#[test]
fn who_diverged_is_told_by_what_was_acknowledged_whoever_was_first() {
    for first_is_wrong in [false, true] {
        let world = world();
        let one = world.say(1, 2);
        let other = world.ledger.said(&world.room, Key { sender: 5, number: 1 }, 1).text(80);
        let hear = |who, wrong| world.hear(who, 2, if wrong { &other } else { &one });
        hear(&world.a, first_is_wrong);
        hear(&world.b, !first_is_wrong);
        assert_eq!(world.faults(), Counts { diverged: 1, ..Counts::default() });
    }
}

#[test]
fn a_message_of_another_conversation_or_run_is_misrouted() {
    let world = world();
    let one = world.say(1, 2);
    let elsewhere = world.ledger.room(ConversationId::generate(), 1);
    world.ledger.came(&world.a, elsewhere.id, 2, &one, false);
    world.hear(&world.a, 2, &one);
    world.hear(&world.b, 2, &one);
    let theirs = Ledger::new("other").said(&world.room, Key { sender: 0, number: 9 }, 1).text(80);
    world.hear(&world.a, 3, &theirs);
    assert_eq!(world.faults(), Counts { misrouted: 2, ..Counts::default() });
}

#[test]
fn another_text_is_corrupt() {
    let world = world();
    let (one, two) = (world.say(1, 2), world.say(2, 3));
    world.hear(&world.a, 2, &one.replace('.', ","));
    world.hear(&world.b, 2, &one);
    // Its mark is gone too.
    world.hear(&world.a, 3, &two[1..]);
    world.hear(&world.b, 3, &two);
    assert_eq!(world.faults(), Counts { corrupt: 2, ..Counts::default() });
}

#[test]
fn a_fault_counts_for_what_was_done_last() {
    let world = world();
    let one = world.say(1, 2);
    world.hear(&world.b, 2, &one);
    world.ledger.book.event("kill gateway 1".into());
    world.hear(&world.b, 2, &one);
    let by_event = world.ledger.verdict().by_event;
    assert_eq!((by_event[0].faults.lost, by_event[0].faults.doubled), (1, 0));
    assert_eq!((by_event[1].event.as_str(), by_event[1].faults.doubled), ("kill gateway 1", 1));
}

#[test]
fn what_was_acknowledged_is_compared_with_what_everybody_was_told() {
    let world = world();
    let one = world.say(1, 2);
    let other = world.ledger.said(&world.room, Key { sender: 5, number: 1 }, 1).text(80);
    // Nobody contradicts anybody, and all were told another message than the acknowledged one.
    world.hear(&world.a, 2, &other);
    world.hear(&world.b, 2, &other);
    world.hear(&world.a, 3, &one);
    world.hear(&world.b, 3, &one);
    assert_eq!(world.faults(), Counts { diverged: 2, ..Counts::default() });
}

#[test]
fn one_place_for_two_messages_is_diverged_and_the_second_is_not_hidden() {
    let world = world();
    let one = world.say(1, 2);
    world.say(2, 2);
    world.hear(&world.a, 2, &one);
    world.hear(&world.b, 2, &one);
    let verdict = world.ledger.verdict();
    assert_eq!(verdict.acknowledged, 2);
    assert_eq!(verdict.faults, Counts { diverged: 1, lost: 2, ..Counts::default() });
}

#[test]
fn what_one_receiver_has_the_others_must_have_too() {
    let world = world();
    let one = world.ledger.said(&world.room, Key { sender: 0, number: 1 }, 7).text(80);
    world.hear(&world.a, 2, &one);
    let verdict = world.ledger.verdict();
    assert_eq!((verdict.acknowledged, verdict.expected), (0, 2));
    assert_eq!(verdict.faults, Counts { lost: 1, ..Counts::default() });
}

#[test]
fn a_misrouted_message_takes_no_place_where_it_does_not_belong() {
    let world = world();
    let elsewhere = world.ledger.room(ConversationId::generate(), 1);
    world.a.follow(&elsewhere);
    world.a.head(elsewhere.id, 1);
    let theirs = world.ledger.said(&elsewhere, Key { sender: 3, number: 1 }, 7).text(80);
    let one = world.say(1, 2);
    // At the place of what is lost here: it must not stand for it.
    world.hear(&world.a, 2, &theirs);
    world.hear(&world.b, 2, &one);
    assert_eq!(world.faults(), Counts { lost: 1, misrouted: 1, ..Counts::default() });
}

#[test]
fn a_conversation_that_the_server_does_not_name_is_expected_all_the_same() {
    let ledger = Ledger::new("test");
    let room = ledger.room(ConversationId::generate(), 1);
    let (member, joiner) = (Receiver::new(0), Receiver::new(1));
    member.follow(&room);
    joiner.joins(&room);
    assert_eq!((member.welcomed(), joiner.welcomed()), (1, 0));
    ledger.acknowledged(&room, Key { sender: 0, number: 1 }, 2);
    assert_eq!((ledger.verdict().expected, ledger.verdict().faults.lost), (1, 1));
    // Who joined at 2 and is never told of it must have what is above, and has what came meanwhile.
    let text = ledger.said(&room, Key { sender: 0, number: 2 }, 7).text(80);
    ledger.came(&joiner, room.id, 3, &text, false);
    joiner.joined_untold(room.id, 2);
    for (number, seq) in [(2, 3), (3, 4)] {
        ledger.acknowledged(&room, Key { sender: 0, number }, seq);
    }
    let verdict = ledger.verdict();
    assert_eq!((verdict.expected, verdict.faults.lost), (5, 4));
    assert_eq!(joiner.cursor(room.id), Some(3));
}

#[test]
fn a_place_that_cannot_be_is_a_fault_and_not_the_end() {
    let world = world();
    let one = world.say(1, 2);
    world.hear(&world.a, 1_000_000_000_000_000, &one);
    world.hear(&world.b, Seq::MAX, &one);
    assert_eq!(world.faults(), Counts { misrouted: 2, lost: 2, ..Counts::default() });
    world.a.head(world.room.id, Seq::MAX);
    world.a.step(world.room.id, Seq::MAX);
    assert_eq!(world.hear(&world.a, Seq::MAX, &one), Came::Wrong);
}
