//! Who is told: what a decision reads about those whom it may tell, and the notifications that it writes.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    ConversationId, ConversationKind, MessageId, NotificationId, NotificationKind, NotificationPreferences,
    NotificationPreferencesPatch, Notify, PreferencesPatch, Timestamp, User,
};
use store::{FeedChange, NewConversation, Scope, Store, StoreError, WriteNotification};

use super::{op::Op, world::World};

fn notification(
    (to, by): (&User, &User),
    kind: NotificationKind,
    conversation_id: ConversationId,
    message_id: MessageId,
    at: Timestamp,
) -> WriteNotification {
    WriteNotification {
        id: NotificationId::generate(),
        user_id: to.id,
        kind,
        conversation_id,
        message_id,
        actor_id: by.id,
        at,
    }
}

/// In the transaction of what they tell of, one place in the feed each.
pub async fn a_notification_moves_its_users_feed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    let send = Op::mentioning(group, &ada, "abcd", &[Some(&bob), Some(&cyd)]);
    let Op::Send { id: message, .. } = send else { unreachable!() };
    let tell = |to: &User, kind| Op::Notify(notification((to, &ada), kind, group, message, world.now()));
    let (to_bob, to_cyd) = (tell(&bob, NotificationKind::Mention), tell(&cyd, NotificationKind::Mention));
    let made = world.apply(&[Op::Leave(group, cyd.clone()), send, to_cyd, to_bob.clone()]).await;
    assert_eq!(made.feeds, [(group, cyd.id, 2), (group, cyd.id, 3), (group, bob.id, 2)], "moves, then notifications");

    let feed = world.store.feed(bob.id, 1).await.unwrap();
    assert_eq!((feed.user_seq, feed.items.len(), feed.items[0].user_seq), (2, 1, 2));
    let FeedChange::Notification(told) = &feed.items[0].change else { panic!("{:?}", feed.items) };
    assert_eq!((told.user_seq, told.kind, told.message_id), (2, NotificationKind::Mention, message));
    assert_eq!((told.conversation_id, told.actor.id, told.preview.as_str()), (group, ada.id, "abcd"));
    assert_eq!((told.read_at, told.id), (None, if let Op::Notify(it) = &to_bob { it.id } else { unreachable!() }));
    let feed = world.store.feed(cyd.id, 1).await.unwrap();
    let FeedChange::Notification(told) = &feed.items[1].change else { panic!("{:?}", feed.items) };
    assert_eq!(told.preview, "", "who left reads nothing more");

    let again = tell(&bob, NotificationKind::Mention);
    let made = world.apply(&[again, tell(&bob, NotificationKind::Reply), tell(&ada, NotificationKind::Reply)]).await;
    assert_eq!(made.feeds, [(group, bob.id, 3), (group, ada.id, 2)], "what is there already moves nothing");
    let feed = world.store.feed(bob.id, 0).await.unwrap();
    assert_eq!(feed.items.iter().map(|item| item.user_seq).collect::<Vec<_>>(), [1, 2, 3]);
    world.apply(&[Op::Edit(group, message, "xy".into())]).await;
    let feed = world.store.feed(bob.id, 2).await.unwrap();
    let FeedChange::Notification(told) = &feed.items[0].change else { panic!("{:?}", feed.items) };
    assert_eq!(told.preview, "xy", "as it is now");
}

/// All or nothing.
pub async fn a_batch_that_is_refused_tells_nobody(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let message = world.send(group, &ada, "hello").await.id;
    let mut nobody = bob.clone();
    nobody.id = protocol::UserId::generate();
    let tell = |to: &User| Op::Notify(notification((to, &ada), NotificationKind::Reply, group, message, world.now()));
    let refused = world.try_apply(&[Op::send(group, &ada, "x"), tell(&bob), tell(&nobody)]).await;
    assert!(matches!(refused, Err(StoreError::Conflict(store::Conflict::UnknownUser))), "{refused:?}");
    assert_eq!(world.store.feed_heads(&[bob.id]).await.unwrap(), [(bob.id, 1)]);
    world.assert_head(group, 2).await;
}

/// Conversations first, then users by id.
pub async fn notifications_from_many_tasks_number_their_feeds_densely(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let mut people = Vec::new();
    for i in 0..5 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let tasks: Vec<_> = (0..10)
        .map(|i: usize| {
            let (world, mut people) = (Arc::clone(&world), people.clone());
            tokio::spawn(async move {
                people.rotate_left(i % 5);
                let group = world.group(&people.iter().collect::<Vec<_>>()).await;
                let message = world.send(group, &people[0], "hello").await.id;
                let tell = |to: &User| {
                    let pair = (to, &people[0]);
                    Op::Notify(notification(pair, NotificationKind::Mention, group, message, world.now()))
                };
                let batch: Vec<Op> = people.iter().map(tell).collect();
                world.apply(&batch).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for user in &people {
        let feed = world.store.feed(user.id, 0).await.unwrap();
        let seqs: Vec<_> = feed.items.iter().map(|item| item.user_seq).collect();
        assert_eq!((feed.user_seq, seqs), (20, (1..=20).collect()));
    }
}

/// With the conversation's making.
pub async fn who_is_added_at_the_making_is_told(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let mut new = world.new_conversation(ConversationKind::Group, &[&ada, &bob, &cyd]);
    let told = |to: &User| notification((to, &ada), NotificationKind::Added, new.id, new.message_id, new.now);
    new = NewConversation { notifications: vec![told(&bob)], slow_mode_seconds: 90, ..new };
    let made = world.create(new.clone()).await;
    let feeds: HashSet<_> = made.feeds.into_iter().collect();
    assert_eq!(feeds, HashSet::from([(ada.id, 1), (bob.id, 2), (cyd.id, 1)]), "each once, the highest");
    let feed = world.store.feed(bob.id, 0).await.unwrap();
    assert!(matches!(&feed.items[0].change, FeedChange::Joined(shown) if shown.slow_mode_seconds == 90));
    assert!(matches!(&feed.items[1].change, FeedChange::Notification(told) if told.kind == NotificationKind::Added));
}

/// Settings, blocks, and the senders of what is replied to and of the roots of their threads.
pub async fn who_may_be_told_is_read_under_the_lock(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    let root = world.send(group, &bob, "root").await.id;
    let reply = world.apply_one(Op::in_thread(group, &cyd, "reply", root)).await.id;
    let until = world.now();
    let here = PreferencesPatch { notify: Some(Notify::Mentions), muted_until: Some(Some(until)), pinned: None };
    world.store.set_preferences(cyd.id, group, &here, world.now()).await.unwrap().unwrap();
    let everywhere = NotificationPreferencesPatch { notify: Some(Notify::None), muted_until: None };
    world.store.set_notification_preferences(bob.id, &everywhere, world.now()).await.unwrap();
    world.store.set_blocked(bob.id, ada.id, true, world.now()).await.unwrap();
    world.store.set_blocked(cyd.id, ada.id, true, world.now()).await.unwrap();
    world.store.set_blocked(cyd.id, ada.id, false, world.now()).await.unwrap();

    let plain = Scope {
        conversations: vec![group],
        participants: vec![(group, ada.id)],
        messages: vec![reply],
        users: vec![ada.id],
        ..Scope::default()
    };
    let locked = world.look(&plain).await;
    assert_eq!((locked.participants.len(), locked.users.len()), (1, 1));
    assert!(locked.preferences.is_empty() && locked.blocks.is_empty());
    let locked = world.look(&Scope { notifies: true, ..plain }).await;
    let told = &locked.participants[&(group, cyd.id)];
    assert_eq!((told.notify, told.muted_until, told.active), (Notify::Mentions, Some(until), true));
    let told = &locked.participants[&(group, bob.id)];
    assert_eq!((told.notify, told.muted_until), (Notify::All, None));
    assert!([ada.id, bob.id, cyd.id].iter().all(|id| locked.users.contains_key(id)));
    let none = NotificationPreferences { notify: Notify::None, muted_until: None };
    assert_eq!(locked.preferences, [(bob.id, none)].into_iter().collect());
    assert_eq!(locked.blocks, [(bob.id, ada.id)].into_iter().collect());
}
