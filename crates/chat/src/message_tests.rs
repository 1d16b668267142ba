//! Sending, reacting, pinning and being told of it over the real embedded store and the in-process bus: what a caller
//! would notice. The rules themselves are tested in `decide` and `policy`.

use bus::{NodePresence, Topic};
use protocol::{
    Attachment, AttachmentKind, ConversationFilter, ConversationId, ConversationKind, ConversationPatch, EditMessage,
    ErrorCode, MentionRange, Message, NodeId, NotificationKind, PresenceState, SendMessage,
};
use serde_json::json;

use crate::{
    Caller,
    testing::{World, code, field, text},
};

async fn trio(world: &World) -> (Caller, Caller, Caller, ConversationId) {
    let (ann, ben, cat) = (world.user("ann").await, world.user("ben").await, world.user("cat").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben, &cat]).await;
    (ann, ben, cat, room)
}

async fn direct(world: &World, one: &Caller, other: &Caller) -> crate::Result<(protocol::Conversation, bool)> {
    let body = json!({ "kind": "direct", "participant_ids": [other.user.id] });
    world.chat.create_conversation(one, serde_json::from_value(body).unwrap(), None).await
}

async fn send(world: &World, who: &Caller, room: ConversationId, request: SendMessage) -> Message {
    crate::Told::into_message(world.chat.send(who, room, request).await.unwrap().0)
}

/// Why the caller was notified, oldest first.
async fn notified(world: &World, who: &Caller) -> Vec<NotificationKind> {
    let list = world.chat.notifications(who, false, None, None).await.unwrap();
    list.items.iter().rev().map(|notification| notification.kind).collect()
}

/// Connected, with this conversation on the screen.
async fn focus(world: &World, node: NodeId, who: &Caller, focus: Vec<ConversationId>) {
    let said = NodePresence { user: who.user.id, state: PresenceState::Online, focus };
    world.bus.hold_lease(node, std::time::Duration::from_mins(1)).await.unwrap();
    world.bus.set_presence(node, &[said]).await.unwrap();
}

#[tokio::test]
async fn names_in_a_text_become_mentions_and_the_named_are_told() {
    let world = World::start().await;
    let (ann, ben, cat, room) = trio(&world).await;
    world.user("eve").await;
    let message = world.say(&ann, room, "😀 @Ben, @eve and @all: hello").await;
    let mentions: Vec<_> =
        message.mentions.iter().map(|m| (m.offset, m.length, m.user.as_ref().map(|user| user.id))).collect();
    assert_eq!(mentions, [(3, 4, Some(ben.user.id)), (18, 4, None)]);
    assert_eq!(notified(&world, &ben).await, [NotificationKind::Added, NotificationKind::Mention]);
    assert_eq!(notified(&world, &cat).await, [NotificationKind::Added], "everybody is not told by a row each");
    for who in [&ben, &cat] {
        assert_eq!(world.chat.conversation(who, room).await.unwrap().mention_count, 1);
    }
    let edit = EditMessage { content: "never mind".into(), ..EditMessage::default() };
    assert!(world.chat.edit(&ann, message.id, edit).await.unwrap().mentions.is_empty());
    assert_eq!(world.chat.conversation(&ben, room).await.unwrap().mention_count, 0);
}

#[tokio::test]
async fn named_mentions_are_checked_and_an_empty_list_means_none() {
    let world = World::start().await;
    let (ann, ben, cat, room) = trio(&world).await;
    let eve = world.user("eve").await;
    let with = |ranges: Vec<MentionRange>| SendMessage { mentions: Some(ranges), ..text("@ben!", None) };
    let range = |user: &Caller| MentionRange { offset: 0, length: 4, user_id: Some(user.user.id) };
    assert!(send(&world, &ann, room, with(Vec::new())).await.mentions.is_empty());
    assert_eq!(
        send(&world, &ann, room, with(vec![range(&cat)])).await.mentions[0].user.as_ref().unwrap().id,
        cat.user.id
    );
    assert_eq!(field(world.chat.send(&ann, room, with(vec![range(&eve)])).await), "mentions");
    let past = MentionRange { length: 6, ..range(&ben) };
    assert_eq!(field(world.chat.send(&ann, room, with(vec![past])).await), "mentions");
    let everybody = MentionRange { user_id: None, ..range(&ben) };
    assert_eq!(code(world.chat.send(&ben, room, with(vec![everybody])).await), ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_reply_in_a_thread_tells_those_it_answers_unless_they_look_at_it() {
    let world = World::start().await;
    let (ann, ben, cat, room) = trio(&world).await;
    let root = world.say(&ben, room, "root").await;
    let in_thread = SendMessage { thread_root_id: Some(root.id), ..text("first", None) };
    let first = send(&world, &cat, room, in_thread.clone()).await;
    assert_eq!(first.thread_root_id, Some(root.id));
    assert_eq!(notified(&world, &ben).await, [NotificationKind::Added, NotificationKind::Reply]);
    let thread = world.chat.message(&ann, root.id).await.unwrap().thread.unwrap();
    assert_eq!((thread.reply_count, thread.last_repliers[0].id), (1, cat.user.id));

    focus(&world, NodeId::generate(), &ben, vec![room]).await;
    let both = SendMessage { reply_to_id: Some(first.id), ..in_thread };
    send(&world, &ann, room, both.clone()).await;
    assert_eq!(notified(&world, &ben).await.len(), 2, "it is on the screen");
    assert_eq!(notified(&world, &cat).await.last(), Some(&NotificationKind::Reply));

    let again = SendMessage { client_id: Some("1".into()), ..both };
    send(&world, &ann, room, again.clone()).await;
    let before = notified(&world, &cat).await.len();
    assert!(!world.chat.send(&ann, room, again).await.unwrap().1);
    assert_eq!(notified(&world, &cat).await.len(), before, "a retry tells nobody again");
}

#[tokio::test]
async fn a_message_of_files_needs_no_text() {
    let world = World::start().await;
    let (ann, _, _, room) = trio(&world).await;
    let file = Attachment {
        kind: AttachmentKind::Image,
        url: "https://a.example/x.png".into(),
        name: Some("x.png".into()),
        media_type: None,
        byte_size: Some(7),
        width: None,
        height: None,
        duration_ms: None,
        thumbnail_url: None,
    };
    let files = SendMessage { attachments: vec![file.clone()], client_id: Some("1".into()), ..SendMessage::default() };
    let message = send(&world, &ann, room, files.clone()).await;
    assert_eq!((message.content.as_str(), &message.attachments[..]), ("", &[file.clone()][..]));
    let other = SendMessage { attachments: vec![Attachment { name: None, ..file.clone() }], ..files.clone() };
    assert_eq!(code(world.chat.send(&ann, room, other).await), ErrorCode::IdempotencyConflict);
    let script = Attachment { url: "javascript:x".into(), ..file };
    let bad = SendMessage { attachments: vec![script], client_id: None, ..files };
    assert_eq!(field(world.chat.send(&ann, room, bad).await), "attachments.0.url");
    let empty = EditMessage::default();
    assert_eq!(field(world.chat.edit(&ann, world.say(&ann, room, "a").await.id, empty.clone()).await), "content");
    let captioned = EditMessage { content: "look".into(), ..empty.clone() };
    assert_eq!(world.chat.edit(&ann, message.id, captioned).await.unwrap().content, "look");
    assert_eq!(world.chat.edit(&ann, message.id, empty).await.unwrap().content, "");
}

#[tokio::test]
async fn a_reaction_is_an_event_of_its_own_and_its_answer_says_which_are_mine() {
    let mut world = World::start().await;
    let (ann, ben, _, room) = trio(&world).await;
    let message = world.say(&ann, room, "a").await;
    world.listen(Topic::Conversation(room)).await;
    // Written without its variation selector, as some keyboards do.
    let reacted = world.chat.react(&ben, message.id, "\u{2764}", true).await.unwrap();
    assert_eq!((reacted.reactions[0].emoji.as_str(), reacted.reactions[0].mine), ("\u{2764}\u{fe0f}", Some(true)));
    let (event, frame) = world.heard_event().await;
    assert_eq!((event.seq, event.place, frame["type"].as_str()), (Some(3), Some(2), Some("reaction.added")));
    assert_eq!(frame["data"]["reaction"], json!({ "user_id": ben.user.id, "emoji": "\u{2764}\u{fe0f}" }));
    assert_eq!(
        frame["data"]["reactions"][0],
        json!({ "emoji": "\u{2764}\u{fe0f}", "count": 1, "user_ids": [ben.user.id] })
    );

    let seen_by_ann = world.chat.react(&ann, message.id, "👍", true).await.unwrap();
    let mine: Vec<_> = seen_by_ann.reactions.iter().map(|reaction| reaction.mine).collect();
    assert_eq!(mine, [Some(false), Some(true)]);
    assert_eq!(world.heard_event().await.0.seq, Some(4));
    let again = world.chat.react(&ann, message.id, "👍", true).await.unwrap();
    assert_eq!((again.changed_seq, again.reactions.len()), (4, 2), "nothing changed");
    assert_eq!(world.heard_event().await.0.seq, Some(4), "told once more, for nodes that missed it");

    world.chat.react(&ben, message.id, "\u{2764}\u{fe0f}", false).await.unwrap();
    let (event, frame) = world.heard_event().await;
    assert_eq!((event.seq, frame["type"].as_str()), (Some(5), Some("reaction.removed")));
    assert_eq!(field(world.chat.react(&ben, message.id, "x", true).await), "emoji");
    let edit = EditMessage { content: "b".into(), ..EditMessage::default() };
    let edited = world.chat.edit(&ann, message.id, edit).await.unwrap();
    assert_eq!(edited.reactions[0].mine, Some(true));
    assert!(world.chat.delete(&ann, message.id).await.unwrap().reactions.is_empty());
}

#[tokio::test]
async fn pins_are_for_admins_of_a_group_and_for_both_of_a_pair() {
    let world = World::start().await;
    let (ann, ben, _, room) = trio(&world).await;
    let message = world.say(&ben, room, "a").await;
    assert_eq!(code(world.chat.pin(&ben, message.id, true).await), ErrorCode::Forbidden);
    assert!(world.chat.pin(&ann, message.id, true).await.unwrap().pinned_at.is_some());
    assert_eq!(world.chat.pin(&ann, message.id, true).await.unwrap().changed_seq, 3);
    assert_eq!(world.chat.pins(&ben, room).await.unwrap().items.len(), 1);
    assert_eq!(world.chat.pin(&ann, message.id, false).await.unwrap().pinned_at, None);
    assert!(world.chat.pins(&ben, room).await.unwrap().items.is_empty());
    let pair = direct(&world, &ann, &ben).await.unwrap().0.id;
    let said = world.say(&ann, pair, "b").await;
    assert!(world.chat.pin(&ben, said.id, true).await.unwrap().pinned_at.is_some());
}

#[tokio::test]
async fn a_block_stops_what_is_new_between_the_two() {
    let world = World::start().await;
    let (ann, ben, cat, room) = trio(&world).await;
    let pair = direct(&world, &ann, &ben).await.unwrap().0.id;
    let said = world.say(&ann, pair, "a").await;
    focus(&world, NodeId::generate(), &ben, Vec::new()).await;
    let presence = async |who: &Caller| world.chat.conversation(who, pair).await.unwrap().other_presence;
    assert_eq!(presence(&ann).await.map(|presence| presence.state), Some(PresenceState::Online));
    world.chat.set_blocked(&ben, ann.user.id, true).await.unwrap();
    for who in [&ann, &ben] {
        assert_eq!(code(world.chat.send(who, pair, text("b", None)).await), ErrorCode::Blocked);
        assert_eq!(code(world.chat.react(who, said.id, "👍", true).await), ErrorCode::Blocked);
        assert_eq!(presence(who).await, None);
    }
    let (found, made) = direct(&world, &ann, &ben).await.unwrap();
    assert_eq!((found.id, made), (pair, false), "what is there is found");
    world.chat.set_blocked(&cat, ann.user.id, true).await.unwrap();
    assert_eq!(code(direct(&world, &ann, &cat).await), ErrorCode::Blocked);
    assert_eq!(code(direct(&world, &cat, &ann).await), ErrorCode::Blocked);
    let before = notified(&world, &cat).await.len();
    world.say(&ann, room, "@cat @ben").await;
    assert_eq!(notified(&world, &cat).await.len(), before);
    assert_eq!(world.chat.conversation(&cat, room).await.unwrap().mention_count, 1, "it is a mention all the same");
    let others = [&cat];
    world.room(ConversationKind::Group, &ann, &others).await;
    assert_eq!(notified(&world, &cat).await.len(), before);
}

#[tokio::test]
async fn the_list_tells_who_of_the_others_is_there() {
    let world = World::start().await;
    let (ann, ben, cat, _) = trio(&world).await;
    for other in [&ben, &cat] {
        direct(&world, &ann, other).await.unwrap();
    }
    focus(&world, NodeId::generate(), &cat, Vec::new()).await;
    let page = world.chat.conversations(&ann, &ConversationFilter::default(), None, None).await.unwrap();
    let told: Vec<_> = page
        .items
        .iter()
        .map(|item| (item.other.as_ref().map(|user| user.id), item.other_presence.map(|presence| presence.state)))
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&(None, None)), "{told:?}");
    assert!(told.contains(&(Some(ben.user.id), Some(PresenceState::Offline))), "{told:?}");
    assert!(told.contains(&(Some(cat.user.id), Some(PresenceState::Online))), "{told:?}");
}

#[tokio::test]
async fn slow_mode_and_the_archive_are_told_with_their_codes() {
    let world = World::start().await;
    let (ann, ben, _, room) = trio(&world).await;
    let slow = ConversationPatch { slow_mode_seconds: Some(600), ..ConversationPatch::default() };
    assert_eq!(world.chat.update_conversation(&ann, room, slow).await.unwrap().slow_mode_seconds, 600);
    world.say(&ben, room, "a").await;
    let error = world.chat.send(&ben, room, text("b", None)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SlowMode);
    assert!(error.retry_after_ms.is_some_and(|wait| (1..=600_000).contains(&wait)), "{error:?}");
    world.say(&ann, room, "c").await;
    world.say(&ann, room, "admins are free").await;
    let archive = |archived| ConversationPatch { archived: Some(archived), ..ConversationPatch::default() };
    assert!(world.chat.update_conversation(&ann, room, archive(true)).await.unwrap().archived_at.is_some());
    assert_eq!(code(world.chat.send(&ann, room, text("d", None)).await), ErrorCode::Archived);
    assert_eq!(world.chat.update_conversation(&ann, room, archive(false)).await.unwrap().archived_at, None);
    world.say(&ann, room, "d").await;
    let pair = direct(&world, &ann, &ben).await.unwrap().0.id;
    assert_eq!(code(world.chat.update_conversation(&ann, pair, archive(true)).await), ErrorCode::WrongKind);
    let both = ConversationPatch { title: Some("x".into()), ..archive(true) };
    assert_eq!(field(world.chat.update_conversation(&ann, room, both).await), "archived");
}

#[tokio::test]
async fn who_is_taken_into_a_new_group_is_told_and_in_a_direct_conversation_is_not() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    direct(&world, &ann, &ben).await.unwrap();
    assert!(notified(&world, &ben).await.is_empty());
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let list = world.chat.notifications(&ben, true, None, None).await.unwrap();
    assert_eq!(
        (list.unread_count, list.items[0].kind, list.items[0].conversation_id),
        (1, NotificationKind::Added, room)
    );
    assert!(notified(&world, &ann).await.is_empty());
    world.listen(Topic::User(ben.user.id)).await;
    let (head, _) = world.chat.feed(ben.user.id, 0).await.unwrap();
    world.say(&ann, room, "@ben").await;
    let (topic, payload) = world.heard().await;
    let moved = crate::envelope::FeedMoved::decode(&payload).unwrap();
    assert_eq!((topic, moved.user_seq), (Topic::User(ben.user.id), head + 1), "a notification moves the feed by one");
}
