//! What a subscriber gets when reading the store and live events race.

use protocol::Seq;
use serde_json::json;

use super::*;
use crate::testing::link;

fn event(seq: Seq) -> ConversationEvent {
    let frame = format!("{seq}").into();
    let (seq, removed) = (Some(seq), Vec::new());
    ConversationEvent { seq, place: seq, removed, ends: false, epoch: None, trace: None, frame }
}

#[test]
fn after_a_restore_events_of_a_place_that_was_delivered_before_are_delivered_again() {
    let (old, new) = (link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let old_at = channel.attach(&old);
    channel.establish(10);
    assert_eq!(channel.release(&old_at, 10, 0), Ok(false));
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
    assert!(channel.fill(page.clone()).is_empty());
    assert_eq!(channel.delivered(), None);
    let new_at = channel.attach(&new);
    channel.establish(3);
    assert_eq!(channel.release(&new_at, 3, 0), Ok(false));
    // And one that comes when somebody has read the other database: it would leave out what is between.
    assert!(channel.fill(page).is_empty());
    assert_eq!(channel.delivered(), Some(3));
    channel.offer(event(4), 4);
    assert_eq!(new.outbox.take(1_000).frames, ["4"]);
    assert!(old.outbox.take(1_000).frames.is_empty(), "its connection is closed; it resumes");
}

#[test]
fn a_position_is_forgotten_only_if_it_is_still_ahead_of_the_store() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    channel.attach(&one);
    assert!(channel.is_ahead(1).is_empty(), "nothing was read yet");
    channel.establish(5);
    assert!(channel.is_ahead(6).is_empty(), "it was forgotten and read anew meanwhile");
    assert_eq!((channel.is_ahead(5).len(), channel.delivered()), (1, None));
    channel.establish(3);
    assert_eq!(channel.delivered(), Some(3));
}

#[test]
fn who_read_an_older_head_than_another_connection_does_not_go_live_with_a_hole() {
    let (early, late) = (link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let early_at = channel.attach(&early);
    let late_at = channel.attach(&late);
    // `late` read head 1 before 2 was committed; 2 comes; `early` reads head 2 and is the first to say so.
    assert_eq!(channel.offer(event(2), 2).0, Next::Nothing);
    assert!(channel.establish(2).1.is_empty());
    assert_eq!(channel.release(&early_at, 2, 0), Ok(false));
    channel.establish(1);
    assert_eq!(channel.release(&late_at, 1, 0), Err(Behind));
    // It reads again, and what came meanwhile is held.
    channel.rearm(&late_at);
    channel.offer(event(3), 3);
    assert_eq!(channel.release(&late_at, 2, 0), Ok(false));
    assert_eq!(late.outbox.take(1_000).frames, ["3"]);
    assert_eq!(early.outbox.take(1_000).frames, ["3"]);
}

#[test]
fn a_removal_from_before_it_was_shown_again_does_not_end_a_subscription() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let one_at = channel.attach(&one);
    channel.establish(2);
    assert_eq!(channel.release(&one_at, 2, 0), Ok(false));
    // Removed at 3 and added again at 4; the news of it is here first.
    assert!(channel.shown(&one, 4).is_some(), "it goes live anew from there");
    assert!(channel.shown(&one, 4).is_none(), "once");
    let removal = ConversationEvent { removed: vec![one.user()], ..event(3) };
    assert!(channel.offer(removal, 3).1.is_empty());
    channel.offer(event(4), 4);
    assert_eq!(channel.release(&one_at, 2, 0), Err(Behind), "it does not know 4 yet");
    channel.rearm(&one_at);
    assert_eq!(channel.release(&one_at, 4, 0), Ok(false));
    channel.offer(event(5), 5);
    assert_eq!(one.outbox.take(1_000).frames, ["5"]);
    assert!(channel.shown(&one, 4).is_none(), "it is past that");
}

#[test]
fn nobody_follows_what_was_deleted_whether_they_were_live_or_starting() {
    let (live, starting, later) = (link(), link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let at = channel.attach(&live);
    channel.establish(2);
    assert_eq!(channel.release(&at, 2, 0), Ok(false));
    let at = channel.attach(&starting);
    let deletion = ConversationEvent { ends: true, ..event(3) };
    let gone = channel.offer(deletion, 3).1;
    assert!(matches!(&gone[..], [one] if Arc::ptr_eq(one, &live)));
    assert_eq!(channel.release(&at, 2, 0), Ok(true));
    for link in [&live, &starting] {
        assert_eq!(link.outbox.take(1_000).frames, ["3"]);
        assert!(!channel.has(link));
    }
    // As a change of a page, too.
    let at = channel.attach(&later);
    assert_eq!(channel.release(&at, 3, 0), Ok(false));
    assert_eq!(channel.saw_head(4), Next::FillLater);
    let page = json!({"type": "changes", "conversation_id": channel.id, "from": 3, "to": 4, "more": false, "changes": [
        {"type": "message.created", "seq": 4, "data": {"id": protocol::MessageId::generate(), "conversation_id": channel.id,
            "seq": 4, "changed_seq": 4, "number": 0, "kind": "system", "content": "", "client_id": null,
            "sender": {"id": UserId::generate(), "username": "ada", "display_name": "Ada", "avatar_url": null},
            "system": {"type": "conversation.deleted"}, "reply_to": null, "thread_root_id": null, "thread": null,
            "mentions": [], "attachments": [], "reactions": [], "pinned_at": null, "edited_at": null,
            "deleted_at": null, "created_at": "2026-01-01T00:00:00Z"}}]});
    assert_eq!(channel.fill(serde_json::from_value(page).unwrap()).len(), 1);
    assert!(channel.is_empty());
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
    let attach = |channel: &mut Channel| {
        let attachment = channel.attach(&one);
        channel.establish(2);
        channel.offer(long(3), 3);
        attachment
    };
    let attachments: Vec<_> = channels.iter_mut().map(attach).collect();
    // Its outbox takes 100,000 bytes: of the four frames two may wait.
    let pairs = channels.iter_mut().zip(&attachments);
    let results: Vec<_> = pairs.map(|(channel, attachment)| channel.release(attachment, 2, 0)).collect();
    assert_eq!(results, [Ok(false), Ok(false), Err(Behind), Err(Behind)]);
    // What went out is not held any more.
    let mut more = Channel::new(ConversationId::generate(), Arc::default());
    let attachment = attach(&mut more);
    assert_eq!(more.release(&attachment, 2, 0), Ok(false));
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

#[test]
fn who_still_reads_for_an_earlier_attachment_leaves_the_present_one_alone() {
    let one = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let before = channel.attach(&one);
    channel.establish(2);
    channel.detach(&one);
    let now = channel.attach(&one);
    channel.offer(event(3), 3);
    assert!(!channel.push(&before, "a page of then".into()));
    channel.rearm(&before);
    assert_eq!(channel.release(&before, 9, 0), Ok(false));
    assert!(!channel.is_attached(&before) && channel.is_attached(&now));
    assert_eq!(channel.release(&now, 2, 0), Ok(false));
    assert_eq!(one.outbox.take(1_000).frames, ["3"]);
}

#[test]
fn who_was_removed_in_a_hole_that_is_skipped_hears_nothing_after_it() {
    let (stays, removed, starting) = (link(), link(), link());
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let attachments = [&stays, &removed, &starting].map(|link| channel.attach(link));
    channel.establish(2);
    for attachment in &attachments[..2] {
        assert_eq!(channel.release(attachment, 2, 0), Ok(false));
    }
    channel.saw_head(99);
    let users = |links: &[&Arc<Link>]| links.iter().map(|link| link.user()).collect::<Set<_>>();
    let members = Map::from_iter([(stays.user(), 0)]);
    let resync = Utf8Bytes::from("resync");
    let nobody = channel.skip_to(99, &users(&[&stays]), &members, &resync);
    assert!(matches!(nobody, Err(Behind)), "somebody who is live was not asked about");
    let gone = channel.skip_to(99, &users(&[&stays, &removed]), &members, &resync).unwrap();
    assert_eq!((gone.len(), Arc::ptr_eq(&gone[0], &removed)), (1, true));
    channel.offer(event(100), 100);
    assert_eq!(stays.outbox.take(1_000).frames, ["resync", "100"]);
    assert!(removed.outbox.take(1_000).frames.is_empty());
    assert_eq!(channel.release(&attachments[2], 2, 0), Err(Behind), "it reads the store again");
}

#[test]
fn who_was_out_and_in_again_in_a_hole_that_is_skipped_reads_what_comes_after_that_alone() {
    let back = link();
    let mut channel = Channel::new(ConversationId::generate(), Arc::default());
    let attachment = channel.attach(&back);
    channel.establish(2);
    assert_eq!(channel.release(&attachment, 2, 0), Ok(false));
    channel.saw_head(99);
    let (asked, members) = (Set::from_iter([back.user()]), Map::from_iter([(back.user(), 80)]));
    assert!(channel.skip_to(99, &asked, &members, &"resync".into()).unwrap().is_empty());
    for (seq, place) in [(100, 79), (101, 81)] {
        channel.offer(ConversationEvent { place: Some(place), ..event(seq) }, seq);
    }
    let told = back.outbox.take(1_000).frames;
    assert_eq!((told[0].as_str(), told[2].as_str()), ("resync", "101"));
    let step: Changes = serde_json::from_str(&told[1]).unwrap();
    assert_eq!((step.from, step.to, step.changes.len()), (99, 100, 0), "an edit of what was sent while they were out");
}
