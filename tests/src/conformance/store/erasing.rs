//! What is left of a conversation after it was deleted.

use std::{collections::HashSet, sync::Arc};

use protocol::{ConversationId, Timestamp, User};
use store::{Erased, Store, ToErase};

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

/// Not before it is due, then in steps, each of which says what it did, and never again.
pub async fn a_deleted_conversation_is_erased_in_steps_when_it_is_due(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let nothing = ToErase { conversations: 0, due: 0, oldest: None };
    assert_eq!(world.store.to_erase(world.now()).await.unwrap(), nothing);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (room, deleted_at) = closed(&world, &ada, &bob).await;
    let early = just_before(deleted_at);
    assert_eq!(world.store.erase_deleted(early, STEP).await.unwrap(), None);
    let waits = ToErase { conversations: 1, due: 0, oldest: Some(deleted_at) };
    assert_eq!(world.store.to_erase(early).await.unwrap(), waits);
    assert_eq!(world.store.to_erase(deleted_at).await.unwrap(), ToErase { due: 1, ..waits });

    let mut erased = 0;
    loop {
        let step = world.store.erase_deleted(deleted_at, STEP).await.unwrap().unwrap();
        assert!(step.conversation == room && step.messages <= u64::from(STEP), "{step:?}");
        erased += step.messages;
        if step.done {
            break;
        }
    }
    // Its own of having been made and of its end are messages too.
    assert!(erased > SENT, "{erased} of {SENT}");
    assert_eq!(world.store.erase_deleted(deleted_at, STEP).await.unwrap(), None);
    assert_eq!(world.store.to_erase(deleted_at).await.unwrap(), nothing);
    for seq in 1..=SENT {
        let placed = world.store.placed_at(room, seq).await.unwrap();
        assert!(placed.is_none_or(|message| message.deleted_at.is_some()), "message {seq}");
    }
}

/// Nobody waits for another one, and each conversation is finished once.
pub async fn those_who_erase_at_once_share_the_work(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let other = world.group(&[&ada]).await;
    let (mut rooms, mut last) = (HashSet::new(), None);
    for _ in 0..4 {
        let (room, deleted_at) = closed(&world, &ada, &bob).await;
        rooms.insert(room);
        last = last.max(Some(deleted_at));
    }
    let before = last.unwrap();
    let work = (0..4).map(|_| {
        let store = Arc::clone(&world.store);
        tokio::spawn(async move {
            let mut done: Vec<Erased> = Vec::new();
            while let Some(step) = store.erase_deleted(before, STEP).await.unwrap() {
                done.extend(step.done.then_some(step));
            }
            done
        })
    });
    let mut done: Vec<ConversationId> = Vec::new();
    for task in work.collect::<Vec<_>>() {
        done.extend(task.await.unwrap().iter().map(|step| step.conversation));
    }
    assert_eq!(done.len(), rooms.len(), "each once: {done:?}");
    assert_eq!(done.into_iter().collect::<HashSet<_>>(), rooms);
    let left = world.store.to_erase(before).await.unwrap();
    assert_eq!((left.conversations, world.head(other).await), (0, 1), "what is not deleted stays");
}
