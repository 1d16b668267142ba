//! For any list of requests: places are dense and taken once, numbers never fall, and how the list is cut into
//! batches makes no difference. The model asserts the first two at each write.

use proptest::prelude::*;
use protocol::{ConversationKind, ConversationPatch, MentionRange, MessageKind, Posting, Role};

use super::model::Model;
use crate::{
    change::{Kind, NewMessage, Request},
    mentions::Mentions,
};

/// A request in terms of a model that does not exist yet: users and messages by their number.
#[derive(Debug, Clone)]
enum Wish {
    Send(usize, u8),
    /// Who, in whose thread, in reply to which, mentioning whom (none: everybody).
    Answer(usize, Option<usize>, Option<usize>, Vec<Option<usize>>),
    React(usize, usize, usize, bool),
    Pin(usize, usize, bool),
    Archive(usize, bool),
    SlowMode(usize, bool),
    Edit(usize, usize),
    Delete(usize, usize),
    Add(usize, Vec<usize>),
    Remove(usize, usize),
    Join(usize),
    SetRole(usize, usize, Role),
    Update(usize, bool),
    Close(usize),
}

const USERS: usize = 7;
const OLD_MESSAGES: usize = 4;
const EMOJI: [&str; 3] = ["👍", "❤️", "🎉"];

fn wish() -> impl Strategy<Value = Wish> {
    let user = || 0..USERS;
    let old = || prop::option::of(0..OLD_MESSAGES);
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
    prop_oneof![
        6 => (user(), 0..20_u8).prop_map(|(user, text)| Wish::Send(user, text)),
        3 => (user(), 0..OLD_MESSAGES).prop_map(|(user, message)| Wish::Edit(user, message)),
        4 => (user(), old(), old(), prop::collection::vec(prop::option::weighted(0.8, user()), 0..2))
            .prop_map(|(user, root, quoted, mentioned)| Wish::Answer(user, root, quoted, mentioned)),
        6 => (user(), 0..OLD_MESSAGES, 0..EMOJI.len(), prop::bool::weighted(0.7))
            .prop_map(|(user, message, emoji, add)| Wish::React(user, message, emoji, add)),
        3 => (user(), 0..OLD_MESSAGES, prop::bool::weighted(0.7))
            .prop_map(|(user, message, pinned)| Wish::Pin(user, message, pinned)),
        1 => (user(), any::<bool>()).prop_map(|(user, archived)| Wish::Archive(user, archived)),
        1 => (user(), any::<bool>()).prop_map(|(user, slow)| Wish::SlowMode(user, slow)),
        2 => (user(), 0..OLD_MESSAGES).prop_map(|(user, message)| Wish::Delete(user, message)),
        2 => (user(), prop::collection::vec(user(), 1..4)).prop_map(|(user, users)| Wish::Add(user, users)),
        3 => (user(), user()).prop_map(|(user, other)| Wish::Remove(user, other)),
        2 => user().prop_map(Wish::Join),
        2 => (user(), user(), role).prop_map(|(user, other, role)| Wish::SetRole(user, other, role)),
        1 => (user(), any::<bool>()).prop_map(|(user, admins)| Wish::Update(user, admins)),
        1 => prop_oneof![19 => Just(Wish::Join(0)), 1 => user().prop_map(Wish::Close)],
    ]
}

fn start(kind: ConversationKind) -> (Model, Vec<protocol::MessageId>) {
    let mut model = Model::new(kind, 3, 2);
    let old: Vec<_> = (0..OLD_MESSAGES).map(|number| model.send(number, "old", None)).collect();
    model.apply(&old);
    (model, old.into_iter().map(|request| request.message_id).collect())
}

fn request(model: &Model, old: &[protocol::MessageId], wish: &Wish) -> Request {
    let id = |number: &usize| model.users[*number];
    match wish {
        // Few names, so that a retry and a conflict happen.
        Wish::Send(user, text) => model.send(*user, &format!("text {}", text / 2), Some(&format!("{}", text / 3))),
        Wish::Edit(user, message) => model.request(
            *user,
            Kind::Edit { message: old[*message], content: "edited".into(), mentions: Mentions::default() },
        ),
        Wish::Answer(user, root, quoted, mentioned) => {
            let range = |user: &Option<usize>| MentionRange { offset: 0, length: 1, user_id: user.as_ref().map(id) };
            let mentions = mentioned.iter().map(range).collect();
            let new = NewMessage {
                content: "answer".into(),
                thread_root: root.map(|number| old[number]),
                reply_to: quoted.map(|number| old[number]),
                mentions: Mentions::Named(mentions),
                ..NewMessage::default()
            };
            model.send_new(*user, new)
        }
        Wish::React(user, message, emoji, add) => {
            let (message, emoji) = (old[*message], EMOJI[*emoji].to_owned());
            model.request(*user, Kind::React { message, emoji, add: *add })
        }
        Wish::Pin(user, message, pinned) => model.request(*user, Kind::Pin { message: old[*message], pinned: *pinned }),
        Wish::Archive(user, archived) => {
            let patch = ConversationPatch { archived: Some(*archived), ..ConversationPatch::default() };
            model.request(*user, Kind::Update { patch })
        }
        Wish::SlowMode(user, slow) => {
            let pause = u32::from(*slow) * 10;
            let patch = ConversationPatch { slow_mode_seconds: Some(pause), ..ConversationPatch::default() };
            model.request(*user, Kind::Update { patch })
        }
        Wish::Delete(user, message) => model.request(*user, Kind::Delete { message: old[*message] }),
        Wish::Add(user, users) => model.request(*user, Kind::AddParticipants { users: users.iter().map(id).collect() }),
        Wish::Remove(user, other) => model.request(*user, Kind::RemoveParticipant { user: id(other) }),
        Wish::Join(user) => model.request(*user, Kind::Join),
        Wish::SetRole(user, other, role) => model.request(*user, Kind::SetRole { user: id(other), role: *role }),
        Wish::Update(user, admins) => {
            let posting = if *admins { Posting::Admins } else { Posting::Everyone };
            let patch = ConversationPatch { posting: Some(posting), ..ConversationPatch::default() };
            model.request(*user, Kind::Update { patch })
        }
        Wish::Close(user) => model.request(*user, Kind::DeleteConversation),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn however_a_list_is_cut_into_batches_the_end_is_the_same(
        public in any::<bool>(),
        wishes in prop::collection::vec(wish(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let kind = if public { ConversationKind::Public } else { ConversationKind::Group };
        let (mut whole, old) = start(kind);
        let (mut halves, mut single) = (whole.clone(), whole.clone());
        let requests: Vec<_> = wishes.iter().map(|wish| request(&whole, &old, wish)).collect();
        let at = cut.index(requests.len());

        whole.apply(&requests);
        halves.apply(&requests[..at]);
        halves.apply(&requests[at..]);
        for request in requests {
            single.apply_one(request);
        }

        prop_assert_eq!(whole.state(), halves.state());
        prop_assert_eq!(whole.state(), single.state());
        let last = 1 + whole.log.len() as u64;
        prop_assert_eq!(whole.row().last_seq, last);
        prop_assert!(whole.log.keys().copied().eq(2..=last), "a hole in {:?}", whole.log);
    }

    #[test]
    fn numbers_count_texts_alone(wishes in prop::collection::vec(wish(), 1..40)) {
        let (mut model, old) = start(ConversationKind::Group);
        let requests: Vec<_> = wishes.iter().map(|wish| request(&model, &old, wish)).collect();
        model.apply(&requests);
        let mut messages = model.messages();
        messages.sort_by_key(|message| message.seq);
        let mut last = 0;
        for message in messages {
            let expected = last + u64::from(message.kind == MessageKind::Text);
            prop_assert_eq!(message.number, expected);
            last = message.number;
        }
    }
}
