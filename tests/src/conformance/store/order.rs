//! One order: dense seqs under the lock, whole batches or nothing, snapshots.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protocol::{ConversationId, MessageId, MessageKind, Role, UserId};
use store::{Scope, Store, StoreError, WriteConversation, Writes};

use super::{
    op::Op,
    world::{World, text, texts},
};

/// System messages take a seq and repeat the last number.
pub async fn seqs_are_dense_and_numbers_count_only_messages(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    for content in ["one", "two", "three"] {
        world.send(group, &ada, content).await;
    }
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    let last = world.send(group, &bob, "four").await;
    let history = world.history(&ada, group).await;
    let places: Vec<_> = history.iter().map(|message| (message.seq, message.changed_seq, message.number)).collect();
    assert_eq!(places, [(1, 1, 0), (2, 2, 1), (3, 3, 2), (4, 4, 3), (5, 5, 3), (6, 6, 4)]);
    assert_eq!(history[4].kind, MessageKind::System);
    assert_eq!((last.kind, last.sender.id), (MessageKind::Text, bob.id));
    assert_eq!(world.assert_dense(group).await, 6);
}

/// The store is given a batch in one call; what it made comes back.
pub async fn a_batch_of_many_messages_for_many_conversations_is_one_write(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut groups = Vec::new();
    for _ in 0..5 {
        groups.push(world.group(&[&ada]).await);
    }
    let batch: Vec<Op> =
        (0..200).map(|i| Op::send(groups[i % groups.len()], &ada, &format!("{}", i / groups.len()))).collect();
    let committed = world.apply(&batch).await;
    assert_eq!(committed.messages.len(), 200);
    assert!(committed.feeds.is_empty());
    for group in groups {
        assert_eq!(world.assert_dense(group).await, 41);
        let sent: Vec<String> = (0..40).map(|i| i.to_string()).collect();
        let history = world.history(&ada, group).await;
        assert_eq!(texts(&history)[1..], sent, "in the order of the batch");
        for message in &history[1..] {
            assert_eq!(&committed.messages[&message.id], message, "what came back is what is read");
        }
    }
}

/// The lock is taken before the head is read.
pub async fn fifty_tasks_appending_to_one_conversation_leave_no_hole(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let (world, ada) = (Arc::clone(&world), ada.clone());
            tokio::spawn(async move {
                let mut last = 0;
                for i in 0..4 {
                    let sent = world.send(group, &ada, &format!("{task}.{i}")).await;
                    assert!(sent.seq > last, "one's own messages keep their order");
                    last = sent.seq;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.assert_dense(group).await, 201);
    let history = world.history(&ada, group).await;
    let mut seen = texts(&history)[1..].to_vec();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200, "each message once");
}

/// Locks are taken by id, whatever the order in a batch.
pub async fn batches_over_overlapping_conversations_neither_deadlock_nor_leave_holes(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let mut groups = Vec::new();
    for _ in 0..6 {
        groups.push(world.group(&[&ada]).await);
    }
    let tasks: Vec<_> = (0..30_usize)
        .map(|task| {
            let (world, ada, groups) = (Arc::clone(&world), ada.clone(), groups.clone());
            tokio::spawn(async move {
                for round in 0..3 {
                    // Three of the six, in an order that differs from task to task.
                    let at = |i: usize| groups[(task * 5 + round + i * (1 + task % 5)) % 6];
                    let batch: Vec<Op> = (0..3).map(|i| Op::send(at(i), &ada, "hello")).collect();
                    assert_eq!(world.apply(&batch).await.messages.len(), 3);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut sent = 0;
    for group in groups {
        sent += world.assert_dense(group).await - 1;
    }
    assert_eq!(sent, 30 * 3 * 3);
}

/// A batch of retries, for instance.
pub async fn a_decision_to_write_nothing_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let scope = Scope { conversations: vec![group], users: vec![ada.id], ..Scope::default() };
    let committed = world.store.change(&scope, &|_| Writes::default()).await.unwrap();
    assert!(committed.messages.is_empty() && committed.feeds.is_empty());
    let committed = world.store.change(&Scope::default(), &|_| Writes::default()).await.unwrap();
    assert!(committed.messages.is_empty());
    assert_eq!(world.head(group).await, 1);
    assert_eq!(world.send(group, &ada, "next").await.seq, 2);
}

/// The caller splits the batch and tries again: that must find nothing half done.
pub async fn a_refused_write_takes_its_batch_back_and_leaves_no_hole(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let (one, two) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
    let taken = world.send(two, &ada, "first").await.id;
    let mut twin = Op::send(two, &ada, "same id");
    if let Op::Send { id, .. } = &mut twin {
        *id = taken;
    }
    let bob = world.user("bob").await;
    let batch = [Op::send(one, &ada, "good"), Op::Join(one, bob.clone(), Role::Member), twin, Op::send(two, &ada, "x")];
    let refused = world.try_apply(&batch).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!((world.head(one).await, world.head(two).await), (1, 2));
    assert!(world.store.memberships(bob.id, 10).await.unwrap().items.is_empty());
    assert_eq!(world.store.feed_heads(&[bob.id]).await.unwrap(), [(bob.id, 0)]);
    assert_eq!(world.send(one, &ada, "good").await.seq, 2);
    assert_eq!(world.send(two, &ada, "x").await.seq, 3);
    world.assert_dense(one).await;
    world.assert_dense(two).await;

    let seqs_twice = Scope { conversations: vec![one], users: vec![ada.id], ..Scope::default() };
    let refused = world.store.change(&seqs_twice, &|_| at_seq(one, ada.id, 2)).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "a seq that is taken: {refused:?}");
    assert_eq!(world.assert_dense(one).await, 2);
}

fn at_seq(conversation: ConversationId, sender: UserId, seq: u64) -> Writes {
    let message = text(conversation, sender, (seq, seq), "x");
    let row = WriteConversation { last_seq: seq, last_number: seq, ..WriteConversation::default() };
    Writes { inserts: vec![message], conversations: [(conversation, row)].into_iter().collect(), ..Writes::default() }
}

/// U+0000 is what the domain forbids; should it come through, it fails as a bad value, not as a defect.
pub async fn a_text_that_cannot_be_stored_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let refused = world.try_apply(&[Op::send(group, &ada, "fine"), Op::send(group, &ada, "nul \0 nul")]).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(world.head(group).await, 1);
    assert_eq!(world.send(group, &ada, "fine").await.seq, 2);
}

/// Rows that do not exist are absent, and a message is found in the scope's conversations alone.
pub async fn what_a_scope_does_not_name_or_is_not_there_is_absent(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two) = (world.group(&[&ada, &bob]).await, world.group(&[&ada]).await);
    let (here, there) = (world.send(one, &ada, "here").await, world.send(two, &ada, "there").await);
    world.apply(&[Op::Leave(one, bob.clone())]).await;
    let (nowhere, nobody) = (ConversationId::generate(), UserId::generate());
    let scope = Scope {
        conversations: vec![one, nowhere, one],
        participants: vec![(one, ada.id), (one, bob.id), (one, nobody), (nowhere, ada.id)],
        client_ids: vec![(one, ada.id, "never".into())],
        messages: vec![here.id, there.id, MessageId::generate()],
        users: vec![ada.id, nobody, ada.id],
        reactions: vec![(here.id, ada.id, "👍".into()), (there.id, ada.id, "👍".into())],
        notifies: true,
    };
    world
        .store
        .change(&scope, &|locked| {
            assert_eq!(locked.conversations.keys().collect::<Vec<_>>(), [&one]);
            assert_eq!(locked.participants.len(), 2);
            assert!(locked.participants[&(one, ada.id)].active);
            assert!(!locked.participants[&(one, bob.id)].active, "who left is there, not active");
            assert!(locked.by_client_id.is_empty() && locked.reactions.is_empty());
            assert!(locked.preferences.is_empty() && locked.blocks.is_empty());
            assert_eq!(locked.messages.keys().collect::<Vec<_>>(), [&here.id]);
            assert_eq!(locked.messages[&here.id], here);
            assert_eq!(locked.users.keys().collect::<Vec<_>>(), [&ada.id]);
            Writes::default()
        })
        .await
        .unwrap();
}

/// The head that an answer moves to is read in the snapshot of the changes.
pub async fn changes_and_the_head_they_lead_to_are_of_one_moment(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (world, ada, done) = (Arc::clone(&world), ada.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut cursor = 0;
                while !done.load(Ordering::Relaxed) || cursor < world.head(group).await {
                    let page = world.store.changes(Some(ada.id), group, cursor, 500).await.unwrap().unwrap();
                    let seqs: Vec<_> = page.changes.iter().map(|change| change.seq).collect();
                    assert_eq!(seqs, (cursor + 1..=page.to).collect::<Vec<_>>(), "the head is ahead of its changes");
                    cursor = page.to;
                    let seen = world.store.conversation(ada.id, group).await.unwrap().unwrap();
                    assert_eq!(seen.last_message.unwrap().seq, seen.last_seq);
                }
                cursor
            })
        })
        .collect();
    for i in 0..150 {
        world.send(group, &ada, &i.to_string()).await;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 151);
    }
}
