//! Announcements: who makes them, who is told, and how far they are read.

use bus::Topic;
use protocol::{CreateAnnouncement, ErrorCode, OrgRole, ReadAnnouncements};

use crate::{
    Caller,
    envelope::{AnnouncementMoved, UserEvent},
    testing::{World, code, field},
};

fn news(title: &str) -> CreateAnnouncement {
    CreateAnnouncement { title: title.into(), content: "It is new.".into(), url: None }
}

async fn admin(world: &World) -> Caller {
    let mut admin = world.user("admin").await;
    admin.user.role = OrgRole::Admin;
    admin
}

#[tokio::test]
async fn everybody_of_the_org_hears_it_and_who_was_away_finds_it() {
    let mut world = World::start().await;
    let (admin, ben, sam) = (admin(&world).await, world.user("ben").await, world.stranger("sam").await);
    let org = ben.user.org_id;
    world.listen(Topic::Org(org)).await;
    for (seq, title) in [(1, "one"), (2, "two")] {
        let (made, new) = world.chat.announce(&admin, news(title), None).await.unwrap();
        assert_eq!((made.seq, new, made.author.id), (seq, true, admin.user.id));
        let (topic, payload) = world.heard().await;
        assert_eq!((topic, AnnouncementMoved::decode(&payload).unwrap().seq), (Topic::Org(org), seq));
    }
    assert_eq!(world.chat.announcement_heads(&[org]).await.unwrap(), [(org, 2)]);
    let frames = world.chat.announcement_frames(org, 1, 10).await.unwrap();
    let frame: serde_json::Value = serde_json::from_slice(&frames[0].1).unwrap();
    assert_eq!((frames.len(), frames[0].0), (1, 2));
    assert_eq!((&frame["type"], &frame["data"]["title"]), (&"announcement".into(), &"two".into()));

    assert_eq!(world.chat.unread(&ben).await.unwrap().announcement_count, 2);
    let read = |seq| ReadAnnouncements { seq };
    assert_eq!(world.chat.read_announcements(&ben, read(1)).await.unwrap().read_seq, 1);
    assert_eq!(world.chat.read_announcements(&ben, read(u64::MAX)).await.unwrap().read_seq, 2);
    assert_eq!(world.chat.read_announcements(&ben, read(0)).await.unwrap().read_seq, 2);
    let list = world.chat.announcements(&ben, None, Some(1)).await.unwrap();
    assert_eq!((list.items[0].seq, list.read_seq, list.next_cursor.is_some()), (2, 2, true));
    let rest = world.chat.announcements(&ben, list.next_cursor.as_deref(), Some(1)).await.unwrap();
    assert_eq!((rest.items[0].seq, rest.next_cursor), (1, None));
    assert!(world.chat.announcements(&sam, None, None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn ones_own_devices_hear_how_far_they_are_read() {
    let mut world = World::start().await;
    let (admin, ben) = (admin(&world).await, world.user("ben").await);
    world.chat.announce(&admin, news("one"), None).await.unwrap();
    world.listen(Topic::User(ben.user.id)).await;
    world.chat.read_announcements(&ben, ReadAnnouncements { seq: 9 }).await.unwrap();
    let (topic, payload) = world.heard().await;
    let Ok(UserEvent::Frame { frame, .. }) = UserEvent::decode(&payload) else { panic!("{payload:?}") };
    assert_eq!((topic, frame.as_ref()), (Topic::User(ben.user.id), told(1).as_bytes()));
}

fn told(read_seq: u64) -> String {
    format!(r#"{{"type":"announcements.read","data":{{"read_seq":{read_seq}}}}}"#)
}

#[tokio::test]
async fn a_retry_is_the_same_announcement_and_another_request_under_its_key_is_refused() {
    let mut world = World::start().await;
    let admin = admin(&world).await;
    world.listen(Topic::Org(admin.user.org_id)).await;
    let first = world.chat.announce(&admin, news("one"), Some("k")).await.unwrap();
    let again = world.chat.announce(&admin, news("one"), Some("k")).await.unwrap();
    assert_eq!((first.0.id, first.1, again.1), (again.0.id, true, false));
    for _ in 0..2 {
        assert_eq!(AnnouncementMoved::decode(&world.heard().await.1).unwrap().seq, 1);
    }
    let other = world.chat.announce(&admin, news("two"), Some("k")).await;
    assert_eq!(code(other), ErrorCode::IdempotencyConflict);
}

#[tokio::test]
async fn only_admins_announce_and_only_what_can_be_shown() {
    let world = World::start().await;
    let (admin, ben) = (admin(&world).await, world.user("ben").await);
    assert_eq!(code(world.chat.announce(&ben, news("one"), None).await), ErrorCode::Forbidden);
    let url = |url: &str| CreateAnnouncement { url: Some(url.into()), ..news("one") };
    let content = |content: &str| CreateAnnouncement { content: content.into(), ..news("one") };
    let long = "x".repeat(4_001);
    let cases = [
        (news(""), "title"),
        (news("a\nb"), "title"),
        (news(&"x".repeat(121)), "title"),
        (content(" "), "content"),
        (content("a\0"), "content"),
        (content(&long), "content"),
        (url("javascript:x"), "url"),
    ];
    for (bad, name) in cases {
        assert_eq!(field(world.chat.announce(&admin, bad, None).await), name);
    }
    assert_eq!(field(world.chat.announce(&admin, news("one"), Some("")).await), "Idempotency-Key");
    assert_eq!(field(world.chat.announcements(&ben, Some("no cursor"), None).await), "cursor");
    assert_eq!(field(world.chat.announcements(&ben, None, Some(0)).await), "limit");
}
