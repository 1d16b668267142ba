//! Notifications and settings: what is listed, what is marked, and what the user's other devices hear.

use bus::Topic;
use protocol::{
    ConversationKind, ErrorCode, NotificationId, NotificationKind, NotificationPreferencesPatch, Notify,
    PreferencesPatch, ReadNotifications, Timestamp,
};

use crate::{
    Caller, Clock, SystemClock,
    envelope::FeedMoved,
    testing::{World, code, field},
};

/// What moved a feed after a place: the types of its events.
async fn kinds(world: &World, who: &Caller, after: u64) -> Vec<String> {
    let (_, events) = world.chat.feed(who.user.id, after).await.unwrap();
    let kind = |frame: &[u8]| -> String {
        let frame: serde_json::Value = serde_json::from_slice(frame).unwrap();
        frame["type"].as_str().unwrap().to_owned()
    };
    events.iter().map(|event| kind(&event.frame)).collect()
}

#[tokio::test]
async fn being_added_and_mentioned_is_listed_until_it_is_read() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    world.say(&ann, room, "hello @ben").await;
    let list = world.chat.notifications(&ben, false, None, None).await.unwrap();
    let of: Vec<_> = list.items.iter().map(|item| (item.kind, item.preview.as_str())).collect();
    assert_eq!(of, [(NotificationKind::Mention, "hello @ben"), (NotificationKind::Added, "")]);
    assert_eq!((list.unread_count, list.messages.len()), (2, 1));
    assert_eq!((list.messages[0].conversation_id, list.messages[0].unread_count), (room, 1));
    let badges = world.chat.unread(&ben).await.unwrap();
    assert_eq!((badges.unread_count, badges.mention_count, badges.notification_count), (1, 1, 2));
    let first = world.chat.notifications(&ben, false, None, Some(1)).await.unwrap();
    let rest = world.chat.notifications(&ben, false, first.next_cursor.as_deref(), Some(1)).await.unwrap();
    assert_eq!((rest.items[0].kind, rest.messages.len()), (NotificationKind::Added, 0));

    let head = world.chat.feed(ben.user.id, 0).await.unwrap().0;
    world.listen(Topic::User(ben.user.id)).await;
    let ids = Some(vec![list.items[0].id, list.items[0].id, NotificationId::generate()]);
    let read = world.chat.read_notifications(&ben, ReadNotifications { ids }).await.unwrap();
    assert_eq!(read.unread_count, 1);
    assert_eq!(FeedMoved::decode(&world.heard().await.1).unwrap().user_seq, head + 1);
    assert_eq!(kinds(&world, &ben, head).await, ["notification.updated"]);
    let unread = world.chat.notifications(&ben, true, None, None).await.unwrap().items;
    assert_eq!(unread.iter().map(|item| item.kind).collect::<Vec<_>>(), [NotificationKind::Added]);
    assert_eq!(world.chat.read_notifications(&ben, ReadNotifications::default()).await.unwrap().unread_count, 0);
    // Nobody else's are touched, and a second time changes nothing.
    let ids = Some(vec![list.items[0].id]);
    world.chat.read_notifications(&ann, ReadNotifications { ids }).await.unwrap();
    world.chat.read_notifications(&ben, ReadNotifications::default()).await.unwrap();
    assert_eq!(world.chat.feed(ben.user.id, 0).await.unwrap().0, head + 2);
}

#[tokio::test]
async fn settings_are_told_to_ones_own_devices_when_they_change() {
    let mut world = World::start().await;
    let (ann, eve) = (world.user("ann").await, world.user("eve").await);
    let room = world.room(ConversationKind::Group, &ann, &[]).await;
    let public = world.room(ConversationKind::Public, &ann, &[]).await;
    let head = world.chat.feed(ann.user.id, 0).await.unwrap().0;
    world.listen(Topic::User(ann.user.id)).await;
    let later = Timestamp::from_unix_millis(SystemClock.now().unix_millis() + 60_000).unwrap();
    let mute = PreferencesPatch { muted_until: Some(Some(later)), pinned: Some(true), ..PreferencesPatch::default() };
    for _ in 0..2 {
        let preferences = world.chat.set_preferences(&ann, room, mute).await.unwrap();
        assert_eq!((preferences.muted_until, preferences.pinned_at.is_some()), (Some(later), true));
    }
    let quiet = NotificationPreferencesPatch { notify: Some(Notify::None), muted_until: None };
    for _ in 0..2 {
        assert_eq!(world.chat.set_notification_preferences(&ann, quiet).await.unwrap().notify, Notify::None);
    }
    assert_eq!(world.chat.notification_preferences(&ann).await.unwrap().notify, Notify::None);
    for seq in [head + 1, head + 2] {
        assert_eq!(FeedMoved::decode(&world.heard().await.1).unwrap().user_seq, seq);
    }
    assert_eq!(kinds(&world, &ann, head).await, ["preferences.updated", "notification_preferences.updated"]);

    assert_eq!(code(world.chat.set_preferences(&eve, room, mute).await), ErrorCode::NotFound);
    assert_eq!(code(world.chat.set_preferences(&eve, public, mute).await), ErrorCode::NotAParticipant);
}

#[tokio::test]
async fn muted_conversations_are_left_out_of_the_badge_but_their_mentions_are_not() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let later = Timestamp::from_unix_millis(SystemClock.now().unix_millis() + 60_000).unwrap();
    let until = |muted_until| PreferencesPatch { muted_until: Some(muted_until), ..PreferencesPatch::default() };
    world.chat.set_preferences(&ben, room, until(Some(later))).await.unwrap();
    world.say(&ann, room, "hello @ben").await;
    let badges = world.chat.unread(&ben).await.unwrap();
    assert_eq!((badges.unread_count, badges.conversation_count, badges.mention_count), (0, 0, 1));
    world.chat.set_preferences(&ben, room, until(None)).await.unwrap();
    let badges = world.chat.unread(&ben).await.unwrap();
    assert_eq!((badges.unread_count, badges.conversation_count, badges.mention_count), (1, 1, 1));
    world.chat.mark_read(&ben, room, u64::MAX).await.unwrap();
    let badges = world.chat.unread(&ben).await.unwrap();
    assert_eq!((badges.unread_count, badges.conversation_count, badges.mention_count), (0, 0, 0));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_the_name_of_its_field() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    for count in [0, 101] {
        let ids = Some((0..count).map(|_| NotificationId::generate()).collect());
        assert_eq!(field(world.chat.read_notifications(&ann, ReadNotifications { ids }).await), "ids");
    }
    assert_eq!(field(world.chat.notifications(&ann, false, Some("no cursor"), None).await), "cursor");
    assert_eq!(field(world.chat.notifications(&ann, false, None, Some(0)).await), "limit");
}
