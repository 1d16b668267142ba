//! What a gateway follows: feeds, memberships, heads.

use std::{collections::HashSet, sync::Arc};

use protocol::{ConversationId, ConversationKind, History, Role, UserId, UserSeq};
use store::{FeedChange, Members, NewConversation, NewSession, Store};

use super::{op::Op, world::World};

/// One step each, and the conversation as each sees it.
pub async fn making_a_conversation_moves_each_participants_feed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let made = world.create(world.new_conversation(ConversationKind::Group, &[&ada, &bob])).await;
    let feeds: HashSet<(UserId, UserSeq)> = made.feeds.into_iter().collect();
    assert_eq!(feeds, HashSet::from([(ada.id, 1), (bob.id, 1)]));
    for (user, role) in [(&ada, Role::Owner), (&bob, Role::Member)] {
        let feed = world.store.feed(user.id, 0).await.unwrap();
        assert_eq!((feed.user_seq, feed.items.len(), feed.items[0].user_seq), (1, 1, 1));
        let FeedChange::Joined(shown) = &feed.items[0].change else { panic!("{:?}", feed.items) };
        assert_eq!((shown.id, shown.role), (made.id, Some(role)));
        assert_eq!(Some(&**shown), world.store.conversation(user.id, made.id).await.unwrap().as_ref());
        assert!(world.store.feed(user.id, 1).await.unwrap().items.is_empty());
    }
    let feed = world.store.feed(cyd.id, 0).await.unwrap();
    assert_eq!((feed.user_seq, feed.items.len()), (0, 0));
    let nobody = world.store.feed(UserId::generate(), 0).await.unwrap();
    assert_eq!((nobody.user_seq, nobody.items.len()), (0, 0));
}

/// State, not log: who came, went and came back is there once.
pub async fn a_feed_shows_the_present_state_of_each_conversation_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two) = (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    let left = world.apply(&[Op::Leave(one, bob.clone())]).await;
    assert_eq!(left.feeds, [(one, bob.id, 3)]);
    let feed = world.store.feed(bob.id, 0).await.unwrap();
    let seqs: Vec<_> = feed.items.iter().map(|item| item.user_seq).collect();
    assert_eq!((feed.user_seq, seqs), (3, vec![2, 3]), "ascending, the first place is gone");
    assert!(matches!(&feed.items[0].change, FeedChange::Joined(shown) if shown.id == two));
    assert!(matches!(feed.items[1].change, FeedChange::Left(id) if id == one));

    world.apply(&[Op::Join(one, bob.clone(), Role::Admin)]).await;
    world.send(one, &ada, "hello").await;
    world.apply(&[Op::Promote(one, bob.clone(), Role::Member)]).await;
    let feed = world.store.feed(bob.id, 2).await.unwrap();
    assert_eq!((feed.user_seq, feed.items.len(), feed.items[0].user_seq), (4, 1, 4));
    let FeedChange::Joined(shown) = &feed.items[0].change else { panic!("{:?}", feed.items) };
    assert_eq!((shown.id, shown.role, shown.last_seq), (one, Some(Role::Member), 5), "as it is now");
    let both = world.apply(&[Op::Leave(one, bob.clone()), Op::Join(one, bob.clone(), Role::Member)]).await;
    assert_eq!(both.feeds, [(one, bob.id, 5), (one, bob.id, 6)], "one entry per move, in order");
    assert_eq!(world.store.feed_heads(&[ada.id, bob.id]).await.unwrap().len(), 2);
}

/// Users are locked by id, after conversations.
pub async fn batches_that_move_the_same_feeds_number_them_densely(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let mut people = Vec::new();
    for i in 0..6 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let mut groups = Vec::new();
    for _ in 0..12 {
        groups.push(world.group(&[&ada]).await);
    }
    let tasks: Vec<_> = groups
        .iter()
        .enumerate()
        .map(|(i, group)| {
            let (world, mut people, group) = (Arc::clone(&world), people.clone(), *group);
            tokio::spawn(async move {
                if i % 2 == 0 {
                    people.reverse();
                }
                let joins: Vec<Op> = people.into_iter().map(|user| Op::Join(group, user, Role::Member)).collect();
                world.apply(&joins).await.feeds
            })
        })
        .collect();
    let mut moves = Vec::new();
    for task in tasks {
        moves.extend(task.await.unwrap());
    }
    for user in &people {
        let mut seqs: Vec<_> = moves.iter().filter(|(_, id, _)| *id == user.id).map(|(_, _, seq)| *seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=12).collect::<Vec<_>>());
        let feed = world.store.feed(user.id, 0).await.unwrap();
        assert_eq!((feed.user_seq, feed.items.len()), (12, 12));
        assert!(feed.items.windows(2).all(|pair| pair[0].user_seq < pair[1].user_seq));
    }
}

/// So that every node closes the right sockets.
pub async fn revoked_sessions_and_disabling_are_in_the_feed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut sessions = Vec::new();
    for i in 0..3 {
        let now = world.now();
        let session = NewSession {
            id: protocol::SessionId::generate(),
            user_id: ada.id,
            device: None,
            refresh_hash: vec![i; 32],
            expires_at: protocol::Timestamp::from_unix_millis(now.unix_millis() + 3_600_000).unwrap(),
            now,
        };
        sessions.push(session.id);
        world.store.create_session(session).await.unwrap();
    }
    assert_eq!(world.store.revoke_sessions(ada.id, Some(sessions[1]), world.now()).await.unwrap(), Some(1));
    let rest = world.store.revoke_sessions(ada.id, None, world.now()).await.unwrap().unwrap();
    let (_, disabled) = world.store.set_disabled(world.org, ada.id, true, None, world.now()).await.unwrap().unwrap();
    let disabled = disabled.unwrap();
    assert!(rest > 1 && disabled > rest);
    let feed = world.store.feed(ada.id, 0).await.unwrap();
    assert_eq!(feed.user_seq, disabled);
    let mut revoked = HashSet::new();
    for item in &feed.items {
        match item.change {
            FeedChange::SessionRevoked(id) => assert!(revoked.insert(id)),
            FeedChange::Disabled(on) => assert!(on && item.user_seq == disabled),
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!(revoked, sessions.iter().copied().collect());
    assert!(feed.items.windows(2).all(|pair| pair[0].user_seq < pair[1].user_seq), "a place of its own each");
    let (_, enabled) = world.store.set_disabled(world.org, ada.id, false, None, world.now()).await.unwrap().unwrap();
    let enabled = enabled.unwrap();
    let feed = world.store.feed(ada.id, disabled).await.unwrap();
    assert_eq!((feed.user_seq, feed.items.len()), (enabled, 1));
    assert!(matches!(feed.items[0].change, FeedChange::Disabled(false)));
}

/// With the head of the feed and the epoch, in one snapshot.
pub async fn memberships_are_the_newest_conversations_with_their_heads(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut groups = Vec::new();
    for _ in 0..5 {
        groups.push(world.group(&[&ada, &bob]).await);
    }
    world.send(groups[1], &bob, "newest").await;
    world.apply(&[Op::Leave(groups[4], ada.clone())]).await;
    let member = world.store.memberships(ada.id, 10).await.unwrap();
    let items: Vec<_> = member.items.iter().map(|item| (item.conversation_id, item.last_seq)).collect();
    assert_eq!(items, [(groups[1], 2), (groups[3], 1), (groups[2], 1), (groups[0], 1)]);
    assert_eq!(member.user_seq, 6);
    assert!(member.items.iter().all(|item| item.access_since_seq == 0));
    let newest = world.store.memberships(ada.id, 2).await.unwrap();
    assert_eq!(newest.items, member.items[..2]);
    let nobody = world.store.memberships(UserId::generate(), 10).await.unwrap();
    assert_eq!((nobody.user_seq, nobody.items.len(), nobody.epoch), (0, 0, member.epoch));
}

/// Of those who are asked about; at that head, with what they may read. Nobody takes part in what is deleted.
pub async fn who_takes_part_is_told_with_the_head(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    let head = world.head(group).await;
    let nobody = UserId::generate();
    let at = |last_seq, access_since_seq| Members { last_seq, is_deleted: false, access_since_seq };
    let told = world.store.members(group, &[ada.id, bob.id, nobody]).await.unwrap();
    assert_eq!(told, Some(at(head, vec![(ada.id, 0)])));
    assert_eq!(world.store.members(group, &[]).await.unwrap(), Some(at(head, Vec::new())));
    assert_eq!(world.store.members(ConversationId::generate(), &[ada.id]).await.unwrap(), None);
    world.apply(&[Op::Close(group, ada.clone())]).await;
    let closed = Members { is_deleted: true, ..at(world.head(group).await, Vec::new()) };
    assert_eq!(world.store.members(group, &[ada.id, cyd.id]).await.unwrap(), Some(closed));

    let since_join = NewConversation {
        history: History::SinceJoin,
        ..world.new_conversation(ConversationKind::Group, &[&ada, &bob])
    };
    let group = world.create(since_join).await.id;
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    world.send(group, &ada, "while bob is out").await;
    let out = world.head(group).await;
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    let told = world.store.members(group, &[bob.id]).await.unwrap();
    assert_eq!(told, Some(at(world.head(group).await, vec![(bob.id, out)])));
}

/// Batched, up to 2,000.
pub async fn heads_leave_out_what_is_unknown(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let (one, two) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
    world.send(two, &ada, "hello").await;
    let mut ids: Vec<ConversationId> = (0..1_998).map(|_| ConversationId::generate()).collect();
    ids.extend([one, two]);
    let heads: HashSet<_> = world.store.heads(&ids).await.unwrap().items.into_iter().collect();
    assert_eq!(heads, HashSet::from([(one, 1), (two, 2)]));
    let mut ids: Vec<UserId> = (0..1_999).map(|_| UserId::generate()).collect();
    ids.push(ada.id);
    assert_eq!(world.store.feed_heads(&ids).await.unwrap(), [(ada.id, 2)]);
    assert!(world.store.heads(&[]).await.unwrap().items.is_empty());
    assert!(world.store.feed_heads(&[]).await.unwrap().is_empty());
}
