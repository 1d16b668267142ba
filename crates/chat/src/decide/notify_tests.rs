//! Who is notified of what, as sentences and as a table of reasons not to.

use ConversationKind::Group;
use protocol::{
    ConversationKind, MentionRange, MessageId, NotificationKind, NotificationPreferences, Notify, Timestamp, UserId,
};

use super::model::{Model, now};
use crate::{
    change::{Kind, NewMessage, Request},
    mentions::Mentions,
};

const OWNER: usize = 0;
const ADMIN: usize = 1;
const MEMBER: usize = 2;
const OUTSIDER: usize = 4;

fn group() -> Model {
    Model::new(Group, 2, 2)
}

fn sent(model: &mut Model, actor: usize, new: NewMessage) -> MessageId {
    let request = model.send_new(actor, NewMessage { content: "abc".into(), ..new });
    let id = request.message_id;
    model.apply_one(request);
    assert!(model.message(id).is_some());
    id
}

fn naming(users: &[Option<UserId>]) -> NewMessage {
    let ranges = (0..).zip(users).map(|(offset, user_id)| MentionRange { offset, length: 1, user_id: *user_id });
    NewMessage { mentions: Mentions::Named(ranges.collect()), ..NewMessage::default() }
}

/// Who was told of a message, by their number.
fn told(model: &Model, message: MessageId) -> Vec<(usize, NotificationKind)> {
    let number = |user: &UserId| model.users.iter().position(|id| id == user).unwrap();
    let of_it = model.told.iter().filter(|(_, id, _)| *id == message);
    of_it.map(|(user, _, kind)| (number(user), *kind)).collect()
}

#[test]
fn a_mention_by_name_and_a_reply_notify_once_each_and_a_mention_comes_before_a_reply() {
    use NotificationKind::{Mention, Reply};
    let mut model = group();
    let users = model.users.clone();
    let root = sent(&mut model, MEMBER, NewMessage::default());
    let quoted = sent(&mut model, ADMIN, NewMessage { thread_root: Some(root), ..NewMessage::default() });
    assert_eq!(told(&model, root), [], "a plain message notifies nobody");
    assert_eq!(told(&model, quoted), [(MEMBER, Reply)]);
    let new = NewMessage { thread_root: Some(root), reply_to: Some(quoted), ..naming(&[Some(users[ADMIN]), None]) };
    let answer = sent(&mut model, OWNER, new);
    assert_eq!(told(&model, answer), [(ADMIN, Mention), (MEMBER, Reply)], "everybody is derived, not stored");
    let myself = NewMessage { reply_to: Some(root), ..naming(&[Some(users[MEMBER])]) };
    let own = sent(&mut model, MEMBER, myself);
    assert_eq!(told(&model, own), [], "nobody is told of what they did");
    let twice = sent(&mut model, OWNER, naming(&[Some(users[MEMBER]), Some(users[MEMBER])]));
    assert_eq!(told(&model, twice), [(MEMBER, Mention)]);
}

#[test]
fn an_edit_notifies_nobody() {
    let mut model = group();
    let id = sent(&mut model, OWNER, NewMessage::default());
    let mentions = naming(&[Some(model.users[MEMBER])]).mentions;
    model.apply_one(model.request(OWNER, Kind::Edit { message: id, content: "abc".into(), mentions }));
    assert_eq!(model.message(id).unwrap().mentions.len(), 1);
    assert_eq!(told(&model, id), []);
}

type Change = Box<dyn Fn(&mut Model)>;

#[test]
fn who_does_not_want_to_be_told_or_must_not_be_is_not() {
    let soon = Timestamp::from_unix_millis(now().unix_millis() + 1).unwrap();
    let settings = |notify, muted_until| NotificationPreferences { notify, muted_until };
    let row = |change: fn(&mut store::LockedParticipant, Timestamp)| -> Change {
        Box::new(move |model| {
            let key = (model.here, model.users[MEMBER]);
            change(model.locked.participants.get_mut(&key).unwrap(), soon);
        })
    };
    let own = |preferences: NotificationPreferences| -> Change {
        Box::new(move |model| {
            model.locked.preferences.insert(model.users[MEMBER], preferences);
        })
    };
    let block = |from: usize, whom: usize| -> Change {
        Box::new(move |model| {
            model.locked.blocks.insert((model.users[from], model.users[whom]));
        })
    };
    // What, whether a mention notifies, whether being added (again) does.
    let cases: Vec<(&str, Change, bool, bool)> = vec![
        ("nothing special", Box::new(|_| {}), true, true),
        ("the conversation says mentions", row(|row, _| row.notify = Notify::Mentions), true, true),
        ("the conversation says none", row(|row, _| row.notify = Notify::None), false, true),
        ("the conversation is muted", row(|row, soon| row.muted_until = Some(soon)), false, true),
        ("it was muted until now", row(|row, _| row.muted_until = Some(now())), true, true),
        ("the user says mentions", own(settings(Notify::Mentions, None)), true, true),
        ("the user says none", own(settings(Notify::None, None)), false, false),
        ("the user is muted", own(settings(Notify::All, Some(soon))), false, false),
        ("the user was muted until now", own(settings(Notify::All, Some(now()))), true, true),
        ("the user blocked the actor", block(MEMBER, OWNER), false, false),
        ("the actor blocked the user", block(OWNER, MEMBER), true, true),
        ("the user is disabled", Box::new(|model| model.user_mut(MEMBER).disabled_at = Some(now())), false, false),
    ];
    for (name, change, mention, added) in cases {
        let mut model = group();
        let root = sent(&mut model, MEMBER, NewMessage::default());
        change(&mut model);
        let member = model.users[MEMBER];
        let id = sent(&mut model, OWNER, naming(&[Some(member)]));
        assert_eq!(!told(&model, id).is_empty(), mention, "mentioned: {name}");
        let id = sent(&mut model, OWNER, NewMessage { reply_to: Some(root), ..NewMessage::default() });
        assert_eq!(!told(&model, id).is_empty(), mention, "answered: {name}");
        model.apply_one(model.request(OWNER, Kind::RemoveParticipant { user: member }));
        let add = model.request(OWNER, Kind::AddParticipants { users: vec![member] });
        let id = add.message_id;
        model.apply_one(add);
        assert_eq!(!told(&model, id).is_empty(), added, "added: {name}");
    }
}

#[test]
fn who_looks_at_the_conversation_or_has_left_it_is_not_notified() {
    let mut model = group();
    let users = model.users.clone();
    let root = sent(&mut model, MEMBER, NewMessage::default());
    let focused = NewMessage {
        focused: vec![users[MEMBER]],
        reply_to: Some(root),
        ..naming(&[Some(users[MEMBER]), Some(users[ADMIN])])
    };
    let id = sent(&mut model, OWNER, focused);
    assert_eq!(told(&model, id), [(ADMIN, NotificationKind::Mention)]);
    model.apply_one(model.request(OWNER, Kind::RemoveParticipant { user: users[MEMBER] }));
    let id = sent(&mut model, OWNER, NewMessage { reply_to: Some(root), ..NewMessage::default() });
    assert_eq!(told(&model, id), []);
}

#[test]
fn being_added_notifies_those_who_are_new_here_and_joining_nobody() {
    let mut model = group();
    let users = vec![model.users[MEMBER], model.users[OUTSIDER], model.users[OUTSIDER + 1]];
    let add = model.request(ADMIN, Kind::AddParticipants { users });
    let id = add.message_id;
    model.apply_one(add);
    assert_eq!(told(&model, id), [(OUTSIDER, NotificationKind::Added), (OUTSIDER + 1, NotificationKind::Added)]);
    let mut room = Model::new(ConversationKind::Public, 0, 1);
    room.apply_one(room.request(2, Kind::Join));
    assert!(room.told.is_empty());
}

#[test]
fn a_retry_notifies_nobody_again_and_a_decision_is_the_same_twice() {
    let mut model = group();
    let request = model.send_new(
        OWNER,
        NewMessage { content: "abc".into(), client_id: Some("1".into()), ..naming(&[Some(model.users[MEMBER])]) },
    );
    let ids = |model: &Model| {
        let (writes, _) = super::decide([&request], &model.limits, now(), &model.locked);
        writes.notifications.iter().map(|told| told.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&model).len(), 1);
    assert_eq!(ids(&model), ids(&model));
    assert_eq!(ids(&model)[0].0.get_version_num(), 7);
    model.apply(&[request.clone(), Request { message_id: MessageId::generate(), ..request.clone() }]);
    assert_eq!(model.told.len(), 1);
    model.apply_one(Request { again: true, ..request.clone() });
    assert_eq!(model.told.len(), 1);
}
