//! Announcements: numbered densely per org, found again by their key, read with one marker per user.

use std::sync::Arc;

use protocol::{Announcement, AnnouncementId, AuditAction, AuditId, OrgId, User, UserId};
use store::{Announced, NewAnnouncement, NewAudit, Store, StoreError};

use super::World;

async fn announce(world: &World, by: &User, title: &str, key: Option<&str>) -> Announced {
    let (id, now) = (AnnouncementId::generate(), world.now());
    let new = NewAnnouncement {
        id,
        org_id: by.org_id,
        author: by.id,
        title: title.into(),
        content: "all of it".into(),
        url: Some("https://example.com/".into()),
        idempotency_key: key.map(str::to_owned),
        fingerprint: title.as_bytes().to_vec(),
        now,
    };
    let audit = NewAudit {
        id: AuditId::generate(),
        org_id: by.org_id,
        actor: by.id,
        action: AuditAction::AnnouncementCreated,
        target: id.0,
        details: None,
        now,
    };
    world.store.announce(new, audit).await.unwrap()
}

fn titles(announcements: &[Announcement]) -> Vec<&str> {
    announcements.iter().map(|one| one.title.as_str()).collect()
}

async fn head(world: &World, org: OrgId) -> u64 {
    world.store.announcement_heads(&[org]).await.unwrap()[0].1
}

/// Each org counts its own.
pub async fn announcements_are_numbered_per_org_and_listed_newest_first(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, eve) = (world.user("ada").await, world.foreigner("eve").await);
    assert_eq!(head(&world, world.org).await, 0);
    for (i, title) in ["one", "two", "three", "four", "five"].into_iter().enumerate() {
        let made = announce(&world, &ada, title, None).await;
        assert_eq!((made.created, made.announcement.seq), (true, i as u64 + 1));
        assert_eq!(made.announcement.author.id, ada.id);
        assert_eq!(made.announcement.url.as_deref(), Some("https://example.com/"));
    }
    assert_eq!(announce(&world, &eve, "elsewhere", None).await.announcement.seq, 1);
    let page = async |cursor: Option<&str>| world.store.announcements(world.org, ada.id, cursor, 2).await.unwrap();
    let first = page(None).await;
    assert_eq!((titles(&first.items), first.read_seq), (vec!["five", "four"], 0));
    announce(&world, &ada, "six", None).await;
    let second = page(first.next_cursor.as_deref()).await;
    let third = page(second.next_cursor.as_deref()).await;
    assert_eq!((titles(&second.items), titles(&third.items)), (vec!["three", "two"], vec!["one"]));
    assert_eq!(third.next_cursor, None);
    let after = world.store.announcements_after(world.org, 2, 3).await.unwrap();
    assert_eq!(titles(&after), ["three", "four", "five"]);
    assert!(world.store.announcements_after(world.org, 6, 3).await.unwrap().is_empty());
    let mut heads = world.store.announcement_heads(&[world.org, OrgId::generate(), eve.org_id]).await.unwrap();
    heads.sort_by_key(|(_, head)| *head);
    assert_eq!(heads, [(eve.org_id, 1), (world.org, 6)]);
    let refused = world.store.announcements(world.org, ada.id, Some("nonsense"), 2).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

/// One announcement and one entry in the log, however often it is tried.
pub async fn an_announcement_tried_by_ten_tasks_is_made_once(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (world, ada) = (Arc::clone(&world), ada.clone());
            tokio::spawn(async move { announce(&world, &ada, "news", Some("key")).await })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap());
    }
    assert_eq!(made.iter().filter(|one| one.created).count(), 1);
    assert!(made.iter().all(|one| one.announcement == made[0].announcement && one.fingerprint == b"news"));
    let other = announce(&world, &ada, "other news", Some("key")).await;
    assert_eq!((other.created, other.fingerprint.as_slice()), (false, b"news".as_slice()));
    assert_eq!((head(&world, world.org).await, announce(&world, &bob, "his", Some("key")).await.created), (1, true));
    let log = world.store.audit_log(world.org, None, 10).await.unwrap().items;
    assert_eq!(log.len(), 2);
    assert_eq!((log[1].action, log[1].target_id), (AuditAction::AnnouncementCreated, made[0].announcement.id.0));
}

/// Made at once, they leave no hole.
pub async fn announcements_made_at_once_leave_no_hole(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let tasks: Vec<_> = (0..12)
        .map(|i| {
            let (world, ada) = (Arc::clone(&world), ada.clone());
            tokio::spawn(async move { announce(&world, &ada, &format!("{i}"), None).await.announcement.seq })
        })
        .collect();
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.push(task.await.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=12).collect::<Vec<_>>());
}

/// It never goes back, and stops at the last one.
pub async fn a_readers_marker_moves_forward_to_the_last_announcement(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.foreigner("eve").await);
    for title in ["one", "two", "three"] {
        announce(&world, &ada, title, None).await;
    }
    let read = async |user: &User, seq| world.store.read_announcements(world.org, user.id, seq).await.unwrap();
    let unread = async |user: &User| world.store.unread(user.id, world.now()).await.unwrap().announcement_count;
    assert_eq!((unread(&bob).await, unread(&eve).await), (3, 0));
    assert_eq!((read(&bob, 2).await, read(&bob, 1).await, unread(&bob).await), (2, 2, 1));
    assert_eq!((read(&bob, 1_000_000).await, unread(&bob).await), (3, 0));
    announce(&world, &ada, "four", None).await;
    assert_eq!((unread(&bob).await, unread(&ada).await), (1, 4));
    assert_eq!(world.store.announcements(world.org, bob.id, None, 5).await.unwrap().read_seq, 3);
    assert_eq!(read(&eve, 2).await, 0, "another org's");
    assert_eq!(read(&User { id: UserId::generate(), ..ada }, 2).await, 0);
}
