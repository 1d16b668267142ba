//! Migrations, and rows that come back as they were written and as they were changed.

use std::sync::Arc;

use protocol::{ChangeType, ConversationKind, ConversationPatch, History, MessageKind, Posting, Subject, SystemChange};
use store::{NewConversation, Store};

use super::{op::Op, world::World};

/// Nodes that start at once all migrate.
pub async fn migrating_from_many_tasks_at_once_is_fine(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    store.migrate().await.unwrap();
    assert!(store.health().await.unwrap().migrated);
}

/// Cursors of clients are good for one epoch.
pub async fn the_epoch_stays_the_same(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let before = world.store.health().await.unwrap();
    assert!(before.epoch.len() >= 16 && !before.version.is_empty(), "{before:?}");
    world.store.migrate().await.unwrap();
    assert_eq!(world.store.health().await.unwrap(), before);
    let user = world.user("ada").await;
    assert_eq!(world.store.memberships(user.id, 10).await.unwrap().epoch, before.epoch);
}

/// Whatever people type.
pub async fn content_comes_back_as_it_was(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let flags = "🏴󠁧󠁢󠁥󠁮󠁧󠁿".repeat(100);
    let long = "😀".repeat(4_000);
    let contents = [
        "naïve café",
        "👩‍👩‍👧‍👦 🤷🏽‍♀️",
        "שלום\u{200f} عالم",
        "line\r\nline\ttab",
        "'; drop table messages; --",
        "\\u0000 %_",
        &flags,
        &long,
    ];
    for content in contents {
        let sent = world.send(group, &ada, content).await;
        assert_eq!(sent.content, content);
        let read = world.store.message(ada.id, sent.id).await.unwrap().unwrap();
        assert_eq!(read, sent);
    }
    let quoted = world.history(&ada, group).await.pop().unwrap();
    let reply = world.apply(&[Op::reply(group, &ada, "indeed", quoted.id)]).await;
    let quote = reply.messages.values().next().unwrap().reply_to.clone().unwrap();
    assert_eq!(quote.content, "😀".repeat(200), "a quote is cut to 200 characters, not bytes");
}

/// A message row is state: its place stays, its last change moves.
pub async fn edits_and_deletes_are_state_with_a_change_of_their_own(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let first = world.send(group, &ada, "one").await;
    let second = world.send(group, &ada, "two").await;

    let edited = world.apply(&[Op::Edit(group, first.id, "uno".into())]).await.messages[&first.id].clone();
    assert_eq!((edited.seq, edited.changed_seq, edited.number), (2, 4, 1));
    assert_eq!((edited.content.as_str(), edited.edited_at.is_some(), edited.deleted_at), ("uno", true, None));
    let deleted = world.apply(&[Op::Delete(group, second.id)]).await.messages[&second.id].clone();
    assert_eq!((deleted.seq, deleted.changed_seq, deleted.number), (3, 5, 2));
    assert!(deleted.content.is_empty() && deleted.deleted_at.is_some(), "{deleted:?}");

    let missed = world.changes(group, 3).await;
    assert_eq!((missed.from, missed.to, missed.more), (3, 5, false));
    let kinds: Vec<_> = missed.changes.iter().map(|change| (change.kind, change.seq, change.data.id)).collect();
    assert_eq!(kinds, [(ChangeType::Updated, 4, first.id), (ChangeType::Deleted, 5, second.id)]);
    let all = world.changes(group, 0).await;
    let kinds: Vec<_> = all.changes.iter().map(|change| (change.kind, change.seq)).collect();
    assert_eq!(kinds, [(ChangeType::Created, 1), (ChangeType::Created, 4), (ChangeType::Deleted, 5)]);
    let history: Vec<_> = world.history(&ada, group).await.iter().map(|message| message.seq).collect();
    assert_eq!(history, [1, 2, 3], "places stay");
}

/// In the order of the batch; each change takes its seq, the row shows the last.
pub async fn a_message_may_change_more_than_once_in_a_batch(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "one").await;
    let batch = [
        Op::Edit(group, message.id, "two".into()),
        Op::Edit(group, message.id, "three".into()),
        Op::send(group, &ada, "next"),
    ];
    let committed = world.apply(&batch).await;
    let edited = &committed.messages[&message.id];
    assert_eq!((edited.content.as_str(), edited.seq, edited.changed_seq), ("three", 2, 4));
    assert_eq!(committed.messages.len(), 2);
    let batch = [Op::Edit(group, message.id, "four".into()), Op::Delete(group, message.id)];
    let gone = world.apply(&batch).await.messages[&message.id].clone();
    assert_eq!((gone.content.as_str(), gone.changed_seq), ("", 7));
    assert_eq!(world.changes(group, 0).await.to, 7);
}

/// What can be derived takes no seq.
pub async fn a_reply_shows_the_present_state_of_what_it_quotes(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let other = world.group(&[&ada]).await;
    let question = world.send(group, &ada, "tea?").await;
    let reply = Op::reply(group, &bob, "yes", question.id);
    let reply = world.apply(&[reply]).await.messages.into_values().next().unwrap();
    let quote = reply.reply_to.unwrap();
    assert_eq!((quote.id, quote.seq, quote.sender.id), (question.id, question.seq, ada.id));
    assert_eq!((quote.content.as_str(), quote.deleted_at), ("tea?", None));

    world.apply(&[Op::Edit(group, question.id, "coffee?".into())]).await;
    let quote = world.store.message(bob.id, reply.id).await.unwrap().unwrap().reply_to.unwrap();
    assert_eq!(quote.content, "coffee?");
    world.apply(&[Op::Delete(group, question.id)]).await;
    let quote = world.store.message(bob.id, reply.id).await.unwrap().unwrap().reply_to.unwrap();
    assert!(quote.content.is_empty() && quote.deleted_at.is_some());

    let foreign = Op::reply(other, &ada, "leak?", reply.id);
    let foreign = world.apply(&[foreign]).await.messages.into_values().next().unwrap();
    assert_eq!(foreign.reply_to, None, "a message of another conversation is not quoted");
}

/// Every field of a conversation, made and patched.
pub async fn a_conversation_keeps_what_it_was_made_with_and_what_was_changed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let subject = Subject { kind: "listing".into(), id: "42".into(), title: "A boat ⛵".into(), url: None };
    let new = NewConversation {
        description: Some("about the boat".into()),
        avatar_url: Some("https://example.org/boat.png".into()),
        subject: Some(subject.clone()),
        history: History::SinceJoin,
        ..world.new_conversation(ConversationKind::Group, &[&ada, &bob])
    };
    let made = world.create(new.clone()).await;
    assert_eq!((made.id, made.created, made.fingerprint.as_slice()), (new.id, true, new.fingerprint.as_slice()));
    let first = made.message.unwrap();
    assert_eq!((first.id, first.seq, first.number, first.kind), (new.message_id, 1, 0, MessageKind::System));
    assert_eq!(first.system, Some(new.system.clone()));

    let seen = world.store.conversation(bob.id, new.id).await.unwrap().unwrap();
    assert_eq!((&seen.title, &seen.description, &seen.avatar_url), (&new.title, &new.description, &new.avatar_url));
    assert_eq!((seen.subject, seen.history, seen.posting), (Some(subject), History::SinceJoin, Posting::Everyone));
    assert_eq!((seen.participant_count, seen.last_seq, seen.created_at), (2, 1, new.now));
    assert_eq!(seen.last_message.map(|message| message.id), Some(first.id));

    let patch = ConversationPatch {
        title: Some("Sold".into()),
        description: Some(None),
        posting: Some(Posting::Admins),
        slow_mode_seconds: Some(30),
        ..ConversationPatch::default()
    };
    let renamed = world.apply(&[Op::Rename(new.id, ada.clone(), patch.clone())]).await;
    let said = renamed.messages.values().next().unwrap();
    assert_eq!(said.system, Some(SystemChange::ConversationUpdated { changes: patch }));
    let seen = world.store.conversation(bob.id, new.id).await.unwrap().unwrap();
    assert_eq!((seen.title.as_deref(), seen.description, seen.posting), (Some("Sold"), None, Posting::Admins));
    assert_eq!(seen.avatar_url, new.avatar_url, "what a patch does not name stays");
}
