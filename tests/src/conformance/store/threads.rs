//! Threads: what hangs under a message is derived and takes no seq of it.

use std::sync::Arc;

use protocol::{MessageId, User};
use store::{Store, StoreError};

use super::{
    op::Op,
    world::{World, texts},
};

async fn thread(world: &World, viewer: &User, root: MessageId) -> protocol::Thread {
    world.store.message(viewer.id, root).await.unwrap().unwrap().thread.unwrap()
}

/// A reply is a message like any other; its root counts it without being changed.
pub async fn a_thread_is_counted_at_its_root(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let root = world.send(group, &ada, "plans").await;
    assert_eq!((root.thread.as_ref(), root.thread_root_id), (None, None));
    let first = world.apply_one(Op::in_thread(group, &bob, "mine", root.id)).await;
    assert_eq!((first.seq, first.number, first.thread_root_id), (3, 2, Some(root.id)));
    assert_eq!(world.store.message(ada.id, first.id).await.unwrap(), Some(first.clone()));

    let seen = world.store.message(bob.id, root.id).await.unwrap().unwrap();
    assert_eq!((seen.seq, seen.changed_seq), (2, 2), "the root did not change");
    let under = seen.thread.unwrap();
    assert_eq!((under.reply_count, under.last_reply_seq, under.last_reply_at), (1, 3, first.created_at));
    assert_eq!(under.last_repliers.iter().map(|it| it.id).collect::<Vec<_>>(), [bob.id]);
    let changes = world.changes(group, 2).await;
    assert_eq!((changes.to, changes.changes.len()), (3, 1));
    assert_eq!(texts(&world.history(&ada, group).await)[1..], ["plans", "mine"]);
    assert_eq!(world.view(&ada, group).await.unread_count, 1, "replies count as unread");

    world.apply(&[Op::Delete(group, first.id)]).await;
    let under = thread(&world, &ada, root.id).await;
    assert_eq!((under.reply_count, under.last_reply_seq), (1, 3), "a tombstone keeps its place");
    let gone = world.apply_one(Op::Delete(group, root.id)).await;
    assert_eq!(gone.thread, Some(under), "also under a tombstone");
    world.assert_head(group, 5).await;
}

/// The latest first, each once, over batches and within one.
pub async fn a_thread_names_its_last_three_repliers(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        people.push(world.user(name).await);
    }
    let group = world.group(&people.iter().collect::<Vec<_>>()).await;
    let (root, other) =
        (world.send(group, &people[0], "root").await.id, world.send(group, &people[0], "other").await.id);
    let reply = |who: usize| Op::in_thread(group, &people[who], "x", root);
    let names = async || {
        let under = thread(&world, &people[0], root).await;
        (under.reply_count, under.last_repliers.into_iter().map(|it| it.username).collect::<Vec<_>>().join(" "))
    };
    for (who, expected) in [(0, "ada"), (1, "bob ada"), (0, "ada bob"), (0, "ada bob"), (2, "cyd ada bob")] {
        world.apply(&[reply(who)]).await;
        assert_eq!(names().await.1, expected);
    }
    world.apply(&[reply(3), Op::in_thread(group, &people[1], "y", other), reply(0), reply(3)]).await;
    assert_eq!(names().await, (8, "dan ada cyd".into()));
    world.apply(&[reply(0), reply(1), reply(2), reply(3), reply(2)]).await;
    assert_eq!(names().await, (13, "cyd dan bob".into()));
    let last = world.head(group).await;
    assert_eq!(thread(&world, &people[0], root).await.last_reply_seq, last);
    assert_eq!(thread(&world, &people[0], other).await.reply_count, 1);
}

/// The root is in the conversation, or nothing is written.
pub async fn a_thread_whose_root_is_not_there_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let (here, there) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
    let foreign = world.send(there, &ada, "elsewhere").await;
    for root in [foreign.id, MessageId::generate()] {
        let refused = world.try_apply(&[Op::send(here, &ada, "x"), Op::in_thread(here, &ada, "y", root)]).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    world.assert_head(here, 1).await;
    assert_eq!(world.store.message(ada.id, foreign.id).await.unwrap().unwrap().thread, None);
}
