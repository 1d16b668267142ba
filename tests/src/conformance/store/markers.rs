//! Markers, and what is unread: derived from two numbers, never counted.

use std::sync::Arc;

use protocol::{ConversationId, Receipt, Role, User, UserId};
use store::{Marked, Store};

use super::{
    op::Op,
    world::{Mark, World},
};

async fn mark(world: &World, user: &User, conversation: ConversationId, mark: Mark) -> Marked {
    world.mark(user.id, conversation, mark).await.unwrap()
}

async fn unread(world: &World, user: &User, conversation: ConversationId) -> u64 {
    world.store.conversation(user.id, conversation).await.unwrap().unwrap().unread_count
}

/// A late or a wild one does nothing.
pub async fn markers_only_move_forward_and_stop_at_the_head(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    for i in 0..5 {
        world.send(group, &ada, &format!("{i}")).await;
    }
    let first = mark(&world, &bob, group, Mark::Read(3)).await;
    assert_eq!(first, Marked { delivered_seq: 3, read_seq: 3, read_number: 2, moved: true, participant_count: 2 });
    for late in [0, 1, 2, 3] {
        assert_eq!(mark(&world, &bob, group, Mark::Read(late)).await, Marked { moved: false, ..first });
        assert_eq!(mark(&world, &bob, group, Mark::Delivered(late)).await, Marked { moved: false, ..first });
    }
    let wild = mark(&world, &bob, group, Mark::Read(1_000)).await;
    assert_eq!(wild, Marked { delivered_seq: 6, read_seq: 6, read_number: 5, moved: true, participant_count: 2 });
    assert!(!mark(&world, &bob, group, Mark::Read(1_000)).await.moved);
    world.send(group, &ada, "new").await;
    assert_eq!(unread(&world, &bob, group).await, 1, "a mark past the head meant the head of then");
}

/// Reading is more than getting.
pub async fn read_implies_delivered_and_not_the_other_way_round(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    for i in 0..5 {
        world.send(group, &ada, &format!("{i}")).await;
    }
    let got = mark(&world, &bob, group, Mark::Delivered(4)).await;
    assert_eq!((got.delivered_seq, got.read_seq, got.moved), (4, 1, true));
    assert_eq!(unread(&world, &bob, group).await, 5, "what was delivered is still unread");
    let read = mark(&world, &bob, group, Mark::Read(3)).await;
    assert_eq!((read.delivered_seq, read.read_seq, read.moved), (4, 3, true));
    let read = mark(&world, &bob, group, Mark::Read(5)).await;
    assert_eq!((read.delivered_seq, read.read_seq, read.moved), (5, 5, true));
}

/// System messages, edits and deletions count nothing.
pub async fn unread_counts_messages_and_nothing_else(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    assert_eq!(unread(&world, &bob, group).await, 0);
    let first = world.send(group, &ada, "one").await;
    let second = world.send(group, &ada, "two").await;
    world.apply(&[Op::Rename(group, ada.clone(), protocol::ConversationPatch::default())]).await;
    world.apply(&[Op::Edit(group, first.id, "uno".into())]).await;
    assert_eq!(unread(&world, &bob, group).await, 2);
    world.apply(&[Op::Delete(group, second.id)]).await;
    assert_eq!(unread(&world, &bob, group).await, 2, "a deleted message keeps its number");
    mark(&world, &bob, group, Mark::Read(first.seq)).await;
    assert_eq!(unread(&world, &bob, group).await, 1);
    mark(&world, &bob, group, Mark::Read(second.seq)).await;
    assert_eq!(unread(&world, &bob, group).await, 0);
    let list = world.list(bob.id, None, 5).await.unwrap().items;
    assert_eq!((list[0].unread_count, list[0].read_seq), (0, second.seq));
}

/// Who answers has read what came before; who changes the conversation itself has not.
pub async fn sending_moves_ones_own_markers(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    world.send(group, &ada, "one").await;
    world.send(group, &ada, "two").await;
    assert_eq!((unread(&world, &ada, group).await, unread(&world, &bob, group).await), (0, 2));
    let answer = world.send(group, &bob, "three").await;
    assert_eq!((unread(&world, &ada, group).await, unread(&world, &bob, group).await), (1, 0));
    let again = mark(&world, &bob, group, Mark::Read(answer.seq)).await;
    assert_eq!((again.read_seq, again.delivered_seq, again.moved), (answer.seq, answer.seq, false));
    let batch = [Op::send(group, &ada, "four"), Op::send(group, &bob, "five"), Op::send(group, &ada, "six")];
    world.apply(&batch).await;
    assert_eq!((unread(&world, &ada, group).await, unread(&world, &bob, group).await), (0, 1));
    world.apply(&[Op::Rename(group, bob.clone(), protocol::ConversationPatch::default())]).await;
    assert_eq!(unread(&world, &bob, group).await, 1, "who renames has not thereby read");
}

/// Nobody is greeted with a thousand unread messages.
pub async fn joining_and_coming_back_set_the_markers_to_the_head(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    for i in 0..5 {
        world.send(group, &ada, &format!("{i}")).await;
    }
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    let seen = world.store.conversation(bob.id, group).await.unwrap().unwrap();
    assert_eq!((seen.unread_count, seen.read_seq), (0, 7));
    world.send(group, &ada, "new").await;
    assert_eq!(unread(&world, &bob, group).await, 1);
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    world.send(group, &ada, "meanwhile").await;
    // In one batch with messages around it: what came after the join is unread.
    let batch = [
        Op::send(group, &ada, "before"),
        Op::Join(group, bob.clone(), Role::Member),
        Op::send(group, &ada, "after"),
        Op::send(group, &ada, "after that"),
    ];
    world.apply(&batch).await;
    let seen = world.store.conversation(bob.id, group).await.unwrap().unwrap();
    assert_eq!((seen.unread_count, seen.read_seq, seen.last_seq), (2, 12, 14));
    let marked = mark(&world, &bob, group, Mark::Delivered(12)).await;
    assert_eq!((marked.delivered_seq, marked.moved), (12, false));
}

/// `seq` may be that of an edit, or of a place where no message is any more the newest.
pub async fn a_mark_between_messages_counts_the_one_before_it(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let first = world.send(group, &ada, "one").await;
    world.apply(&[Op::Edit(group, first.id, "uno".into())]).await;
    world.send(group, &ada, "two").await;
    mark(&world, &bob, group, Mark::Read(3)).await;
    assert_eq!(unread(&world, &bob, group).await, 1);
    mark(&world, &bob, group, Mark::Read(4)).await;
    assert_eq!(unread(&world, &bob, group).await, 0);
}

/// Nobody else, and not after leaving.
pub async fn only_participants_have_markers(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    for nobody in [bob.id, UserId::generate()] {
        assert_eq!(world.mark(nobody, group, Mark::Read(1)).await, None);
    }
    assert_eq!(world.mark(ada.id, ConversationId::generate(), Mark::Read(1)).await, None);
    world.apply(&[Op::Leave(group, ada.clone())]).await;
    assert_eq!(world.mark(ada.id, group, Mark::Read(1)).await, None);
}

/// A user's devices mark at once, in any order.
pub async fn marks_from_many_tasks_end_at_the_furthest(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let batch: Vec<Op> = (0..20).map(|i| Op::send(group, &ada, &format!("{i}"))).collect();
    world.apply(&batch).await;
    let tasks: Vec<_> = (0..20_u64)
        .map(|i| {
            let (world, bob) = (Arc::clone(&world), bob.clone());
            tokio::spawn(async move {
                let seq = 2 + (i * 7) % 20;
                mark(&world, &bob, group, if i % 2 == 0 { Mark::Read(seq) } else { Mark::Delivered(seq) }).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let furthest_read = (0..20_u64).step_by(2).map(|i| 2 + (i * 7) % 20).max().unwrap();
    let now = mark(&world, &bob, group, Mark::Read(0)).await;
    assert_eq!((now.read_seq, now.delivered_seq, now.moved), (furthest_read, 21, false));
    assert_eq!(unread(&world, &bob, group).await, 21 - furthest_read);
}

/// What a resume tells: all markers of conversations of ≤ 100, one's own of larger ones, none of foreign ones.
pub async fn receipts_of_small_conversations_are_everybodys_and_of_large_ones_ones_own(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..101 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let all: Vec<&User> = people.iter().collect();
    let small = world.group(&all[..3]).await;
    let hundred = world.group(&all[..100]).await;
    let large = world.group(&all).await;
    let foreign = world.group(&all[1..2]).await;
    world.send(small, all[1], "hello").await;
    world.apply(&[Op::Leave(small, people[2].clone())]).await;
    mark(&world, all[0], small, Mark::Delivered(2)).await;

    let asked = [small, hundred, large, foreign, ConversationId::generate()];
    let receipts = world.store.receipts(all[0].id, &asked).await.unwrap();
    let of = |id: ConversationId| receipts.iter().filter(|r| r.conversation_id == id).copied().collect::<Vec<_>>();
    let mut of_small = of(small);
    of_small.sort_by_key(|receipt| receipt.user_id);
    let expected = [
        Receipt { conversation_id: small, user_id: all[0].id, delivered_seq: 2, read_seq: 1, read_number: 0 },
        Receipt { conversation_id: small, user_id: all[1].id, delivered_seq: 2, read_seq: 2, read_number: 1 },
    ];
    assert_eq!(of_small, expected, "who left is not told of");
    assert_eq!(of(hundred).len(), 100);
    assert_eq!(of(large).iter().map(|receipt| receipt.user_id).collect::<Vec<_>>(), [all[0].id]);
    assert!(of(foreign).is_empty());
    assert!(world.store.receipts(all[0].id, &[]).await.unwrap().is_empty());
}
