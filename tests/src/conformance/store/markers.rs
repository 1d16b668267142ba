//! Markers, and what is unread: derived from two numbers, never counted.

use std::sync::Arc;

use protocol::{ConversationId, Receipt, Role, User, UserId};
use store::{MarkRow, Marked, Marks, Store};

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

/// One answer per row, in their order; what one names twice over is not asked of it.
pub async fn a_batch_of_marks_is_answered_row_by_row(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let (one, two) = (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    for id in [one, two] {
        for _ in 0..4 {
            world.send(id, &ada, "hello").await;
        }
    }
    let row = |user: &User, conversation_id, delivered_seq, read_seq| MarkRow {
        user_id: user.id,
        conversation_id,
        delivered_seq,
        read_seq,
    };
    let rows = [
        row(&bob, two, Some(4), Some(2)),
        row(&cyd, one, None, Some(3)),
        row(&ada, one, None, Some(5)),
        row(&bob, one, Some(2), None),
        row(&bob, ConversationId::generate(), Some(2), None),
        row(&ada, two, None, None),
    ];
    let Marks { epoch, items: marked } = world.store.mark(&rows).await.unwrap();
    assert_eq!(epoch, world.store.health().await.unwrap().epoch);
    let seen: Vec<_> =
        marked.iter().map(|it| it.map(|it| (it.delivered_seq, it.read_seq, it.read_number, it.moved))).collect();
    let expected =
        [Some((4, 2, 1, true)), None, Some((5, 5, 4, false)), Some((2, 1, 0, true)), None, Some((5, 5, 4, false))];
    assert_eq!(seen, expected);
    assert_eq!(world.store.mark(&[]).await.unwrap(), Marks::default());
}

/// Above a hundred only what was read counts, and what was delivered with it.
pub async fn delivered_is_not_kept_in_large_conversations(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..101 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let all: Vec<&User> = people.iter().collect();
    let (hundred, large) = (world.group(&all[..100]).await, world.group(&all).await);
    for id in [hundred, large] {
        for _ in 0..4 {
            world.send(id, all[0], "hello").await;
        }
    }
    let marks = async |id, mark| {
        let marked = world.mark(people[1].id, id, mark).await.unwrap();
        (marked.delivered_seq, marked.read_seq, marked.moved, marked.participant_count)
    };
    assert_eq!(marks(hundred, Mark::Delivered(4)).await, (4, 1, true, 100));
    assert_eq!(marks(large, Mark::Delivered(4)).await, (1, 1, false, 101));
    assert_eq!(marks(large, Mark::Read(3)).await, (3, 3, true, 101));
    assert_eq!(marks(large, Mark::Delivered(5)).await, (3, 3, false, 101));
}

/// Batches of many users' marks, and their sends, over the same rows in any order.
pub async fn batches_of_marks_and_sends_do_not_wait_in_a_circle(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let mut people = Vec::new();
    for i in 0..4 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let mut groups = Vec::new();
    for _ in 0..6 {
        groups.push(world.group(&people.iter().collect::<Vec<_>>()).await);
    }
    let tasks: Vec<_> = (0..12_usize)
        .map(|task| {
            let (world, people, groups) = (Arc::clone(&world), people.clone(), groups.clone());
            tokio::spawn(async move {
                for round in 0..5_u64 {
                    let mut pairs: Vec<_> =
                        groups.iter().flat_map(|id| people.iter().map(|user| (*id, user))).collect();
                    pairs.rotate_left(task * 2);
                    if task % 2 == 0 {
                        pairs.reverse();
                    }
                    if task % 3 == 0 {
                        let batch: Vec<Op> = pairs.iter().map(|(id, user)| Op::send(*id, user, "hello")).collect();
                        world.apply(&batch).await;
                    } else {
                        let row = |(id, user): &(ConversationId, &User)| MarkRow {
                            user_id: user.id,
                            conversation_id: *id,
                            delivered_seq: Some(round * 8),
                            read_seq: Some(round * 4),
                        };
                        let rows: Vec<MarkRow> = pairs.iter().map(row).collect();
                        assert!(world.store.mark(&rows).await.unwrap().items.iter().all(Option::is_some));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for id in groups {
        world.assert_head(id, 1 + 4 * 5 * 4).await;
    }
}
