//! A retry is the same thing.

use std::{collections::HashSet, sync::Arc};

use protocol::ConversationKind;
use store::{Conflict, InsertMessage, NewConversation, Scope, Store, StoreError, WriteConversation, Writes};

use super::{
    op::Op,
    world::{World, text},
};

/// For ever, tombstones included.
pub async fn a_client_id_is_found_again_even_when_its_message_was_deleted(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let id = "Ünïcode \"quoted\" 'id' 🦆";
    let (committed, found) = world.try_apply(&[Op::send_once(group, &ada, "once", id)]).await.unwrap();
    assert!(found.is_empty());
    let sent = committed.messages.into_values().next().unwrap();
    assert_eq!(sent.client_id.as_deref(), Some(id));

    let (committed, found) = world.try_apply(&[Op::send_once(group, &ada, "again", id)]).await.unwrap();
    assert!(committed.messages.is_empty());
    assert_eq!(found[0].message, sent);
    assert_eq!(found[0].fingerprint, b"once", "the original request's, whatever the message says now");

    world.apply(&[Op::Delete(group, sent.id)]).await;
    let (committed, found) = world.try_apply(&[Op::send_once(group, &ada, "again", id)]).await.unwrap();
    assert!(committed.messages.is_empty());
    assert_eq!((found[0].message.id, found[0].fingerprint.as_slice()), (sent.id, &b"once"[..]));
    assert!(found[0].message.deleted_at.is_some());
    assert_eq!(world.head(group).await, 3, "a retry takes no seq");
}

/// The look-up starts after the lock is held: an older snapshot would miss what was just committed.
pub async fn one_send_tried_by_twenty_tasks_makes_one_message(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (world, ada) = (Arc::clone(&world), ada.clone());
            tokio::spawn(async move {
                let (committed, found) = world.try_apply(&[Op::send_once(group, &ada, "once", "a")]).await.unwrap();
                let made = committed.messages.len();
                let message = committed.messages.into_values().chain(found.into_iter().map(|f| f.message)).next();
                (made, message.unwrap().id)
            })
        })
        .collect();
    let (mut made, mut ids) = (0, HashSet::new());
    for task in tasks {
        let (new, id) = task.await.unwrap();
        made += new;
        ids.insert(id);
    }
    assert_eq!((made, ids.len()), (1, 1));
    assert_eq!(world.assert_dense(group).await, 2);
}

/// Unique per sender and conversation, and nothing more.
pub async fn a_client_id_belongs_to_one_sender_in_one_conversation(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two) = (world.group(&[&ada, &bob]).await, world.group(&[&ada]).await);
    let batch = [
        Op::send_once(one, &ada, "1", "same"),
        Op::send_once(one, &bob, "2", "same"),
        Op::send_once(two, &ada, "3", "same"),
        Op::send_once(one, &ada, "4", "Same"),
        Op::send(one, &ada, "5"),
        Op::send(one, &ada, "6"),
    ];
    assert_eq!(world.apply(&batch).await.messages.len(), 6);
}

/// Should a decision be wrong, the database itself does not double.
pub async fn a_second_message_with_the_same_client_id_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    world.apply(&[Op::send_once(group, &ada, "once", "a")]).await;
    let scope = Scope { conversations: vec![group], users: vec![ada.id], ..Scope::default() };
    let refused = world
        .store
        .change(&scope, &|_| {
            let twin = InsertMessage { client_id: Some("a".into()), ..text(group, ada.id, (3, 2), "twice") };
            let row = WriteConversation { last_seq: 3, last_number: 2, ..WriteConversation::default() };
            Writes { inserts: vec![twin], conversations: [(group, row)].into_iter().collect(), ..Writes::default() }
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(world.assert_dense(group).await, 2);
}

/// Both ends of a direct conversation may open it at once.
pub async fn twenty_tasks_that_open_a_direct_conversation_get_the_same_one(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let (world, ada, bob) = (Arc::clone(&world), ada.clone(), bob.clone());
            tokio::spawn(async move {
                let people = if i % 2 == 0 { [&ada, &bob] } else { [&bob, &ada] };
                let new = NewConversation {
                    direct_key: Some("ada+bob".into()),
                    ..world.new_conversation(ConversationKind::Direct, &people)
                };
                world.create(new).await
            })
        })
        .collect();
    let (mut made, mut ids) = (0, HashSet::new());
    for task in tasks {
        let created = task.await.unwrap();
        assert_eq!(created.message.is_some(), created.created);
        assert_eq!(created.feeds.len(), if created.created { 2 } else { 0 });
        made += usize::from(created.created);
        ids.insert(created.id);
    }
    assert_eq!((made, ids.len()), (1, 1));
    for user in [&ada, &bob] {
        assert_eq!(world.list(user.id, None, 10).await.unwrap().items.len(), 1);
        assert_eq!(world.store.feed_heads(&[user.id]).await.unwrap(), [(user.id, 1)]);
    }
    let seen = world.store.conversation(ada.id, ids.into_iter().next().unwrap()).await.unwrap().unwrap();
    assert_eq!(seen.other.map(|other| other.id), Some(bob.id));
}

/// Per creator; the fingerprint of the first request comes back, to be compared.
pub async fn twenty_tasks_with_one_idempotency_key_make_one_conversation(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let with_key = |world: &World, by: &protocol::User, print: u8| NewConversation {
        idempotency_key: Some("key".into()),
        fingerprint: vec![print; 32],
        ..world.new_conversation(ConversationKind::Group, &[by])
    };
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (world, new) = (Arc::clone(&world), with_key(&world, &ada, 1));
            tokio::spawn(async move { world.create(new).await })
        })
        .collect();
    let (mut made, mut ids) = (0, HashSet::new());
    for task in tasks {
        let created = task.await.unwrap();
        made += usize::from(created.created);
        ids.insert(created.id);
    }
    assert_eq!((made, ids.len()), (1, 1));
    let other_body = world.create(with_key(&world, &ada, 2)).await;
    assert_eq!((other_body.created, other_body.fingerprint), (false, vec![1; 32]));
    assert!(world.create(with_key(&world, &bob, 2)).await.created, "another creator's key is another key");
    assert_ne!(world.group(&[&ada]).await, world.group(&[&ada]).await, "no key: always new");
}

/// The key goes with the conversation.
pub async fn a_deleted_direct_conversation_can_be_opened_anew(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let direct = |world: &World| NewConversation {
        direct_key: Some("ada+bob".into()),
        ..world.new_conversation(ConversationKind::Direct, &[&ada, &bob])
    };
    let first = world.create(direct(&world)).await;
    world.apply(&[Op::Close(first.id, ada.clone())]).await;
    let second = world.create(direct(&world)).await;
    assert!(second.created && second.id != first.id);
}

/// And nothing is written.
pub async fn a_participant_of_another_org_is_unknown(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, eve) = (world.user("ada").await, world.foreigner("eve").await);
    let mut ghost = eve.clone();
    ghost.id = protocol::UserId::generate();
    for stranger in [&eve, &ghost] {
        let new = world.new_conversation(ConversationKind::Group, &[&ada, stranger]);
        let refused = world.store.create_conversation(new).await;
        assert!(matches!(refused, Err(StoreError::Conflict(Conflict::UnknownUser))), "{refused:?}");
    }
    assert_eq!(world.store.feed_heads(&[ada.id]).await.unwrap(), [(ada.id, 0)]);
    assert!(world.list(ada.id, None, 10).await.unwrap().items.is_empty());
}
