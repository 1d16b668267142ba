//! The use cases over the real embedded store and the in-process bus: what a caller would notice.

use bus::Topic;
use protocol::{
    AddParticipants, ConversationFilter, ConversationKind, ConversationPatch, CreateConversation, EditMessage,
    ErrorCode, HistoryWindow, MessageId, ParticipantPatch, Role, UserId,
};

use crate::{
    Caller, FeedEffect,
    envelope::FeedMoved,
    testing::{World, code, field, text},
};

fn direct(other: &Caller) -> CreateConversation {
    create("direct", serde_json::json!({ "participant_ids": [other.user.id] }))
}

fn create(kind: &str, mut body: serde_json::Value) -> CreateConversation {
    body["kind"] = kind.into();
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn two_people_who_open_a_direct_conversation_get_the_same_one() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let (first, made) = world.chat.create_conversation(&ann, direct(&ben), None).await.unwrap();
    let (again, made_again) = world.chat.create_conversation(&ben, direct(&ann), None).await.unwrap();
    assert_eq!((first.id, made, made_again), (again.id, true, false));
    assert_eq!(first.other.map(|user| user.id), Some(ben.user.id));
    assert_eq!(code(world.chat.leave(&ann, first.id).await), ErrorCode::WrongKind);
    assert_eq!(code(world.chat.delete_conversation(&ann, first.id).await), ErrorCode::WrongKind);
}

#[tokio::test]
async fn an_idempotency_key_finds_what_it_made_and_refuses_another_request() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let group = |title: &str| create("group", serde_json::json!({ "title": title }));
    let (first, made) = world.chat.create_conversation(&ann, group("one"), Some("k")).await.unwrap();
    let (again, made_again) = world.chat.create_conversation(&ann, group("one"), Some("k")).await.unwrap();
    assert_eq!((first.id, made, made_again), (again.id, true, false));
    let other = world.chat.create_conversation(&ann, group("two"), Some("k")).await;
    assert_eq!(code(other), ErrorCode::IdempotencyConflict);
    let other = world.chat.create_conversation(&ann, direct(&ben), Some("k")).await;
    assert_eq!(code(other), ErrorCode::IdempotencyConflict);
    world.chat.create_conversation(&ben, group("two"), Some("k")).await.unwrap();
    let bad = world.chat.create_conversation(&ann, group("one"), Some("")).await;
    assert_eq!(field(bad), "Idempotency-Key");
}

#[tokio::test]
async fn nobody_from_elsewhere_is_taken_in() {
    let world = World::start().await;
    let (ann, stranger) = (world.user("ann").await, world.stranger("sam").await);
    for id in [stranger.user.id, UserId::generate()] {
        let body = serde_json::json!({ "title": "t", "participant_ids": [id] });
        let made = world.chat.create_conversation(&ann, create("group", body), None).await;
        assert_eq!(field(made), "participant_ids");
    }
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    let request = AddParticipants { user_ids: vec![stranger.user.id] };
    assert_eq!(field(world.chat.add_participants(&ann, room, request).await), "user_ids");
    let nobody = AddParticipants { user_ids: Vec::new() };
    assert_eq!(field(world.chat.add_participants(&ann, room, nobody).await), "user_ids");
    assert_eq!(code(world.chat.user(&ann, stranger.user.id).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn nothing_new_is_begun_with_somebody_who_is_disabled() {
    let world = World::start().await;
    let (ann, ben, cem) = (world.user("ann").await, world.user("ben").await, world.user("cem").await);
    let (there, _) = world.chat.create_conversation(&ann, direct(&ben), None).await.unwrap();
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    for gone in [&ben, &cem] {
        let now = ann.user.created_at;
        world.store.set_disabled(ann.user.org_id, gone.user.id, true, None, now).await.unwrap();
    }
    assert_eq!(field(world.chat.create_conversation(&ann, direct(&cem), None).await), "participant_ids");
    let body = serde_json::json!({ "title": "t", "participant_ids": [ben.user.id] });
    assert_eq!(field(world.chat.create_conversation(&ann, create("group", body), None).await), "participant_ids");
    let request = AddParticipants { user_ids: vec![cem.user.id] };
    assert_eq!(field(world.chat.add_participants(&ann, room, request).await), "user_ids");
    let (found, made) = world.chat.create_conversation(&ann, direct(&ben), None).await.unwrap();
    assert_eq!((found.id, made), (there.id, false));
    world.say(&ann, there.id, "read it when you are back").await;
}

#[tokio::test]
async fn an_outsider_finds_nothing_and_a_passer_by_of_a_public_room_is_told_to_join() {
    let world = World::start().await;
    let (ann, eve) = (world.user("ann").await, world.user("eve").await);
    let group = world.room(ConversationKind::Group, &ann, &[]).await;
    let public = world.room(ConversationKind::Public, &ann, &[]).await;
    for (room, expected) in [(group, ErrorCode::NotFound), (public, ErrorCode::NotAParticipant)] {
        let message = world.say(&ann, room, "a").await;
        let latest = HistoryWindow::Latest;
        assert_eq!(code(world.chat.history(&eve, room, latest, None).await), expected);
        assert_eq!(code(world.chat.changes(&eve, room, 0, None).await), expected);
        assert_eq!(code(world.chat.participants(&eve, room, "", None, None).await), expected);
        assert_eq!(code(world.chat.message(&eve, message.id).await), expected);
        assert_eq!(code(world.chat.send(&eve, room, text("a", None)).await), expected);
        assert_eq!(
            code(
                world.chat.edit(&eve, message.id, EditMessage { content: "b".into(), ..EditMessage::default() }).await
            ),
            expected
        );
        assert_eq!(code(world.chat.delete(&eve, message.id).await), expected);
        assert_eq!(code(world.chat.mark_read(&eve, room, 1).await), expected);
        assert_eq!(code(world.chat.leave(&eve, room).await), expected);
    }
    assert_eq!(code(world.chat.join(&eve, group).await), ErrorCode::NotFound);
    assert_eq!(code(world.chat.message(&ann, MessageId::generate()).await), ErrorCode::NotFound);
    let joined = world.chat.join(&eve, public).await.unwrap();
    assert_eq!((joined.role, joined.participant_count), (Some(Role::Member), 2));
    world.chat.join(&eve, public).await.unwrap();
    world.say(&eve, public, "hello").await;
    world.chat.leave(&eve, public).await.unwrap();
    assert_eq!(code(world.chat.send(&eve, public, text("a", None)).await), ErrorCode::NotAParticipant);
}

#[tokio::test]
async fn history_is_paged_in_both_directions_until_nothing_is_left() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    for number in 2..=12 {
        assert_eq!(world.say(&ann, room, "x").await.seq, number);
    }
    let page = async |window| {
        let page = world.chat.history(&ann, room, window, Some(5)).await.unwrap();
        let seqs: Vec<_> = page.items.iter().map(|message| message.seq).collect();
        (seqs, page.next_cursor)
    };
    let cursor = |seq: u64| Some(seq.to_string());
    assert_eq!(page(HistoryWindow::Latest).await, ((8..=12).collect(), cursor(8)));
    assert_eq!(page(HistoryWindow::Before(8)).await, ((3..=7).collect(), cursor(3)));
    assert_eq!(page(HistoryWindow::Before(3)).await, (vec![1, 2], None));
    assert_eq!(page(HistoryWindow::After(0)).await, ((1..=5).collect(), cursor(5)));
    assert_eq!(page(HistoryWindow::After(7)).await, ((8..=12).collect(), None));
    assert_eq!(page(HistoryWindow::After(u64::MAX)).await, (Vec::new(), None));
    let (around, next) = page(HistoryWindow::Around(6)).await;
    assert!(around.contains(&6) && around.len() == 5 && next.is_none(), "{around:?}");
    for bad in [0, 101, 1_000_000_000] {
        assert_eq!(field(world.chat.history(&ann, room, HistoryWindow::Latest, Some(bad)).await), "limit");
    }
}

#[tokio::test]
async fn changes_come_after_a_cursor_and_a_cursor_from_the_future_is_refused() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    world.say(&ann, room, "a").await;
    let changes = world.chat.changes(&ann, room, 1, None).await.unwrap();
    assert_eq!((changes.from, changes.to, changes.more, changes.changes.len()), (1, 2, false, 1));
    assert!(world.chat.changes(&ann, room, 2, None).await.unwrap().changes.is_empty());
    for future in [3, u64::MAX] {
        assert_eq!(field(world.chat.changes(&ann, room, future, None).await), "after");
    }
    assert_eq!(field(world.chat.changes(&ann, room, 0, Some(501)).await), "limit");
}

#[tokio::test]
async fn bad_input_is_refused_by_the_name_of_its_field() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    for bad in ["", " \n ", "a\0b", &"x".repeat(4_001)] {
        assert_eq!(field(world.chat.send(&ann, room, text(bad, None)).await), "content");
    }
    assert_eq!(field(world.chat.send(&ann, room, text("a", Some(""))).await), "client_id");
    let title = ConversationPatch { title: Some("a\nb".into()), ..ConversationPatch::default() };
    assert_eq!(field(world.chat.update_conversation(&ann, room, title).await), "title");
    assert_eq!(
        field(world.chat.conversations(&ann, &ConversationFilter::default(), Some("not a cursor"), None).await),
        "cursor"
    );
    assert_eq!(field(world.chat.search_users(&ann, &"x".repeat(121), None, None).await), "query");
    let patch = protocol::ProfilePatch { avatar_url: Some(Some("javascript:x".into())), ..Default::default() };
    assert_eq!(field(world.chat.update_profile(&ann, patch).await), "avatar_url");
}

#[tokio::test]
async fn a_read_marker_is_told_to_the_others_once_and_never_goes_back() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    world.say(&ann, room, "a").await;
    let last = world.say(&ann, room, "b").await.seq;
    world.listen(Topic::Conversation(room)).await;
    let receipt = world.chat.mark_read(&ben, room, u64::MAX).await.unwrap();
    assert_eq!((receipt.read_seq, receipt.delivered_seq), (last, last));
    assert_eq!(world.chat.mark_read(&ben, room, 1).await.unwrap().read_seq, last);
    let seen = world.say(&ann, room, "c").await;
    // Receipts and messages go different ways to the bus: they may come in either order.
    let (mut receipts, mut messages) = (0, 0);
    while messages == 0 || receipts == 0 {
        let (event, frame) = world.heard_event().await;
        match event.seq {
            None => {
                receipts += 1;
                assert_eq!((&frame["type"], &frame["data"]["read_seq"]), (&"receipt.updated".into(), &last.into()));
            }
            Some(seq) if seq == seen.seq => messages += 1,
            Some(_) => {}
        }
    }
    assert_eq!(receipts, 1);
    let unread = world.chat.conversation(&ben, room).await.unwrap().unread_count;
    assert_eq!(unread, 1);
}

#[tokio::test]
async fn everyone_concerned_hears_that_their_feed_moved() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    world.listen(Topic::User(ben.user.id)).await;
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let moved = async |world: &mut World| FeedMoved::decode(&world.heard().await.1).unwrap().user_seq;
    // Their membership, and the notification that says so: the last place is told.
    assert_eq!(moved(&mut world).await, 2);
    let (head, events) = world.chat.feed(ben.user.id, 0).await.unwrap();
    let effects: Vec<_> = events.iter().map(|event| event.effect).collect();
    assert_eq!((head, effects), (2, vec![FeedEffect::Joined(room, 1), FeedEffect::None]));

    world.chat.remove_participant(&ann, room, ben.user.id).await.unwrap();
    assert_eq!(moved(&mut world).await, 3);
    let (head, events) = world.chat.feed(ben.user.id, 2).await.unwrap();
    assert_eq!((head, events[0].effect), (3, FeedEffect::Left(room)));
    assert_eq!(code(world.chat.conversation(&ben, room).await), ErrorCode::NotFound);

    world.chat.add_participants(&ann, room, AddParticipants { user_ids: vec![ben.user.id] }).await.unwrap();
    assert_eq!((moved(&mut world).await, moved(&mut world).await), (4, 5));
}

#[tokio::test]
async fn an_owner_hands_over_leaves_and_is_a_stranger_then() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    assert_eq!(code(world.chat.leave(&ann, room).await), ErrorCode::LastOwner);
    let owner = ParticipantPatch { role: Role::Owner };
    let handed = world.chat.update_participant(&ann, room, ben.user.id, owner).await.unwrap();
    assert_eq!((handed.user.id, handed.role), (ben.user.id, Role::Owner));
    world.chat.leave(&ann, room).await.unwrap();
    assert_eq!(code(world.chat.conversation(&ann, room).await), ErrorCode::NotFound);
    let title = ConversationPatch { title: Some("mine now".into()), ..ConversationPatch::default() };
    let renamed = world.chat.update_conversation(&ben, room, title).await.unwrap();
    assert_eq!(renamed.title.as_deref(), Some("mine now"));
    world.chat.delete_conversation(&ben, room).await.unwrap();
    assert_eq!(code(world.chat.conversation(&ben, room).await), ErrorCode::NotFound);
    assert_eq!(code(world.chat.send(&ben, room, text("anyone?", None)).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_retry_that_finds_its_message_tells_of_it_again() {
    let mut world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    world.listen(Topic::Conversation(room)).await;
    let (first, new) = world.chat.send(&ann, room, text("once", Some("1"))).await.unwrap();
    assert!(new);
    let (event, _) = world.heard_event().await;
    // Whoever committed it may have died before the event was out.
    let (again, new) = world.chat.send(&ann, room, text("once", Some("1"))).await.unwrap();
    assert_eq!((again.id, new), (first.id, false));
    assert_eq!(world.heard_event().await.0.seq, event.seq);
}
