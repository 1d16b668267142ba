//! What one batch does, as sentences.

use ConversationKind::{Group, Public};
use protocol::{ConversationKind, ConversationPatch, ErrorCode, History, MessageId, Posting, Role, SystemChange};

use super::model::{Model, now};
use crate::{
    change::{Kind, NewMessage, Outcome, Request},
    mentions::Mentions,
};

const OWNER: usize = 0;
const ADMIN: usize = 1;
const MEMBER: usize = 2;
const OUTSIDER: usize = 3;

fn group() -> Model {
    Model::new(Group, 1, 2)
}

fn code(outcome: &Outcome) -> ErrorCode {
    match outcome {
        Outcome::Refused(error) => error.code,
        done => panic!("not refused: {done:?}"),
    }
}

fn inserted(outcome: &Outcome) -> MessageId {
    match outcome {
        Outcome::Inserted(id) => *id,
        other => panic!("nothing was inserted: {other:?}"),
    }
}

fn remove(model: &Model, actor: usize, user: usize) -> Request {
    model.request(actor, Kind::RemoveParticipant { user: model.users[user] })
}

fn add(model: &Model, actor: usize, users: &[usize]) -> Request {
    let users = users.iter().map(|number| model.users[*number]).collect();
    model.request(actor, Kind::AddParticipants { users })
}

fn delete(model: &Model, actor: usize, message: MessageId) -> Request {
    model.request(actor, Kind::Delete { message })
}

fn edit(model: &Model, actor: usize, message: MessageId, content: &str) -> Request {
    model.request(actor, Kind::Edit { message, content: content.into(), mentions: Mentions::default() })
}

#[test]
fn messages_take_dense_places_and_numbers_and_a_refused_one_takes_none() {
    let mut model = group();
    let batch = [model.send(MEMBER, "a", None), model.send(OUTSIDER, "no", None), model.send(OWNER, "b", None)];
    let outcomes = model.apply(&batch);
    let (a, b) = (inserted(&outcomes[0]), inserted(&outcomes[2]));
    assert_eq!(code(&outcomes[1]), ErrorCode::NotFound);
    let place = |id| model.message(id).map(|m| (m.seq, m.number, m.content.clone())).unwrap();
    assert_eq!((place(a), place(b)), ((2, 1, "a".into()), (3, 2, "b".into())));
}

#[test]
fn who_was_removed_earlier_in_the_batch_sends_nothing_more() {
    let mut model = group();
    let batch = [
        model.send(MEMBER, "last words", None),
        remove(&model, ADMIN, MEMBER),
        model.send(MEMBER, "too late", None),
        model.send(OWNER, "quiet now", None),
    ];
    let outcomes = model.apply(&batch);
    inserted(&outcomes[0]);
    let removal = model.message(inserted(&outcomes[1])).unwrap();
    assert!(matches!(&removal.system, Some(SystemChange::ParticipantRemoved { user }) if user.id == model.users[2]));
    assert_eq!(removal.number, 1, "a system message repeats the last number");
    assert_eq!(code(&outcomes[2]), ErrorCode::NotFound);
    assert_eq!(model.message(inserted(&outcomes[3])).map(|m| (m.seq, m.number)), Some((4, 2)));
    assert_eq!(model.row().access_seq, 3);
}

#[test]
fn a_retry_is_the_same_message_within_a_batch_and_later() {
    let mut model = group();
    let batch =
        [model.send(MEMBER, "a", Some("1")), model.send(MEMBER, "a", Some("1")), model.send(OWNER, "a", Some("1"))];
    let outcomes = model.apply(&batch);
    let first = inserted(&outcomes[0]);
    assert!(matches!(outcomes[1], Outcome::InBatch(id) if id == first));
    assert_ne!(inserted(&outcomes[2]), first, "another sender's client_id is another message");
    let again = model.apply_one(model.send(MEMBER, "a", Some("1")));
    assert!(matches!(&again, Outcome::Found(message) if message.id == first));
    let other = model.apply_one(model.send(MEMBER, "b", Some("1")));
    assert_eq!(code(&other), ErrorCode::IdempotencyConflict);
}

#[test]
fn a_retry_is_found_after_an_edit_a_deletion_and_a_lost_right_to_post() {
    let mut model = group();
    let first = inserted(&model.apply_one(model.send(MEMBER, "a", Some("1"))));
    model.apply_one(edit(&model, MEMBER, first, "b"));
    model.apply_one(delete(&model, MEMBER, first));
    model.row_mut().posting = Posting::Admins;
    match model.apply_one(model.send(MEMBER, "a", Some("1"))) {
        Outcome::Found(message) => assert!(message.id == first && message.deleted_at.is_some()),
        other => panic!("{other:?}"),
    }
    assert_eq!(code(&model.apply_one(model.send(MEMBER, "new", Some("2")))), ErrorCode::PostingRestricted);
}

#[test]
fn a_reply_quotes_a_message_of_this_conversation_that_is_still_there() {
    let mut model = group();
    let quoted = inserted(&model.apply_one(model.send(OWNER, "a", None)));
    let reply = |model: &Model, target| {
        let new = NewMessage { content: "re".into(), reply_to: Some(target), ..NewMessage::default() };
        model.send_new(MEMBER, new)
    };
    let batch = [
        reply(&model, quoted),
        reply(&model, MessageId::generate()),
        delete(&model, OWNER, quoted),
        reply(&model, quoted),
    ];
    let outcomes = model.apply(&batch);
    inserted(&outcomes[0]);
    assert_eq!(code(&outcomes[1]), ErrorCode::Invalid);
    assert_eq!(code(&outcomes[3]), ErrorCode::MessageDeleted);
}

#[test]
fn two_edits_and_a_deletion_in_one_batch_each_take_a_place() {
    let mut model = group();
    let id = inserted(&model.apply_one(model.send(MEMBER, "a", None)));
    let batch = [
        edit(&model, MEMBER, id, "b"),
        edit(&model, MEMBER, id, "c"),
        edit(&model, OWNER, id, "not mine"),
        delete(&model, ADMIN, id),
        delete(&model, MEMBER, id),
        edit(&model, MEMBER, id, "d"),
    ];
    let outcomes = model.apply(&batch);
    let seqs: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Updated(updated) => Some(updated.message.changed_seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [3, 4, 5]);
    assert_eq!(code(&outcomes[2]), ErrorCode::Forbidden);
    assert!(matches!(outcomes[4], Outcome::InBatch(tombstone) if tombstone == id));
    assert_eq!(code(&outcomes[5]), ErrorCode::MessageDeleted);
    let later = model.apply_one(delete(&model, MEMBER, id));
    assert!(matches!(&later, Outcome::Found(message) if message.deleted_at.is_some()), "{later:?}");
}

#[test]
fn adding_several_people_is_one_change_and_adding_them_again_none() {
    let mut model = group();
    let outcome = model.apply_one(add(&model, ADMIN, &[3, 4, 2, 3]));
    let message = model.message(inserted(&outcome)).unwrap();
    assert!(matches!(&message.system, Some(SystemChange::ParticipantAdded { users }) if users.len() == 2));
    assert_eq!((model.row().last_seq, model.row().participant_count), (2, 5));
    assert!(matches!(model.apply_one(add(&model, ADMIN, &[3, 4])), Outcome::Quiet));
    assert_eq!(code(&model.apply_one(add(&model, MEMBER, &[3]))), ErrorCode::Forbidden);
}

#[test]
fn a_stranger_of_another_org_cannot_be_added_and_nothing_of_the_request_is_done() {
    let mut model = group();
    model.user_mut(4).org_id = protocol::OrgId::generate();
    let outcome = model.apply_one(add(&model, OWNER, &[3, 4]));
    assert!(matches!(&outcome, Outcome::Refused(error) if error.errors[0].field == "user_ids"), "{outcome:?}");
    assert!(model.participant(3).is_none());
    assert_eq!(model.row().last_seq, 1);
}

#[test]
fn who_is_disabled_is_not_added_and_stays_where_they_are() {
    let mut model = group();
    model.user_mut(3).disabled_at = Some(now());
    model.user_mut(MEMBER).disabled_at = Some(now());
    let outcome = model.apply_one(add(&model, OWNER, &[3, 4]));
    assert!(matches!(&outcome, Outcome::Refused(error) if error.errors[0].field == "user_ids"), "{outcome:?}");
    assert!(model.participant(4).is_none());
    assert!(matches!(model.apply_one(add(&model, OWNER, &[MEMBER])), Outcome::Quiet));
}

#[test]
fn with_history_since_join_a_newcomer_reads_from_their_own_arrival() {
    let mut model = group();
    model.row_mut().history = History::SinceJoin;
    let old = inserted(&model.apply_one(model.send(OWNER, "secret", None)));
    model.apply_one(add(&model, OWNER, &[3]));
    assert_eq!(model.participant(3).map(|row| row.access_since_seq), Some(2), "the message that says so is 3");
    assert_eq!(code(&model.apply_one(delete(&model, 3, old))), ErrorCode::NotFound);
}

#[test]
fn coming_and_going_in_a_public_room_takes_no_place_and_a_removal_does() {
    let mut model = Model::new(Public, 1, 2);
    let join = model.request(OUTSIDER, Kind::Join);
    let batch = [
        model.send(OUTSIDER, "early", None),
        join.clone(),
        model.request(OUTSIDER, Kind::Join),
        remove(&model, OUTSIDER, OUTSIDER),
    ];
    let outcomes = model.apply(&batch);
    assert_eq!(code(&outcomes[0]), ErrorCode::NotAParticipant);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Quiet)), "{outcomes:?}");
    assert_eq!(model.row().last_seq, 1);
    assert_eq!(model.participant(OUTSIDER).map(|row| row.active), Some(false));
    model.apply_one(join);
    inserted(&model.apply_one(remove(&model, ADMIN, OUTSIDER)));
    assert_eq!(model.row().last_seq, 2);
    assert_eq!(code(&model.apply_one(add(&model, OWNER, &[4]))), ErrorCode::WrongKind);
}

#[test]
fn an_empty_room_belongs_to_the_next_who_comes() {
    let mut model = Model::new(Public, 0, 1);
    let (owner, admin) = (remove(&model, OWNER, OWNER), remove(&model, ADMIN, ADMIN));
    let outcomes = model.apply(&[owner.clone(), admin, owner]);
    assert_eq!(code(&outcomes[0]), ErrorCode::LastOwner);
    assert!(matches!(outcomes[2], Outcome::Quiet), "alone, the owner leaves: {outcomes:?}");
    model.apply_one(model.request(2, Kind::Join));
    assert_eq!(model.participant(2).map(|row| row.role), Some(Role::Owner));
}

#[test]
fn handing_over_lets_the_last_owner_go() {
    let mut model = group();
    let role = |model: &Model, actor: usize, user: usize, role| {
        model.request(actor, Kind::SetRole { user: model.users[user], role })
    };
    let batch = [
        role(&model, OWNER, OWNER, Role::Member),
        role(&model, ADMIN, MEMBER, Role::Owner),
        role(&model, OWNER, OUTSIDER, Role::Owner),
        role(&model, OWNER, MEMBER, Role::Owner),
        role(&model, OWNER, MEMBER, Role::Owner),
        remove(&model, OWNER, OWNER),
    ];
    let outcomes = model.apply(&batch);
    assert_eq!(code(&outcomes[0]), ErrorCode::LastOwner);
    assert_eq!(code(&outcomes[1]), ErrorCode::Forbidden);
    assert_eq!(code(&outcomes[2]), ErrorCode::NotFound);
    inserted(&outcomes[3]);
    assert!(matches!(outcomes[4], Outcome::Quiet));
    inserted(&outcomes[5]);
    assert_eq!((model.row().owner_count, model.row().participant_count), (1, 2));
}

#[test]
fn an_update_tells_what_changed_and_nothing_when_nothing_did() {
    let mut model = group();
    let patch = |title: &str, posting| ConversationPatch {
        title: Some(title.into()),
        posting: Some(posting),
        ..ConversationPatch::default()
    };
    let update = |model: &Model, actor, patch| model.request(actor, Kind::Update { patch });
    let batch = [
        update(&model, MEMBER, patch("mine", Posting::Everyone)),
        update(&model, ADMIN, patch("first", Posting::Admins)),
        update(&model, ADMIN, patch("second", Posting::Admins)),
        update(&model, ADMIN, patch("second", Posting::Admins)),
        model.send(MEMBER, "may I?", None),
    ];
    let outcomes = model.apply(&batch);
    assert_eq!(code(&outcomes[0]), ErrorCode::Forbidden);
    let changes = |id| match &model.message(id).unwrap().system {
        Some(SystemChange::ConversationUpdated { changes }) => changes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(changes(inserted(&outcomes[1])).title, None);
    assert_eq!(changes(inserted(&outcomes[2])).posting, None);
    assert!(matches!(outcomes[3], Outcome::Quiet));
    assert_eq!(code(&outcomes[4]), ErrorCode::PostingRestricted);
    assert_eq!((model.row().title.as_deref(), model.row().posting), (Some("second"), Posting::Admins));
    assert_eq!(model.row().access_seq, 2, "the policy changed, the title is no matter of access");
}

#[test]
fn a_deleted_conversation_is_gone_for_the_rest_of_the_batch() {
    let mut model = group();
    let batch = [
        model.request(ADMIN, Kind::DeleteConversation),
        model.request(OWNER, Kind::DeleteConversation),
        model.send(OWNER, "hello?", None),
    ];
    let outcomes = model.apply(&batch);
    assert_eq!(code(&outcomes[0]), ErrorCode::Forbidden);
    inserted(&outcomes[1]);
    assert_eq!(code(&outcomes[2]), ErrorCode::NotFound);
    assert_eq!(model.row().deleted_at, Some(now()));
}

#[test]
fn what_was_committed_without_an_answer_is_not_done_twice() {
    let mut model = group();
    let requests = [
        model.send(MEMBER, "a", None),
        add(&model, OWNER, &[3]),
        remove(&model, MEMBER, MEMBER),
        model.request(OWNER, Kind::DeleteConversation),
    ];
    model.apply(&requests);
    let state = model.state();
    let again: Vec<_> = requests.into_iter().map(|request| Request { again: true, ..request }).collect();
    for outcome in model.apply(&again) {
        assert!(matches!(outcome, Outcome::Found(_)), "{outcome:?}");
    }
    assert_eq!(model.state(), state);
}

#[test]
fn leaving_quietly_without_an_answer_is_fine_and_leaving_twice_is_not() {
    let mut model = Model::new(Public, 1, 0);
    let request = remove(&model, MEMBER, MEMBER);
    model.apply_one(request.clone());
    assert_eq!(code(&model.apply_one(request.clone())), ErrorCode::NotAParticipant);
    assert!(matches!(model.apply_one(Request { again: true, ..request }), Outcome::Quiet));
}

#[test]
fn a_disabled_user_does_nothing() {
    let mut model = group();
    model.user_mut(MEMBER).disabled_at = Some(now());
    assert_eq!(code(&model.apply_one(model.send(MEMBER, "a", None))), ErrorCode::UserDisabled);
}
