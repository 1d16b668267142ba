//! Typing: what others hear of it, how often, and who may not.

use std::time::Duration;

use bus::Topic;
use protocol::{ConversationKind, ConversationPatch, CreateConversation, ErrorCode, Posting};
use tokio::time::{Instant, sleep, timeout};

use crate::testing::{World, code};

#[tokio::test]
async fn a_start_is_told_once_and_its_stop_once() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    world.listen(Topic::Conversation(room)).await;
    world.chat.typing(&ann, room, false).await.unwrap();
    for typing in [true, true, true, false, false] {
        world.chat.typing(&ann, room, typing).await.unwrap();
    }
    // What is heard of somebody else comes after all of hers.
    world.chat.typing(&ben, room, true).await.unwrap();
    for (who, typing, expires) in [(&ann, true, 5_000), (&ann, false, 0), (&ben, true, 5_000)] {
        let (event, frame) = world.heard_event().await;
        assert_eq!((event.seq, event.place, frame["type"].as_str()), (None, None, Some("typing")));
        assert_eq!(frame["conversation_id"], room.to_string());
        assert_eq!(frame["data"]["user"]["id"], who.user.id.to_string());
        assert_eq!((&frame["data"]["typing"], &frame["data"]["expires_in_ms"]), (&typing.into(), &expires.into()));
    }
}

#[tokio::test]
async fn who_goes_on_typing_is_told_again_before_three_seconds_but_not_at_once() {
    let mut world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    world.listen(Topic::Conversation(room)).await;
    let began = Instant::now();
    world.chat.typing(&ann, room, true).await.unwrap();
    world.heard_event().await;
    let again = async {
        loop {
            world.chat.typing(&ann, room, true).await.unwrap();
            tokio::select! {
                _ = world.heard_event() => break,
                () = sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("she is not told again");
    assert!(began.elapsed() >= Duration::from_millis(2500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_stopped_and_goes_on_is_shown_again_soon_but_not_without_end() {
    let mut world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    world.listen(Topic::Conversation(room)).await;
    let began = Instant::now();
    let mut starts = 0;
    while starts < 3 {
        for typing in [true, false] {
            world.chat.typing(&ann, room, typing).await.unwrap();
        }
        while let Ok((_, frame)) = timeout(Duration::from_millis(50), world.heard_event()).await {
            starts += u32::from(frame["data"]["typing"] == true);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "she is not shown again");
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_tells_nobody_anything_asks_no_store() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    world.chat.typing(&ann, room, true).await.unwrap();
    world.store.close().await;
    world.chat.typing(&ann, room, true).await.unwrap();
    assert_eq!(code(world.chat.typing(&ann, room, false).await), ErrorCode::Unavailable);
}

#[tokio::test]
async fn who_may_not_send_may_not_type() {
    let world = World::start().await;
    let (ann, ben, eve) = (world.user("ann").await, world.user("ben").await, world.user("eve").await);
    let group = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let public = world.room(ConversationKind::Public, &ann, &[]).await;
    for typing in [true, false] {
        assert_eq!(code(world.chat.typing(&eve, group, typing).await), ErrorCode::NotFound);
        assert_eq!(code(world.chat.typing(&eve, public, typing).await), ErrorCode::NotAParticipant);
    }

    let admins = ConversationPatch { posting: Some(Posting::Admins), ..ConversationPatch::default() };
    world.chat.update_conversation(&ann, group, admins).await.unwrap();
    assert_eq!(code(world.chat.typing(&ben, group, true).await), ErrorCode::PostingRestricted);
    world.chat.typing(&ann, group, true).await.unwrap();

    let archived = ConversationPatch { archived: Some(true), ..ConversationPatch::default() };
    world.chat.update_conversation(&ann, public, archived).await.unwrap();
    assert_eq!(code(world.chat.typing(&ann, public, true).await), ErrorCode::Archived);

    let direct: CreateConversation =
        serde_json::from_value(serde_json::json!({ "kind": "direct", "participant_ids": [ben.user.id] })).unwrap();
    let direct = world.chat.create_conversation(&ann, direct, None).await.unwrap().0.id;
    world.chat.set_blocked(&ben, ann.user.id, true).await.unwrap();
    for who in [&ann, &ben] {
        assert_eq!(code(world.chat.typing(who, direct, true).await), ErrorCode::Blocked);
    }
}
