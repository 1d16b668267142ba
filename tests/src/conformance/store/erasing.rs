//! What is left of a conversation after it was deleted.

use std::{collections::HashSet, sync::Arc};

use protocol::{ConversationId, Timestamp, User};
use store::{Erasures, Store};

use super::{op::Op, world::World};

/// More than one step takes.
const SENT: u64 = 7;
/// Messages of one step.
const STEP: u32 = 3;

/// A conversation of theirs with some of what may happen in one, closed; when that was.
async fn closed(world: &World, ada: &User, bob: &User) -> (ConversationId, Timestamp) {
    let room = world.group(&[ada, bob]).await;
    for number in 0..SENT {
        let message = world.send(room, ada, &format!("number {number}")).await;
        let change = match number {
            0 => Op::Edit(room, message.id, "another".into()),
            1 => Op::React(room, message.id, bob.clone(), "👍".into()),
            2 => Op::Pin(room, message.id, true),
            3 => Op::Delete(room, message.id),
            _ => continue,
        };
        world.apply(&[change]).await;
    }
    world.apply(&[Op::Close(room, ada.clone())]).await;
    let deleted_at = world.store.standing(room, ada.id).await.unwrap().unwrap().deleted_at;
    (room, deleted_at.unwrap())
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(at.unix_millis() - 1).unwrap()
}

/// Erases what is due, step by step, until nothing is left that is nobody else's; how many messages of which.
async fn erase_all(store: &dyn Store, before: Timestamp) -> Vec<(ConversationId, u64, bool)> {
    let mut steps = Vec::new();
    for room in store.to_erase(before, 100).await.unwrap() {
        while let Some(step) = store.erase(room, STEP).await.unwrap() {
            assert!(step.messages <= u64::from(STEP), "{step:?}");
            steps.push((room, step.messages, step.done));
            if step.done {
                break;
            }
        }
    }
    steps
}

/// Not before it is due, then in steps, each of which says what it did, and never again.
pub async fn a_deleted_conversation_is_erased_in_steps_when_it_is_due(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let nothing = Erasures { conversations: 0, due: 0, oldest: None };
    assert_eq!(world.store.erasures(world.now()).await.unwrap(), nothing);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (room, deleted_at) = closed(&world, &ada, &bob).await;
    let early = just_before(deleted_at);
    assert_eq!(world.store.to_erase(early, 10).await.unwrap(), []);
    let waits = Erasures { conversations: 1, due: 0, oldest: Some(deleted_at) };
    assert_eq!(world.store.erasures(early).await.unwrap(), waits);
    assert_eq!(world.store.erasures(deleted_at).await.unwrap(), Erasures { due: 1, ..waits });
    assert_eq!(world.store.to_erase(deleted_at, 10).await.unwrap(), [room]);
    assert_eq!(world.store.to_erase(deleted_at, 0).await.unwrap(), []);

    let end = world.store.standing(room, ada.id).await.unwrap().unwrap().last_seq;
    let steps = erase_all(&*world.store, deleted_at).await;
    let erased: u64 = steps.iter().map(|(_, messages, _)| messages).sum();
    // The first one, which tells of the beginning, too.
    assert_eq!(erased, SENT + 1);
    assert_eq!(steps.iter().filter(|(_, _, done)| *done).count(), 1);
    assert_eq!(world.store.erase(room, STEP).await.unwrap(), None);
    assert_eq!(world.store.to_erase(deleted_at, 10).await.unwrap(), []);
    assert_eq!(world.store.erasures(deleted_at).await.unwrap(), nothing);
    for seq in 1..end {
        let placed = world.store.placed_at(room, seq).await.unwrap();
        assert!(placed.is_none_or(|message| message.deleted_at.is_some()), "message {seq}");
    }
    let last = world.store.placed_at(room, end).await.unwrap().unwrap();
    assert_eq!(last.deleted_at, None, "who deletes it once more is told of the deletion");
}

/// What is not deleted is nobody's to erase.
pub async fn a_conversation_that_is_not_deleted_is_not_erased(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let room = world.group(&[&ada]).await;
    let message = world.send(room, &ada, "stays").await;
    for id in [room, ConversationId::generate()] {
        assert_eq!(world.store.erase(id, STEP).await.unwrap(), None);
    }
    assert_eq!(world.store.message(ada.id, message.id).await.unwrap(), Some(message));
}

/// Nobody waits for another one, and each conversation is finished once.
pub async fn those_who_erase_at_once_share_the_work(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (mut rooms, mut last) = (HashSet::new(), None);
    for _ in 0..4 {
        let (room, deleted_at) = closed(&world, &ada, &bob).await;
        rooms.insert(room);
        last = last.max(Some(deleted_at));
    }
    let before = last.unwrap();
    let work: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { erase_all(&*store, before).await })
        })
        .collect();
    let mut steps = Vec::new();
    for task in work {
        steps.extend(task.await.unwrap());
    }
    // Who had none at hand went on: what each left to another may be left.
    steps.extend(erase_all(&*world.store, before).await);
    let done: Vec<_> = steps.iter().filter(|(_, _, done)| *done).map(|(room, _, _)| *room).collect();
    assert_eq!((done.len(), done.into_iter().collect::<HashSet<_>>()), (rooms.len(), rooms));
    assert_eq!(steps.iter().map(|(_, messages, _)| messages).sum::<u64>(), 4 * (SENT + 1), "each message once");
    assert_eq!(world.store.erasures(before).await.unwrap().conversations, 0);
}
