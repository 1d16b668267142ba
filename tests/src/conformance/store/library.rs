//! What is read around messages: threads, pins, versions, reactors, receipts of one message, whom it may mention.

use std::sync::Arc;

use protocol::{ConversationKind, History, MessageId, MessageReceipts, ReceiptState, Role, User, UserId};
use store::{Store, StoreError};

use super::{
    Op, World,
    world::Mark::{Delivered, Read},
    world::texts,
};

/// Page by page, tombstones in their places, and for nobody else.
pub async fn a_thread_is_its_root_and_its_replies_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let group = world.group(&[&ada, &bob]).await;
    let root = world.send(group, &ada, "root").await;
    let other = world.send(group, &ada, "another root").await;
    for text in ["one", "two", "three"] {
        world.apply(&[Op::in_thread(group, &bob, text, root.id), Op::in_thread(group, &ada, "no", other.id)]).await;
    }
    let thread = async |viewer: &User, id, after, limit| world.store.thread(viewer.id, id, after, limit).await.unwrap();
    let (seen, replies) = thread(&ada, root.id, 0, 10).await.unwrap();
    assert_eq!((seen.id, texts(&replies)), (root.id, vec!["one", "two", "three"]));
    assert_eq!(seen.thread.unwrap().reply_count, 3);
    assert!(replies.iter().all(|reply| reply.thread_root_id == Some(root.id)));
    world.apply(&[Op::Delete(group, replies[1].id)]).await;
    let (_, page) = thread(&bob, root.id, replies[0].seq, 1).await.unwrap();
    assert_eq!((page.len(), page[0].id, page[0].deleted_at.is_some()), (1, replies[1].id, true));
    let (seen, page) = thread(&bob, root.id, replies[2].seq, 10).await.unwrap();
    assert_eq!((seen.id, page.len()), (root.id, 0), "the end");
    assert!(thread(&bob, replies[0].id, 0, 10).await.unwrap().1.is_empty(), "a message without replies");
    assert!(thread(&eve, root.id, 0, 10).await.is_none());
    assert!(thread(&ada, MessageId::generate(), 0, 10).await.is_none());
}

/// The last pinned first; what is taken off or deleted is gone.
pub async fn pins_are_listed_last_pinned_first(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let group = world.group(&[&ada]).await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three", "four"] {
        sent.push(world.send(group, &ada, text).await.id);
    }
    for i in [1, 0, 3, 2] {
        world.apply(&[Op::Pin(group, sent[i], true)]).await;
    }
    world.apply(&[Op::React(group, sent[1], ada.clone(), "👍".into())]).await;
    let pins = async |viewer: &User| world.store.pins(viewer.id, group).await.unwrap();
    let listed = pins(&ada).await;
    assert_eq!(texts(&listed), ["three", "four", "one", "two"]);
    assert_eq!(listed[3].reactions[0].mine, Some(true));
    world.apply(&[Op::Pin(group, sent[3], false)]).await;
    world.apply(&[Op::Delete(group, sent[0])]).await;
    assert_eq!(texts(&pins(&ada).await), ["three", "two"]);
    assert!(pins(&eve).await.is_empty());
}

/// The texts from before, not the present one.
pub async fn a_message_keeps_what_it_said_before_each_edit(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "one").await.id;
    let versions = async |viewer: &User| world.store.versions(viewer.id, message).await.unwrap();
    assert_eq!(versions(&ada).await, Some(Vec::new()));
    world.apply(&[Op::Edit(group, message, "two".into())]).await;
    world.apply(&[Op::Edit(group, message, "three".into())]).await;
    let kept = versions(&ada).await.unwrap();
    assert_eq!(kept.iter().map(|version| version.content.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(kept[0].replaced_at < kept[1].replaced_at);
    assert_eq!(versions(&eve).await, None);
    world.apply(&[Op::Delete(group, message)]).await;
    assert_eq!(versions(&ada).await, Some(Vec::new()), "erased with the message");
}

/// In the order in which they reacted, each once, whatever came between the pages.
pub async fn reactors_are_listed_page_by_page_in_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..7 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let group = world.group(&people.iter().collect::<Vec<_>>()).await;
    let message = world.send(group, &people[0], "hello").await.id;
    let react = |i: usize, emoji: &str| Op::React(group, message, people[i].clone(), emoji.into());
    // At one moment: changes order them, not clocks.
    world.apply(&(0..7).rev().map(|i| react(i, "👍")).chain([react(3, "🎉")]).collect::<Vec<_>>()).await;
    let viewer = people[0].id;
    let page = async |emoji: Option<&str>, cursor: Option<&str>| {
        world.store.reactors(viewer, message, emoji, cursor, 3).await.unwrap().unwrap()
    };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(None, cursor.as_deref()).await;
        seen.extend(page.items.iter().map(|one| (one.user.username.clone(), one.emoji.clone())));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut expected: Vec<_> = (0..7).rev().map(|i| (format!("user{i}"), "👍".to_owned())).collect();
    expected.push(("user3".into(), "🎉".into()));
    assert_eq!(seen, expected);
    let party = page(Some("🎉"), None).await;
    assert_eq!((party.items.len(), party.next_cursor), (1, None));
    assert!(page(Some("💩"), None).await.items.is_empty());
    world.apply(&[Op::Unreact(group, message, people[3].clone(), "🎉".into())]).await;
    assert!(page(Some("🎉"), None).await.items.is_empty());
    let eve = world.user("eve").await;
    assert!(world.store.reactors(eve.id, message, None, None, 3).await.unwrap().is_none());
    for bad in ["x", "AAAA"] {
        let refused = world.store.reactors(viewer, message, None, Some(bad), 3).await;
        assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
    }
}

fn states(receipts: &MessageReceipts) -> Vec<(&str, ReceiptState)> {
    receipts.items.iter().map(|item| (item.user.username.as_str(), item.state)).collect()
}

/// Those who may see it, but its sender.
pub async fn receipts_of_a_message_are_everybodys_besides_its_sender(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let mut new = world.new_conversation(ConversationKind::Group, &[&ada]);
    new.history = History::SinceJoin;
    let group = world.create(new).await.id;
    for user in [&bob, &cid] {
        world.apply(&[Op::Join(group, user.clone(), Role::Member)]).await;
    }
    let message = world.send(group, &ada, "hello").await;
    let (dan, eve) = (world.user("dan").await, world.user("eve").await);
    world.apply(&[Op::Join(group, dan.clone(), Role::Member)]).await;
    let receipts = async |cursor: Option<&str>, limit| {
        world.store.message_receipts(ada.id, message.id, cursor, limit).await.unwrap().unwrap()
    };
    let nobody = receipts(None, 10).await;
    assert_eq!(states(&nobody), [("bob", ReceiptState::Sent), ("cid", ReceiptState::Sent)], "dan may not see it");
    assert_eq!((nobody.read_count, nobody.delivered_count, nobody.participant_count), (0, 0, 2));
    world.mark(cid.id, group, Delivered(message.seq)).await;
    world.mark(bob.id, group, Read(message.seq)).await;
    let page = receipts(None, 1).await;
    assert_eq!(states(&page), [("bob", ReceiptState::Read)]);
    assert_eq!((page.read_count, page.delivered_count, page.participant_count), (1, 2, 2), "totals are of all");
    let rest = receipts(page.next_cursor.as_deref(), 1).await;
    assert_eq!((states(&rest), &rest.next_cursor), (vec![("cid", ReceiptState::Delivered)], &None));
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    let left = receipts(None, 10).await;
    assert_eq!((left.read_count, left.participant_count), (0, 1));
    for outsider in [bob.id, dan.id, eve.id] {
        assert_eq!(world.store.message_receipts(outsider, message.id, None, 10).await.unwrap(), None);
    }
}

/// Delivered markers of larger conversations mean nothing.
pub async fn above_a_hundred_nobody_counts_as_delivered_who_did_not_read(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..101 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let group = world.group(&people[..100].iter().collect::<Vec<_>>()).await;
    let message = world.send(group, &people[0], "hello").await;
    world.mark(people[1].id, group, Read(message.seq)).await;
    world.mark(people[2].id, group, Delivered(message.seq)).await;
    let counts = async || {
        let receipts = world.store.message_receipts(people[0].id, message.id, None, 1).await.unwrap().unwrap();
        (receipts.read_count, receipts.delivered_count, receipts.participant_count)
    };
    assert_eq!(counts().await, (1, 2, 99));
    world.apply(&[Op::Join(group, people[100].clone(), Role::Member)]).await;
    assert_eq!(counts().await, (2, 2, 100), "who joins begins with everything read");
}

/// By name in any case or by id; who takes part now and nobody else.
pub async fn only_participants_can_be_mentioned(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("Bob").await, world.user("cid").await);
    let eve = world.user("eve").await;
    world.foreigner("mallory").await;
    let group = world.group(&[&ada, &bob, &cid]).await;
    world.apply(&[Op::Leave(group, cid.clone())]).await;
    let found = async |names: &[&str], ids: &[UserId]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut found: Vec<String> =
            world.store.mentionable(group, &names, ids).await.unwrap().into_iter().map(|user| user.username).collect();
        found.sort();
        found
    };
    assert_eq!(found(&["ADA", "bob", "cid", "eve", "mallory", "nobody"], &[]).await, ["Bob", "ada"]);
    assert_eq!(found(&["ada"], &[ada.id, bob.id, cid.id, eve.id, UserId::generate()]).await, ["Bob", "ada"]);
    assert!(found(&[], &[]).await.is_empty());
}
