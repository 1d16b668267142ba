//! What of settings, blocks, slow mode and archive is seen where conversations are read and changed.

use std::sync::Arc;

use protocol::{
    ConversationFilter, ConversationId, ConversationKind, ConversationPatch, NotificationPreferencesPatch, Notify,
    Posting, PreferencesPatch, Role, User,
};
use store::{FeedChange, Locked, NewConversation, Scope, Store};

use super::{
    op::Op,
    world::{Mark, World},
};

/// What a decision sees of a conversation and one participant.
async fn look(world: &World, conversation: ConversationId, user: &User) -> Locked {
    let scope =
        Scope { conversations: vec![conversation], participants: vec![(conversation, user.id)], ..Scope::default() };
    world.look(&scope).await
}

/// Each in its present state, in the order of the feed; a conversation that came since has its settings with it.
pub async fn settings_and_blocks_are_in_the_feed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
    let mute = |until| PreferencesPatch { muted_until: Some(until), ..PreferencesPatch::default() };
    let until = world.now();
    world.store.set_preferences(ada.id, one, &mute(Some(until)), world.now()).await.unwrap();
    let pin = PreferencesPatch { pinned: Some(true), ..PreferencesPatch::default() };
    world.store.set_preferences(ada.id, one, &pin, world.now()).await.unwrap();
    let quiet = NotificationPreferencesPatch { notify: Some(Notify::Mentions), muted_until: None };
    world.store.set_notification_preferences(ada.id, &quiet, world.now()).await.unwrap();
    world.store.set_blocked(ada.id, bob.id, true, world.now()).await.unwrap();
    world.store.set_preferences(ada.id, two, &mute(Some(until)), world.now()).await.unwrap();

    let feed = world.store.feed(ada.id, 2).await.unwrap();
    let seqs: Vec<_> = feed.items.iter().map(|item| item.user_seq).collect();
    assert_eq!((feed.user_seq, seqs), (7, vec![4, 5, 6, 7]), "{:?}", feed.items);
    let FeedChange::Preferences(of_one) = feed.items[0].change else { panic!("{:?}", feed.items) };
    assert_eq!((of_one.conversation_id, of_one.muted_until, of_one.notify), (one, Some(until), Notify::All));
    assert!(of_one.pinned_at.is_some());
    let view = world.view(&ada, one).await;
    assert_eq!((view.muted_until, view.pinned_at, view.notify), (of_one.muted_until, of_one.pinned_at, Notify::All));
    assert!(matches!(feed.items[1].change, FeedChange::NotificationPreferences(it) if it.notify == Notify::Mentions));
    assert!(matches!(feed.items[2].change, FeedChange::Blocked(id, true) if id == bob.id));
    assert!(matches!(feed.items[3].change, FeedChange::Preferences(it) if it.conversation_id == two));

    let feed = world.store.feed(ada.id, 0).await.unwrap();
    let joined: Vec<_> = feed
        .items
        .iter()
        .filter(|item| matches!(item.change, FeedChange::Joined(_)))
        .map(|item| item.user_seq)
        .collect();
    assert_eq!(joined, [1, 2]);
    assert_eq!(feed.items.len(), 4, "no settings apart from what joined: {:?}", feed.items);
    world.apply(&[Op::Leave(one, ada.clone()), Op::Join(one, ada.clone(), Role::Member)]).await;
    assert_eq!(world.view(&ada, one).await.muted_until, Some(until), "coming back changes no settings");
    world.store.set_blocked(ada.id, bob.id, false, world.now()).await.unwrap();
    let feed = world.store.feed(ada.id, 9).await.unwrap();
    assert!(matches!(feed.items[0].change, FeedChange::Blocked(id, false) if id == bob.id), "{:?}", feed.items);
}

/// Either way round, and only in direct conversations.
pub async fn a_block_is_seen_in_the_direct_conversation_of_the_two(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let new = world.new_conversation(ConversationKind::Direct, &[&ada, &bob]);
    let direct = world.create(NewConversation { direct_key: Some("ab".into()), ..new }).await.id;
    let new = world.new_conversation(ConversationKind::Direct, &[&ada, &cyd]);
    let other = world.create(NewConversation { direct_key: Some("ac".into()), ..new }).await.id;
    let group = world.group(&[&ada, &bob]).await;
    let assert_blocked = async |expected: bool| {
        for user in [&ada, &bob] {
            assert_eq!(look(&world, direct, user).await.conversations[&direct].blocked, expected);
            assert_eq!(world.store.access(user.id, direct).await.unwrap().unwrap().blocked, expected);
            assert!(!look(&world, group, user).await.conversations[&group].blocked);
            assert!(!world.store.access(user.id, group).await.unwrap().unwrap().blocked);
        }
        let named_nobody = Scope { conversations: vec![direct, other], ..Scope::default() };
        let seen = world.look(&named_nobody).await.conversations;
        assert_eq!((seen[&direct].blocked, seen[&other].blocked), (expected, false));
    };
    assert_blocked(false).await;
    world.store.set_blocked(bob.id, ada.id, true, world.now()).await.unwrap();
    assert_blocked(true).await;
    let flags = async |viewer: &User| {
        let page = world.store.participants(viewer.id, group, "", None, 10).await.unwrap().items;
        page.into_iter().filter(|item| item.blocked).map(|item| item.user.id).collect::<Vec<_>>()
    };
    assert_eq!((flags(&bob).await, flags(&ada).await), (vec![ada.id], Vec::new()), "the blocker sees it");
    assert!(world.store.participant(bob.id, group, ada.id).await.unwrap().unwrap().blocked);
    assert!(!world.store.participant(ada.id, group, bob.id).await.unwrap().unwrap().blocked);
    world.store.set_blocked(ada.id, bob.id, true, world.now()).await.unwrap();
    world.store.set_blocked(bob.id, ada.id, false, world.now()).await.unwrap();
    assert_blocked(true).await;
    world.store.set_blocked(ada.id, bob.id, false, world.now()).await.unwrap();
    assert_blocked(false).await;
}

/// By id, who takes part and nobody else.
pub async fn one_participant_is_as_in_the_list(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob]).await;
    world.send(group, &ada, "hello").await;
    let list = world.store.participants(ada.id, group, "", None, 10).await.unwrap().items;
    for item in list {
        let one = world.store.participant(ada.id, group, item.user.id).await.unwrap();
        assert_eq!(one, Some(item));
    }
    assert_eq!(world.store.participant(ada.id, group, cyd.id).await.unwrap(), None);
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    assert_eq!(world.store.participant(ada.id, group, bob.id).await.unwrap(), None);
    assert_eq!(world.store.participant(ada.id, ConversationId::generate(), ada.id).await.unwrap(), None);
}

/// What slow mode and a closed archive are decided on.
pub async fn policies_are_read_where_they_are_decided(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let seen = look(&world, group, &ada).await;
    assert_eq!(seen.conversations[&group].slow_mode_seconds, 0);
    assert_eq!(seen.participants[&(group, ada.id)].last_sent_at, None, "making a conversation is no message");
    let patch = ConversationPatch {
        slow_mode_seconds: Some(30),
        posting: Some(Posting::Admins),
        description: Some(Some("about".into())),
        avatar_url: Some(Some("https://example.org/a.png".into())),
        ..ConversationPatch::default()
    };
    world.apply(&[Op::Rename(group, ada.clone(), patch)]).await;
    let sent = world.send(group, &ada, "hello").await;
    world.apply(&[Op::Edit(group, sent.id, "again".into())]).await;
    let seen = look(&world, group, &ada).await;
    assert_eq!(seen.conversations[&group].slow_mode_seconds, 30);
    let about = (&seen.conversations[&group].description, &seen.conversations[&group].avatar_url);
    assert_eq!((about.0.as_deref(), about.1.as_deref()), (Some("about"), Some("https://example.org/a.png")));
    assert_eq!(seen.participants[&(group, ada.id)].last_sent_at, Some(sent.created_at));
    assert_eq!(look(&world, group, &bob).await.participants[&(group, bob.id)].last_sent_at, None);
    let access = world.store.access(ada.id, group).await.unwrap().unwrap();
    assert_eq!((access.posting, access.archived_at, access.participant_count), (Posting::Admins, None, 2));
    assert_eq!(access.participant.unwrap().last_sent_at, Some(sent.created_at));
    assert_eq!(world.view(&bob, group).await.slow_mode_seconds, 30);

    world.apply(&[Op::Archive(group, ada.clone(), true)]).await;
    let archived_at = world.view(&bob, group).await.archived_at;
    assert!(archived_at.is_some());
    assert_eq!(look(&world, group, &ada).await.conversations[&group].archived_at, archived_at);
    assert_eq!(world.store.access(ada.id, group).await.unwrap().unwrap().archived_at, archived_at);
    world.apply(&[Op::Archive(group, ada.clone(), false)]).await;
    assert_eq!(world.view(&bob, group).await.archived_at, None);
}

/// Alone and together, page by page.
pub async fn the_list_of_conversations_can_be_filtered(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let direct = world.create(world.new_conversation(ConversationKind::Direct, &[&ada, &bob])).await.id;
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&ada, &bob])).await.id;
    let (read, unread) = (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    let archived = world.group(&[&ada, &bob]).await;
    for id in [direct, read, unread, archived] {
        world.send(id, &ada, "hello").await;
    }
    world.mark(bob.id, read, Mark::Read(9)).await.unwrap();
    world.apply(&[Op::Archive(archived, ada.clone(), true)]).await;
    let find = async |kind, unread, archived| {
        let filter = ConversationFilter { kind, unread, archived };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = world.store.conversations(bob.id, &filter, cursor.as_deref(), 2).await.unwrap();
            found.extend(page.items.into_iter().map(|item| item.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    assert_eq!(find(None, None, None).await, [archived, unread, read, direct, room]);
    assert_eq!(find(Some(ConversationKind::Direct), None, None).await, [direct]);
    assert_eq!(find(Some(ConversationKind::Group), None, None).await, [archived, unread, read]);
    assert_eq!(find(None, Some(true), None).await, [archived, unread, direct]);
    assert_eq!(find(None, Some(false), None).await, [read, room]);
    assert_eq!(find(None, None, Some(true)).await, [archived]);
    assert_eq!(find(Some(ConversationKind::Group), Some(true), Some(false)).await, [unread]);
    assert!(find(Some(ConversationKind::Public), Some(true), None).await.is_empty());
}

/// Numbers, and the other one's markers in a direct conversation.
pub async fn a_conversation_tells_what_unread_is_made_of(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let direct = world.create(world.new_conversation(ConversationKind::Direct, &[&ada, &bob])).await.id;
    let group = world.group(&[&ada, &bob]).await;
    for id in [direct, group] {
        for _ in 0..4 {
            world.send(id, &ada, "hello").await;
        }
        world.mark(bob.id, id, Mark::Delivered(4)).await.unwrap();
        let marked = world.mark(bob.id, id, Mark::Read(3)).await.unwrap();
        assert_eq!((marked.read_seq, marked.read_number), (3, 2));
        let view = world.view(&bob, id).await;
        assert_eq!((view.last_number, view.read_number, view.unread_count), (4, 2, 2));
    }
    let view = world.view(&ada, direct).await;
    assert_eq!(
        (view.other.map(|user| user.id), view.other_delivered_seq, view.other_read_seq),
        (Some(bob.id), Some(4), Some(3))
    );
    let view = world.view(&ada, group).await;
    assert_eq!((view.other, view.other_delivered_seq, view.other_read_seq), (None, None, None));
}
