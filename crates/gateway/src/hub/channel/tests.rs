//! What a subscriber gets when reading the store and live events race.

use protocol::Seq;

use super::*;
use crate::testing::link;

fn event(seq: Seq) -> ConversationEvent {
    let frame = format!("{seq}").into();
    ConversationEvent { seq: Some(seq), place: Some(seq), removed: Vec::new(), frame }
}

#[test]
fn after_a_restore_events_of_a_place_that_was_delivered_before_are_delivered_again() {
    let (old, new) = (link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&old);
    channel.establish(10);
    assert_eq!(channel.release(&old, 10, 0), Ok(false));
    channel.forget_position();
    // A fill that read the database of before the restore comes too late.
    let page = Changes {
        tag: ChangesTag::Changes,
        conversation_id: channel.id,
        from: 10,
        to: 12,
        more: false,
        changes: Vec::new(),
    };
    assert!(channel.fill(page).is_empty());
    assert_eq!(channel.delivered(), None);
    channel.attach(&new);
    channel.establish(3);
    assert_eq!(channel.release(&new, 3, 0), Ok(false));
    channel.offer(event(4), 4);
    assert_eq!(new.outbox.take(1_000).frames, ["4"]);
    assert!(old.outbox.take(1_000).frames.is_empty(), "its connection is closed; it resumes");
}

#[test]
fn who_read_an_older_head_than_another_connection_does_not_go_live_with_a_hole() {
    let (early, late) = (link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&early);
    channel.attach(&late);
    // `late` read head 1 before 2 was committed; 2 comes; `early` reads head 2 and is the first to say so.
    assert_eq!(channel.offer(event(2), 2).0, Next::Nothing);
    assert!(channel.establish(2).1.is_empty());
    assert_eq!(channel.release(&early, 2, 0), Ok(false));
    channel.establish(1);
    assert_eq!(channel.release(&late, 1, 0), Err(Behind));
    // It reads again, and what came meanwhile is held.
    channel.rearm(&late);
    channel.offer(event(3), 3);
    assert_eq!(channel.release(&late, 2, 0), Ok(false));
    assert_eq!(late.outbox.take(1_000).frames, ["3"]);
    assert_eq!(early.outbox.take(1_000).frames, ["3"]);
}

#[test]
fn a_removal_from_before_it_was_shown_again_does_not_end_a_subscription() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&one);
    channel.establish(2);
    assert_eq!(channel.release(&one, 2, 0), Ok(false));
    // Removed at 3 and added again at 4; the news of it is here first.
    assert!(channel.shown(&one, 4), "it goes live anew from there");
    assert!(!channel.shown(&one, 4), "once");
    let removal = ConversationEvent { removed: vec![one.user()], ..event(3) };
    assert!(channel.offer(removal, 3).1.is_empty());
    channel.offer(event(4), 4);
    assert_eq!(channel.release(&one, 2, 0), Err(Behind), "it does not know 4 yet");
    channel.rearm(&one);
    assert_eq!(channel.release(&one, 4, 0), Ok(false));
    channel.offer(event(5), 5);
    assert_eq!(one.outbox.take(1_000).frames, ["5"]);
    assert!(!channel.shown(&one, 4), "it is past that");
}

#[test]
fn one_hole_is_filled_once_however_much_comes_after_it() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&one);
    channel.establish(2);
    assert_eq!(channel.offer(event(4), 4).0, Next::FillLater);
    for seq in 5..200 {
        assert_eq!(channel.offer(event(seq), seq).0, Next::Nothing, "a fill is under way, {seq}");
    }
    assert_eq!(channel.fill_from(), Some((2, 199)));
    assert_eq!(channel.saw_head(300), Next::Nothing);
}

#[test]
fn what_is_held_for_one_connection_is_bounded_over_all_its_conversations() {
    let one = link();
    let long = |seq: Seq| ConversationEvent { frame: "x".repeat(40_000).into(), ..event(seq) };
    let mut channels = [(); 4].map(|()| Channel::new(ConversationId::generate(), Arc::default()));
    for channel in &mut channels {
        channel.attach(&one);
        channel.establish(2);
        channel.offer(long(3), 3);
    }
    // Its outbox takes 100,000 bytes: of the four frames two may wait.
    let results: Vec<_> = channels.iter_mut().map(|channel| channel.release(&one, 2, 0)).collect();
    assert_eq!(results, [Ok(false), Ok(false), Err(Behind), Err(Behind)]);
    // What went out is not held any more.
    let mut more = Channel::new(ConversationId::generate(), Arc::default());
    more.attach(&one);
    more.establish(2);
    more.offer(long(3), 3);
    assert_eq!(more.release(&one, 2, 0), Ok(false));
}

#[test]
fn a_head_that_was_told_while_the_store_was_asked_is_not_declared_void() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&one);
    channel.establish(2);
    channel.saw_head(9);
    let (from, head) = channel.fill_from().unwrap();
    // The store had nothing; the event of what was committed since comes early.
    channel.offer(event(10), 10);
    channel.void(from, head);
    assert_eq!(channel.fill_from(), Some((2, 10)));
    channel.void(2, 10);
    assert_eq!(channel.fill_from(), None);
}
