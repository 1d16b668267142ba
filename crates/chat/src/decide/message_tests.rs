//! Threads, mentions, reactions, pins, the edit window, slow mode and the archive in batches, as sentences.

use ConversationKind::{Direct, Group};
use protocol::{
    ConversationKind, ConversationPatch, ErrorCode, MentionRange, MessageId, ReactionChange, SystemChange, Timestamp,
    UserId,
};

use super::model::{Model, now};
use crate::{
    change::{Kind, NewMessage, Outcome, Reacted, Request, Updated},
    mentions::{Found, Mentions},
};

const OWNER: usize = 0;
const ADMIN: usize = 1;
const MEMBER: usize = 2;
const OUTSIDER: usize = 3;

fn group() -> Model {
    Model::new(Group, 1, 2)
}

fn error(outcome: Outcome) -> crate::ChatError {
    match outcome {
        Outcome::Refused(error) => *error,
        done => panic!("not refused: {done:?}"),
    }
}

fn code(outcome: Outcome) -> ErrorCode {
    error(outcome).code
}

fn field(outcome: Outcome) -> String {
    let error = error(outcome);
    assert_eq!(error.code, ErrorCode::Invalid);
    error.errors[0].field.clone()
}

fn updated(outcome: &Outcome) -> &Updated {
    match outcome {
        Outcome::Updated(updated) => updated,
        other => panic!("nothing was changed: {other:?}"),
    }
}

fn said(model: &mut Model, actor: usize, content: &str) -> MessageId {
    let request = model.send(actor, content, None);
    let id = request.message_id;
    assert!(matches!(model.apply_one(request), Outcome::Inserted(_)));
    id
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(now().unix_millis() + seconds * 1_000).unwrap()
}

fn react(model: &Model, actor: usize, message: MessageId, emoji: &str, add: bool) -> Request {
    model.request(actor, Kind::React { message, emoji: emoji.into(), add })
}

fn pin(model: &Model, actor: usize, message: MessageId, pinned: bool) -> Request {
    model.request(actor, Kind::Pin { message, pinned })
}

fn delete(model: &Model, actor: usize, message: MessageId) -> Request {
    model.request(actor, Kind::Delete { message })
}

fn edit(model: &Model, actor: usize, message: MessageId, content: &str) -> Request {
    model.request(actor, Kind::Edit { message, content: content.into(), mentions: Mentions::default() })
}

fn patch(model: &Model, actor: usize, patch: ConversationPatch) -> Request {
    model.request(actor, Kind::Update { patch })
}

fn threaded(model: &Model, actor: usize, root: MessageId) -> Request {
    model.send_new(actor, NewMessage { content: "in thread".into(), thread_root: Some(root), ..NewMessage::default() })
}

fn naming(model: &Model, actor: usize, users: &[Option<UserId>]) -> Request {
    let ranges = (0..).zip(users).map(|(offset, user_id)| MentionRange { offset, length: 1, user_id: *user_id });
    let mentions = Mentions::Named(ranges.collect());
    model.send_new(actor, NewMessage { content: "abc".into(), mentions, ..NewMessage::default() })
}

#[test]
fn a_thread_hangs_under_a_text_of_this_conversation_that_is_in_no_thread() {
    let mut model = group();
    let root = said(&mut model, OWNER, "root");
    let reply = threaded(&model, MEMBER, root);
    let id = reply.message_id;
    model.apply_one(reply);
    let stored = model.message(id).unwrap();
    assert_eq!((stored.thread_root_id, stored.seq, stored.number), (Some(root), 3, 2), "it counts like any message");
    let nested = threaded(&model, OWNER, id);
    assert_eq!(field(model.apply_one(nested)), "thread_root_id");
    let nowhere = threaded(&model, OWNER, MessageId::generate());
    assert_eq!(field(model.apply_one(nowhere)), "thread_root_id");
    let system = model.request(OWNER, Kind::AddParticipants { users: vec![model.users[OUTSIDER]] });
    let of_system = threaded(&model, OWNER, system.message_id);
    model.apply_one(system);
    assert_eq!(field(model.apply_one(of_system)), "thread_root_id");
    let batch = [delete(&model, OWNER, root), threaded(&model, MEMBER, root)];
    assert_eq!(code(model.apply(&batch).remove(1)), ErrorCode::MessageDeleted);
}

#[test]
fn a_newcomer_answers_nothing_that_they_cannot_see() {
    let mut model = group();
    model.row_mut().history = protocol::History::SinceJoin;
    let root = said(&mut model, OWNER, "secret");
    model.apply_one(model.request(OWNER, Kind::AddParticipants { users: vec![model.users[OUTSIDER]] }));
    assert_eq!(field(model.apply_one(threaded(&model, OUTSIDER, root))), "thread_root_id");
    assert_eq!(code(model.apply_one(react(&model, OUTSIDER, root, "👍", true))), ErrorCode::NotFound);
    assert_eq!(code(model.apply_one(pin(&model, OUTSIDER, root, true))), ErrorCode::NotFound);
}

#[test]
fn who_is_named_takes_part_and_everybody_is_for_admins() {
    let mut model = group();
    let (member, outsider) = (Some(model.users[MEMBER]), Some(model.users[OUTSIDER]));
    let good = naming(&model, ADMIN, &[member, None]);
    let id = good.message_id;
    model.apply_one(good);
    let users: Vec<_> = model.message(id).unwrap().mentions.iter().map(|m| m.user.as_ref().map(|u| u.id)).collect();
    assert_eq!(users, [member, None]);
    assert_eq!(field(model.apply_one(naming(&model, ADMIN, &[outsider]))), "mentions");
    assert_eq!(code(model.apply_one(naming(&model, MEMBER, &[None]))), ErrorCode::Forbidden);
    let left =
        [model.request(ADMIN, Kind::RemoveParticipant { user: model.users[MEMBER] }), naming(&model, ADMIN, &[member])];
    assert_eq!(field(model.apply(&left).remove(1)), "mentions");
}

#[test]
fn what_is_found_in_a_text_and_not_allowed_is_no_mention() {
    let mut model = group();
    let (member, outsider) = (model.users[MEMBER], model.users[OUTSIDER]);
    let at = |offset, user, everybody| Found { offset, length: 1, user, everybody };
    let found =
        vec![at(0, Some(member), false), at(1, Some(outsider), false), at(2, None, true), at(3, Some(member), true)];
    let sent = |model: &mut Model, actor| {
        let mentions = Mentions::Found(found.clone());
        let new = NewMessage { content: "abcd".into(), mentions, ..NewMessage::default() };
        let request = model.send_new(actor, new);
        let id = request.message_id;
        model.apply_one(request);
        let mentions = &model.message(id).unwrap().mentions;
        mentions.iter().map(|m| (m.offset, m.user.as_ref().map(|u| u.id))).collect::<Vec<_>>()
    };
    assert_eq!(sent(&mut model, ADMIN), [(0, Some(member)), (2, None), (3, None)]);
    // A member says "@all" to whoever has that name, if anybody.
    assert_eq!(sent(&mut model, MEMBER), [(0, Some(member)), (3, Some(member))]);
}

#[test]
fn an_edit_finds_mentions_anew_and_one_that_changes_nothing_takes_no_place() {
    let mut model = group();
    let member = model.users[MEMBER];
    let first = naming(&model, OWNER, &[Some(member)]);
    let id = first.message_id;
    model.apply_one(first);
    let again = |model: &Model| {
        let mentions = Mentions::Found(vec![Found { offset: 0, length: 1, user: Some(member), everybody: false }]);
        model.request(OWNER, Kind::Edit { message: id, content: "abc".into(), mentions })
    };
    assert!(matches!(model.apply_one(again(&model)), Outcome::Found(_)));
    assert_eq!(model.row().last_seq, 2);
    model.apply_one(edit(&model, OWNER, id, "abc"));
    assert_eq!((model.message(id).unwrap().mentions.len(), model.row().last_seq), (0, 3), "the mention is gone");
    let batch = [again(&model), again(&model)];
    let outcomes = model.apply(&batch);
    assert_eq!(updated(&outcomes[0]).message.mentions.len(), 1);
    assert!(matches!(outcomes[1], Outcome::InBatch(same) if same == id));
}

#[test]
fn an_edit_keeps_those_whom_the_message_mentions_though_they_left() {
    let mut model = group();
    let (member, outsider) = (model.users[MEMBER], model.users[OUTSIDER]);
    let range = |offset, user| MentionRange { offset, length: 6, user_id: Some(user) };
    let mentions = Mentions::Named(vec![range(3, member)]);
    let new = NewMessage { content: "hi @user2!".into(), mentions, ..NewMessage::default() };
    let first = model.send_new(OWNER, new);
    let id = first.message_id;
    model.apply_one(first);
    model.apply_one(model.request(ADMIN, Kind::RemoveParticipant { user: member }));
    let shown = |outcome: &Outcome| {
        let mentions = updated(outcome).message.mentions.iter();
        mentions.map(|m| (m.offset, m.length, m.user.as_ref().unwrap().id)).collect::<Vec<_>>()
    };
    let gone = model.locked.users.remove(&member).unwrap();
    let (writes, outcomes) =
        super::decide(&[edit(&model, OWNER, id, "oh hi @User2.")], &model.limits, now(), &model.locked);
    assert_eq!((writes.updates.len(), shown(&outcomes[0])), (1, vec![(6, 6, member)]), "not read, and known");
    model.locked.users.insert(member, gone);
    assert_eq!(shown(&model.apply_one(edit(&model, OWNER, id, "oh hi @user2."))), [(6, 6, member)]);
    let naming = |model: &Model, user| {
        let mentions = Mentions::Named(vec![range(0, user)]);
        model.request(OWNER, Kind::Edit { message: id, content: "@user2 hi".into(), mentions })
    };
    assert_eq!(field(model.apply_one(naming(&model, outsider))), "mentions");
    assert_eq!(shown(&model.apply_one(naming(&model, member))), [(0, 6, member)]);
    assert_eq!(shown(&model.apply_one(edit(&model, OWNER, id, "@user22 @userr2 user2"))), []);
    assert_eq!(shown(&model.apply_one(edit(&model, OWNER, id, "@user2"))), [], "what was taken away is gone");
    assert_eq!(field(model.apply_one(naming(&model, member))), "mentions");
}

#[test]
fn the_same_description_or_picture_again_changes_nothing() {
    let mut model = group();
    let about = |text: Option<&str>, url: Option<&str>| ConversationPatch {
        description: Some(text.map(str::to_owned)),
        avatar_url: Some(url.map(str::to_owned)),
        ..ConversationPatch::default()
    };
    let picture = Some("https://example.org/a.png");
    assert!(matches!(model.apply_one(patch(&model, OWNER, about(None, None))), Outcome::Quiet));
    let set = patch(&model, OWNER, about(Some("x"), picture));
    let other = patch(&model, OWNER, about(Some("y"), picture));
    let outcomes = model.apply(&[set.clone(), Request::new(model.here, model.users[OWNER], set.kind.clone()), other]);
    assert!(matches!(outcomes[0], Outcome::Inserted(_)) && matches!(outcomes[1], Outcome::Quiet), "{outcomes:?}");
    let Outcome::Inserted(id) = outcomes[2] else { panic!("{outcomes:?}") };
    let Some(SystemChange::ConversationUpdated { changes }) = &model.message(id).unwrap().system else { panic!() };
    assert_eq!((&changes.description, &changes.avatar_url), (&Some(Some("y".into())), &None));
    assert!(matches!(model.apply_one(patch(&model, OWNER, about(None, None))), Outcome::Inserted(_)));
    assert!(matches!(model.apply_one(patch(&model, OWNER, about(None, None))), Outcome::Quiet));
}

#[test]
fn a_text_may_be_edited_within_its_window() {
    let mut model = group();
    model.limits.edit_window_seconds = 60;
    let id = said(&mut model, MEMBER, "a");
    assert!(matches!(model.apply_at(&[edit(&model, MEMBER, id, "b")], later(60))[..], [Outcome::Updated(_)]));
    let late = model.apply_at(&[edit(&model, MEMBER, id, "c")], later(61)).remove(0);
    assert_eq!(code(late), ErrorCode::EditWindowPassed);
    let empty = edit(&model, MEMBER, id, "");
    assert_eq!(field(model.apply_one(empty)), "content");
}

#[test]
fn a_text_beside_files_may_become_empty() {
    let mut model = group();
    let file = serde_json::from_value(serde_json::json!({ "kind": "image", "url": "https://a.example/x" })).unwrap();
    let request =
        model.send_new(MEMBER, NewMessage { content: "look".into(), attachments: vec![file], ..NewMessage::default() });
    let id = request.message_id;
    model.apply_one(request);
    model.apply_one(edit(&model, MEMBER, id, ""));
    let message = model.message(id).unwrap();
    assert_eq!((message.content.as_str(), message.attachments.len()), ("", 1));
    model.apply_one(delete(&model, MEMBER, id));
    assert!(model.message(id).unwrap().attachments.is_empty());
}

#[test]
fn reacting_twice_is_one_change_in_a_batch_and_later() {
    let mut model = group();
    let id = said(&mut model, OWNER, "a");
    let batch = [
        react(&model, MEMBER, id, "👍", true),
        react(&model, MEMBER, id, "👍", true),
        react(&model, ADMIN, id, "👍", true),
        react(&model, MEMBER, id, "🎉", false),
        react(&model, OUTSIDER, id, "👍", true),
    ];
    let outcomes = model.apply(&batch);
    let change = ReactionChange { user_id: model.users[MEMBER], emoji: "👍".into() };
    assert_eq!(updated(&outcomes[0]).reaction, Some(Reacted { change: change.clone(), added: true }));
    assert_eq!(updated(&outcomes[0]).message.reactions[0].count, 1, "as this change left it");
    assert_eq!(updated(&outcomes[2]).message.reactions[0].count, 2);
    assert!(matches!(outcomes[1], Outcome::InBatch(_)) && matches!(outcomes[3], Outcome::InBatch(_)), "{outcomes:?}");
    assert_eq!(code(outcomes.into_iter().nth(4).unwrap()), ErrorCode::NotFound);
    assert_eq!(model.row().last_seq, 4);
    assert!(matches!(model.apply_one(react(&model, MEMBER, id, "👍", true)), Outcome::Found(_)));
    let gone = model.apply_one(react(&model, MEMBER, id, "👍", false));
    assert_eq!(updated(&gone).reaction, Some(Reacted { change, added: false }));
    assert!(matches!(model.apply_one(react(&model, MEMBER, id, "👍", false)), Outcome::Found(_)));
    assert_eq!(model.row().last_seq, 5);
}

#[test]
fn a_message_has_at_most_twenty_different_emoji() {
    let mut model = group();
    let id = said(&mut model, OWNER, "a");
    let batch: Vec<_> = (0..21).map(|number| react(&model, MEMBER, id, &format!("e{number}"), true)).collect();
    let mut outcomes = model.apply(&batch);
    assert_eq!(code(outcomes.remove(20)), ErrorCode::LimitReached);
    assert!(
        matches!(model.apply_one(react(&model, ADMIN, id, "e7", true)), Outcome::Updated(_)),
        "it is there already"
    );
    assert_eq!(code(model.apply_one(react(&model, ADMIN, id, "new", true))), ErrorCode::LimitReached);
    let batch = [react(&model, MEMBER, id, "e0", false), react(&model, ADMIN, id, "new", true)];
    assert!(model.apply(&batch).iter().all(|outcome| matches!(outcome, Outcome::Updated(_))));
}

#[test]
fn a_tombstone_has_no_reactions_and_no_pin() {
    let mut model = group();
    let id = said(&mut model, OWNER, "a");
    let batch = [
        react(&model, MEMBER, id, "👍", true),
        pin(&model, ADMIN, id, true),
        delete(&model, OWNER, id),
        react(&model, MEMBER, id, "🎉", true),
        react(&model, MEMBER, id, "👍", false),
        pin(&model, ADMIN, id, true),
    ];
    let mut outcomes = model.apply(&batch);
    let state = |outcome: &Outcome| {
        let message = &updated(outcome).message;
        (message.reactions.len(), message.pinned_at.is_some(), message.deleted_at.is_some())
    };
    assert_eq!(
        [state(&outcomes[0]), state(&outcomes[1]), state(&outcomes[2])],
        [(1, false, false), (1, true, false), (0, false, true)]
    );
    assert_eq!(code(outcomes.remove(5)), ErrorCode::MessageDeleted);
    assert_eq!(code(outcomes.remove(4)), ErrorCode::MessageDeleted);
    assert_eq!(code(outcomes.remove(3)), ErrorCode::MessageDeleted);
    assert_eq!(model.row().pin_count, 0);
}

#[test]
fn as_many_messages_are_pinned_as_may_be() {
    let mut model = group();
    let ids: Vec<_> = ["a", "b", "c"].iter().map(|text| said(&mut model, MEMBER, text)).collect();
    let batch = [
        pin(&model, MEMBER, ids[0], true),
        pin(&model, ADMIN, ids[0], true),
        pin(&model, ADMIN, ids[0], true),
        pin(&model, ADMIN, ids[1], true),
        pin(&model, ADMIN, ids[2], true),
        pin(&model, ADMIN, ids[0], false),
        pin(&model, ADMIN, ids[2], true),
    ];
    let mut outcomes = model.apply(&batch);
    assert!(matches!(outcomes[2], Outcome::InBatch(_)));
    assert!(matches!(outcomes[6], Outcome::Updated(_)));
    assert_eq!(code(outcomes.remove(4)), ErrorCode::LimitReached);
    assert_eq!(code(outcomes.remove(0)), ErrorCode::Forbidden);
    assert_eq!(model.row().pin_count, 2);
    assert!(matches!(model.apply_one(pin(&model, ADMIN, ids[2], true)), Outcome::Found(_)), "full, but it is pinned");
    assert!(matches!(model.apply_one(pin(&model, ADMIN, ids[0], false)), Outcome::Found(_)));
    model.apply_one(delete(&model, MEMBER, ids[2]));
    assert_eq!(model.row().pin_count, 1);
}

#[test]
fn in_slow_mode_the_second_message_of_a_member_waits_within_a_batch_and_after_a_return() {
    let mut model = group();
    let slow = ConversationPatch { slow_mode_seconds: Some(10), ..ConversationPatch::default() };
    let batch = [
        model.send(MEMBER, "before", None),
        patch(&model, ADMIN, slow.clone()),
        model.send(MEMBER, "too soon", Some("1")),
        model.send(ADMIN, "a", None),
        model.send(ADMIN, "b", None),
        patch(&model, ADMIN, slow),
    ];
    let mut outcomes = model.apply(&batch);
    assert!(matches!(outcomes[5], Outcome::Quiet), "it is so already");
    let refused = error(outcomes.remove(2));
    assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::SlowMode, Some(10_000)));
    assert!(matches!(outcomes[2], Outcome::Inserted(_)) && matches!(outcomes[3], Outcome::Inserted(_)));
    let back = [
        model.request(MEMBER, Kind::RemoveParticipant { user: model.users[MEMBER] }),
        model.request(ADMIN, Kind::AddParticipants { users: vec![model.users[MEMBER]] }),
        model.send(MEMBER, "I am new here", None),
    ];
    assert_eq!(code(model.apply_at(&back, later(9)).remove(2)), ErrorCode::SlowMode);
    let first = model.send(MEMBER, "now", Some("2"));
    assert!(matches!(model.apply_at(std::slice::from_ref(&first), later(10))[..], [Outcome::Inserted(_)]));
    let retry = Request { message_id: MessageId::generate(), ..first };
    assert!(matches!(model.apply_at(&[retry], later(10))[..], [Outcome::Found(_)]), "a retry waits for nothing");
}

#[test]
fn an_archived_conversation_is_silent_until_it_is_taken_out() {
    let mut model = group();
    let id = said(&mut model, MEMBER, "a");
    let archive = |model: &Model, actor, archived| {
        patch(model, actor, ConversationPatch { archived: Some(archived), ..ConversationPatch::default() })
    };
    let batch = [
        archive(&model, MEMBER, true),
        archive(&model, ADMIN, true),
        archive(&model, ADMIN, true),
        model.send(OWNER, "hello?", None),
        react(&model, OWNER, id, "👍", true),
        pin(&model, OWNER, id, true),
        archive(&model, OWNER, false),
        model.send(MEMBER, "here again", None),
    ];
    let message = |number: usize| batch[number].message_id;
    let mut outcomes = model.apply(&batch);
    assert!(matches!(outcomes.remove(7), Outcome::Inserted(_)));
    assert_eq!(model.message(message(6)).unwrap().system, Some(SystemChange::ConversationUnarchived));
    for number in [5, 4, 3] {
        assert_eq!(code(outcomes.remove(number)), ErrorCode::Archived);
    }
    assert!(matches!(outcomes.remove(2), Outcome::Quiet));
    assert_eq!(model.message(message(1)).unwrap().system, Some(SystemChange::ConversationArchived));
    assert_eq!(code(outcomes.remove(0)), ErrorCode::Forbidden);
    let mut direct = Model::new(Direct, 0, 0);
    assert_eq!(code(direct.apply_one(archive(&direct, OWNER, true))), ErrorCode::WrongKind);
}

#[test]
fn where_one_blocked_the_other_nothing_new_is_said() {
    let mut model = Model::new(Direct, 0, 0);
    let id = said(&mut model, OWNER, "a");
    model.apply_one(react(&model, ADMIN, id, "👍", true));
    model.row_mut().blocked = true;
    assert_eq!(code(model.apply_one(model.send(OWNER, "b", None))), ErrorCode::Blocked);
    assert_eq!(code(model.apply_one(react(&model, ADMIN, id, "🎉", true))), ErrorCode::Blocked);
    assert_eq!(code(model.apply_one(react(&model, ADMIN, id, "👍", false))), ErrorCode::Blocked);
    assert_eq!(code(model.apply_one(edit(&model, OWNER, id, "b"))), ErrorCode::Blocked);
    assert!(matches!(model.apply_one(delete(&model, OWNER, id)), Outcome::Updated(_)));
}

#[test]
fn a_reaction_or_pin_that_was_committed_without_an_answer_is_not_done_twice() {
    let mut model = group();
    let id = said(&mut model, OWNER, "a");
    let requests = [react(&model, MEMBER, id, "👍", true), pin(&model, ADMIN, id, true), edit(&model, OWNER, id, "b")];
    model.apply(&requests);
    let state = model.state();
    let again: Vec<_> = requests.into_iter().map(|request| Request { again: true, ..request }).collect();
    for outcome in model.apply(&again) {
        assert!(matches!(outcome, Outcome::Found(_)), "{outcome:?}");
    }
    assert_eq!(model.state(), state);
}
