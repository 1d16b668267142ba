//! What is told to people: settings, badges, stored notifications, conversations with news.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    ConversationId, ConversationKind, MessageId, NotificationId, NotificationKind, NotificationPreferences,
    NotificationPreferencesPatch, Notify, PreferencesPatch, Role, Timestamp, Unread, User, UserId, UserSeq,
};
use store::{Store, StoreError, WriteNotification};

use super::{Op, World, world::Mark::Read};

async fn head(world: &World, user: &User) -> UserSeq {
    world.store.feed_heads(&[user.id]).await.unwrap()[0].1
}

async fn unread(world: &World, user: &User) -> Unread {
    world.store.unread(user.id, world.now()).await.unwrap()
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(at.unix_millis() + seconds * 1_000).unwrap()
}

/// Only what is named; a change moves the feed, the same again does not; nobody else's.
pub async fn preferences_of_a_conversation_change_only_what_was_named(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    let set = async |user: &User, patch: PreferencesPatch| {
        world.store.set_preferences(user.id, group, &patch, world.now()).await.unwrap()
    };
    let before = head(&world, &ada).await;
    let until = later(world.now(), 3_600);
    let (now, moved) = set(&ada, PreferencesPatch { muted_until: Some(Some(until)), ..<_>::default() }).await.unwrap();
    assert_eq!((now.conversation_id, now.notify, now.muted_until), (group, Notify::All, Some(until)));
    assert_eq!(moved, Some(before + 1));
    let patch = PreferencesPatch { notify: Some(Notify::Mentions), pinned: Some(true), ..<_>::default() };
    let (now, moved) = set(&ada, patch).await.unwrap();
    assert_eq!((now.notify, now.muted_until, now.pinned_at.is_some()), (Notify::Mentions, Some(until), true));
    assert_eq!(moved, Some(before + 2));
    assert_eq!(set(&ada, patch).await, Some((now, None)), "the same again changes nothing");
    assert_eq!(set(&ada, PreferencesPatch::default()).await, Some((now, None)));
    let view = world.view(&ada, group).await;
    assert_eq!((view.notify, view.muted_until, view.pinned_at), (now.notify, now.muted_until, now.pinned_at));
    let patch = PreferencesPatch { muted_until: Some(None), pinned: Some(false), notify: None };
    let (now, moved) = set(&ada, patch).await.unwrap();
    assert_eq!((now.muted_until, now.pinned_at, moved), (None, None, Some(before + 3)));
    assert_eq!(head(&world, &ada).await, before + 3);

    assert_eq!(set(&bob, patch).await, None, "bob does not take part");
    let nowhere = ConversationId::generate();
    assert_eq!(world.store.set_preferences(ada.id, nowhere, &patch, world.now()).await.unwrap(), None);
    world.apply(&[Op::Leave(group, ada.clone())]).await;
    assert_eq!(set(&ada, patch).await, None);
}

/// The default until something is set.
pub async fn preferences_for_all_conversations_are_the_default_until_they_are_set(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let set = async |patch: NotificationPreferencesPatch| {
        world.store.set_notification_preferences(ada.id, &patch, world.now()).await.unwrap()
    };
    let read = async |user: &User| world.store.notification_preferences(user.id).await.unwrap();
    assert_eq!(read(&ada).await, NotificationPreferences::default());
    let before = head(&world, &ada).await;
    let (_, moved) = set(NotificationPreferencesPatch { notify: Some(Notify::All), muted_until: None }).await;
    assert_eq!(moved, None, "it was so by default");
    let until = later(world.now(), 60);
    let patch = NotificationPreferencesPatch { notify: Some(Notify::None), muted_until: Some(Some(until)) };
    let expected = NotificationPreferences { notify: Notify::None, muted_until: Some(until) };
    assert_eq!(set(patch).await, (expected, Some(before + 1)));
    assert_eq!(set(patch).await, (expected, None));
    let (now, moved) = set(NotificationPreferencesPatch { notify: None, muted_until: Some(None) }).await;
    assert_eq!((now.notify, now.muted_until, moved), (Notify::None, None, Some(before + 2)));
    assert_eq!((read(&ada).await, read(&bob).await), (now, NotificationPreferences::default()));
    assert_eq!(head(&world, &ada).await, before + 2);
}

/// Totals of all conversations; the muted ones count for mentions alone, those that were left for nothing.
pub async fn the_badges_add_up_all_conversations_but_the_muted_ones(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    assert_eq!(unread(&world, &bob).await, Unread::default());
    let mut groups = Vec::new();
    for _ in 0..4 {
        groups.push(world.group(&[&ada, &bob]).await);
    }
    assert_eq!(unread(&world, &bob).await, Unread::default(), "system messages count nothing");
    for (i, group) in groups.iter().enumerate() {
        for _ in 0..=i {
            world.send(*group, &ada, "hello").await;
        }
        world.apply(&[Op::mentioning(*group, &ada, "@b", &[Some(&bob)])]).await;
    }
    let counts = async |user: &User| {
        let unread = unread(&world, user).await;
        (unread.unread_count, unread.conversation_count, unread.mention_count)
    };
    assert_eq!(counts(&bob).await, (2 + 3 + 4 + 5, 4, 4));
    assert_eq!(counts(&ada).await, (0, 0, 0), "one's own");
    let until = later(world.now(), 3_600);
    let mute = PreferencesPatch { muted_until: Some(Some(until)), ..<_>::default() };
    world.store.set_preferences(bob.id, groups[1], &mute, world.now()).await.unwrap();
    assert_eq!(counts(&bob).await, (2 + 4 + 5, 3, 4), "mentions count where it is muted");
    let after = world.store.unread(bob.id, later(until, 1)).await.unwrap();
    assert_eq!(after.unread_count, 2 + 3 + 4 + 5, "muted no longer");
    world.apply(&[Op::Leave(groups[2], bob.clone())]).await;
    assert_eq!(counts(&bob).await, (2 + 5, 2, 3));
    world.apply(&[Op::Close(groups[3], ada.clone())]).await;
    assert_eq!(counts(&bob).await, (2, 1, 2));
    world.mark(bob.id, groups[0], Read(1_000)).await;
    assert_eq!(counts(&bob).await, (0, 0, 1));
    world.apply(&[Op::mentioning(groups[0], &ada, "@a", &[None])]).await;
    assert_eq!(counts(&bob).await, (1, 1, 2), "everybody is mentioned");
    assert_eq!(counts(&ada).await, (0, 0, 0));
}

/// What a mention says can change.
pub async fn mentions_that_are_edited_away_or_deleted_count_no_more(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let edited = world.apply_one(Op::mentioning(group, &ada, "@b hello", &[Some(&bob)])).await;
    let deleted = world.apply_one(Op::mentioning(group, &ada, "@b hello", &[Some(&bob)])).await;
    let mentions = async || unread(&world, &bob).await.mention_count;
    assert_eq!(mentions().await, 2);
    world.apply(&[Op::Edit(group, edited.id, "hello".into())]).await;
    assert_eq!(mentions().await, 1);
    world.apply(&[Op::Delete(group, deleted.id)]).await;
    assert_eq!((mentions().await, world.view(&bob, group).await.mention_count), (0, 0));
}

/// A notification to write.
fn notify(world: &World, kind: NotificationKind, to: &User, at: (ConversationId, MessageId), by: &User) -> Op {
    Op::Notify(WriteNotification {
        id: NotificationId::generate(),
        user_id: to.id,
        kind,
        conversation_id: at.0,
        message_id: at.1,
        actor_id: by.id,
        at: world.now(),
    })
}

/// Newest first, page by page, each once, each its user's own.
pub async fn notifications_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let mut sent = Vec::new();
    for i in 0..7 {
        let message = world.send(group, &ada, &format!("hello {i}")).await;
        let kind = if i % 2 == 0 { NotificationKind::Mention } else { NotificationKind::Reply };
        world.apply(&[notify(&world, kind, &bob, (group, message.id), &ada)]).await;
        sent.push(message.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.store.notifications(bob.id, false, cursor.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    sent.reverse();
    assert_eq!(seen.iter().map(|one| one.message_id).collect::<Vec<_>>(), sent);
    assert_eq!((seen[0].kind, seen[1].kind), (NotificationKind::Mention, NotificationKind::Reply));
    assert_eq!((seen[0].actor.id, seen[0].preview.as_str(), seen[0].read_at), (ada.id, "hello 6", None));
    assert_eq!(world.store.unread_notifications(bob.id).await.unwrap(), 7);
    assert_eq!(unread(&world, &bob).await.notification_count, 7);
    assert!(world.store.notifications(ada.id, false, None, 10).await.unwrap().items.is_empty());
    let refused = world.store.notifications(bob.id, false, Some("nonsense"), 3).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

/// What may not be read any more is not shown.
pub async fn previews_follow_edits_deletes_and_leaving(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let message = world.send(group, &ada, &"ä".repeat(300)).await.id;
    world.apply(&[notify(&world, NotificationKind::Mention, &bob, (group, message), &ada)]).await;
    let preview =
        async || world.store.notifications(bob.id, false, None, 10).await.unwrap().items.pop().unwrap().preview;
    assert_eq!(preview().await, "ä".repeat(200));
    world.apply(&[Op::Edit(group, message, "edited".into())]).await;
    assert_eq!(preview().await, "edited");
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    assert_eq!(preview().await, "");
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    assert_eq!(preview().await, "edited");
    world.apply(&[Op::Delete(group, message)]).await;
    assert_eq!(preview().await, "");
}

/// Each takes a place of its own in the feed; those that are read already, and others', do not.
pub async fn reading_notifications_moves_the_feed_by_each(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    for i in 0..5 {
        let message = world.send(group, &ada, &format!("{i}")).await.id;
        world.apply(&[notify(&world, NotificationKind::Mention, &bob, (group, message), &ada)]).await;
    }
    let list = async |unread_only| world.store.notifications(bob.id, unread_only, None, 10).await.unwrap().items;
    let read = async |user: &User, ids: Option<&[NotificationId]>| {
        world.store.read_notifications(user.id, ids, world.now()).await.unwrap()
    };
    let before = head(&world, &bob).await;
    let ids: Vec<_> = list(true).await.iter().map(|one| one.id).collect();
    assert_eq!(read(&ada, Some(&ids)).await, None, "they are not hers");
    assert_eq!(read(&bob, Some(&[ids[1], ids[3], NotificationId::generate()])).await, Some(before + 2));
    assert_eq!(read(&bob, Some(&ids[1..2])).await, None, "it was read before");
    assert_eq!(list(true).await.iter().map(|one| one.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[4]]);
    assert_eq!(world.store.unread_notifications(bob.id).await.unwrap(), 3);
    assert_eq!(read(&bob, None).await, Some(before + 5));
    assert_eq!((read(&bob, None).await, list(true).await.len(), list(false).await.len()), (None, 0, 5));
    let places: HashSet<UserSeq> = list(false).await.iter().map(|one| one.user_seq).collect();
    assert_eq!(places, (before + 1..=before + 5).collect());
    assert_eq!(
        (head(&world, &bob).await, read(&User { id: UserId::generate(), ..ada }, None).await),
        (before + 5, None)
    );
}

/// Marked from several devices at once, the feed stays dense.
pub async fn notifications_read_by_many_tasks_are_numbered_densely(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    for i in 0..12 {
        let message = world.send(group, &ada, &format!("{i}")).await.id;
        world.apply(&[notify(&world, NotificationKind::Mention, &bob, (group, message), &ada)]).await;
    }
    let before = head(&world, &bob).await;
    let ids: Vec<_> =
        world.store.notifications(bob.id, true, None, 20).await.unwrap().items.iter().map(|one| one.id).collect();
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let (world, bob, some) = (Arc::clone(&world), bob.id, ids[i..i + 5].to_vec());
            tokio::spawn(async move { world.store.read_notifications(bob, Some(&some), world.now()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let items = world.store.notifications(bob.id, false, None, 20).await.unwrap().items;
    let places: HashSet<UserSeq> = items.iter().map(|one| one.user_seq).collect();
    assert_eq!(places, (before + 1..=before + 12).collect(), "each was marked once");
    assert_eq!(head(&world, &bob).await, before + 12);
}

/// Where every message is wanted; where mentions alone are, what mentions. Not where something is muted.
pub async fn news_of_conversations_follow_both_settings(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let first = world.group(&[&ada, &bob]).await;
    let second = world.create(world.new_conversation(ConversationKind::Direct, &[&ada, &bob])).await.id;
    let quiet = world.group(&[&ada, &bob]).await;
    let news = async || {
        let news = world.store.message_notifications(bob.id, world.now(), 10).await.unwrap();
        news.into_iter()
            .map(|one| (one.conversation_id, one.unread_count, one.last_message.content))
            .collect::<Vec<_>>()
    };
    assert!(news().await.is_empty(), "system messages are no news");
    world.send(second, &ada, "hi").await;
    world.send(first, &ada, "one").await;
    world.send(quiet, &ada, "psst").await;
    world.send(first, &ada, "two").await;
    let set = async |id, patch: PreferencesPatch| {
        world.store.set_preferences(bob.id, id, &patch, world.now()).await.unwrap().unwrap();
    };
    let expected = |of_second: bool| {
        let mut expected = vec![(first, 2, "two".to_owned())];
        expected.extend(of_second.then(|| (second, 1, "hi".to_owned())));
        expected
    };
    set(quiet, PreferencesPatch { notify: Some(Notify::Mentions), ..<_>::default() }).await;
    assert_eq!(news().await, expected(true));
    let soon = later(world.now(), 3_600);
    set(second, PreferencesPatch { muted_until: Some(Some(soon)), ..<_>::default() }).await;
    assert_eq!(news().await, expected(false));
    let only = world.store.message_notifications(bob.id, later(soon, 1), 1).await.unwrap();
    assert_eq!((only.len(), only[0].conversation_id), (1, first), "the last activity first, at most so many");
    let everywhere = async |patch: NotificationPreferencesPatch| {
        world.store.set_notification_preferences(bob.id, &patch, world.now()).await.unwrap();
    };
    everywhere(NotificationPreferencesPatch { notify: Some(Notify::Mentions), muted_until: None }).await;
    assert!(news().await.is_empty());
    everywhere(NotificationPreferencesPatch { notify: Some(Notify::All), muted_until: Some(Some(soon)) }).await;
    assert!(news().await.is_empty());
    everywhere(NotificationPreferencesPatch { notify: None, muted_until: Some(None) }).await;
    assert_eq!(news().await, expected(false));
    world.mark(bob.id, first, Read(1_000)).await;
    assert!(news().await.is_empty());

    world.apply(&[Op::mentioning(quiet, &ada, "all of you", &[None])]).await;
    let told = [(quiet, 2, "all of you".to_owned())];
    assert_eq!(news().await, told, "everybody is mentioned");
    everywhere(NotificationPreferencesPatch { notify: Some(Notify::Mentions), muted_until: None }).await;
    world.send(first, &ada, "three").await;
    world.apply(&[Op::mentioning(second, &ada, "bob", &[Some(&bob)])]).await;
    assert_eq!(news().await, told, "muted is muted");
    world.apply(&[Op::mentioning(first, &ada, "ada", &[Some(&ada)])]).await;
    assert_eq!(news().await, told, "it mentions another");
    set(quiet, PreferencesPatch { notify: Some(Notify::None), ..<_>::default() }).await;
    assert!(news().await.is_empty());
    set(quiet, PreferencesPatch { notify: Some(Notify::All), ..<_>::default() }).await;
    assert_eq!(news().await, told);
    everywhere(NotificationPreferencesPatch { notify: Some(Notify::None), muted_until: None }).await;
    assert!(news().await.is_empty());
    everywhere(NotificationPreferencesPatch { notify: Some(Notify::Mentions), muted_until: None }).await;
    world.apply(&[Op::mentioning(first, &ada, "b", &[Some(&bob)])]).await;
    assert_eq!(news().await, [(first, 3, "b".to_owned()), told[0].clone()]);
    world.mark(bob.id, quiet, Read(1_000)).await;
    assert_eq!(news().await, [(first, 3, "b".to_owned())]);
}
