//! No one reads what they may not.

use std::sync::Arc;

use protocol::{ConversationId, ConversationKind, History, HistoryWindow, MessageId, Role, User};
use store::{NewConversation, OrgUsersFilter, Scope, Store, Writes};

use super::{
    op::Op,
    world::{Mark, World, texts},
};

/// Every read of a conversation that `viewer` must not see says that there is nothing.
async fn assert_unreadable(world: &World, viewer: &User, conversation: ConversationId, message: MessageId) {
    let store = &world.store;
    for window in [HistoryWindow::Latest, HistoryWindow::After(0), HistoryWindow::Around(1), HistoryWindow::Before(9)] {
        assert!(store.history(viewer.id, conversation, window, 50).await.unwrap().is_empty(), "{window:?}");
    }
    assert_eq!(store.message(viewer.id, message).await.unwrap(), None);
    assert_eq!(store.changes(Some(viewer.id), conversation, 0, 50).await.unwrap(), None);
    assert_eq!(world.mark(viewer.id, conversation, Mark::Read(1)).await, None);
    assert!(store.receipts(viewer.id, &[conversation]).await.unwrap().is_empty());
    assert!(world.list(viewer.id, None, 50).await.unwrap().items.is_empty());
    assert!(store.memberships(viewer.id, 50).await.unwrap().items.is_empty());
}

/// Somebody of the same org who does not take part.
pub async fn outsiders_see_nothing_of_a_group(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    let secret = world.send(group, &ada, "secret").await;
    assert_unreadable(&world, &bob, group, secret.id).await;
    assert_eq!(world.store.conversation(bob.id, group).await.unwrap(), None);
    let access = world.store.access(bob.id, group).await.unwrap().unwrap();
    assert!(access.participant.is_none());
    let access = world.store.access(ada.id, group).await.unwrap().unwrap();
    assert_eq!((access.kind, access.last_seq), (ConversationKind::Group, 2));
    assert_eq!(access.participant.map(|row| (row.role, row.active)), Some((Role::Owner, true)));
    assert_eq!(world.store.locate(secret.id).await.unwrap(), Some(group));
    assert_eq!(world.store.locate(MessageId::generate()).await.unwrap(), None);
    let nowhere = ConversationId::generate();
    assert!(world.store.access(ada.id, nowhere).await.unwrap().is_none());
    assert_unreadable(&world, &bob, nowhere, MessageId::generate()).await;
}

/// Tenants never see each other, not even public rooms.
pub async fn people_of_another_org_see_nothing_at_all(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, eve) = (world.user("ada").await, world.foreigner("eve").await);
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&ada])).await.id;
    let group = world.group(&[&ada]).await;
    for conversation in [room, group] {
        let message = world.send(conversation, &ada, "hello").await;
        assert_unreadable(&world, &eve, conversation, message.id).await;
        assert_eq!(world.store.conversation(eve.id, conversation).await.unwrap(), None);
        assert!(world.store.access(eve.id, conversation).await.unwrap().is_none());
    }
    assert!(world.store.public_conversations(eve.id, "", None, 50).await.unwrap().items.is_empty());
    assert!(world.store.users(eve.org_id, &[ada.id]).await.unwrap().is_empty());
    assert!(
        world
            .store
            .org_users(eve.org_id, &OrgUsersFilter { query: "ada".into(), ..OrgUsersFilter::default() }, None, 50)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

/// Anyone of the org may look at the door; messages need a join.
pub async fn a_public_room_shows_its_description_but_not_its_messages(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&ada])).await.id;
    let message = world.send(room, &ada, "hello").await;
    let door = world.store.conversation(bob.id, room).await.unwrap().unwrap();
    assert_eq!((door.title.as_deref(), door.role, door.participant_count), (Some("a title"), None, 1));
    assert_eq!((door.last_message, door.unread_count, door.read_seq), (None, 0, 0));
    let lobby = world.store.public_conversations(bob.id, "", None, 50).await.unwrap().items;
    assert_eq!(lobby.iter().map(|room| (room.id, room.role)).collect::<Vec<_>>(), [(room, None)]);
    assert!(lobby[0].last_message.is_none());
    let mine = world.store.public_conversations(ada.id, "", None, 50).await.unwrap().items;
    assert_eq!(mine[0].role, Some(Role::Owner));
    assert_unreadable(&world, &bob, room, message.id).await;
    assert!(world.store.access(bob.id, room).await.unwrap().unwrap().participant.is_none());
    world.apply(&[Op::Join(room, bob.clone(), Role::Member)]).await;
    assert_eq!(texts(&world.history(&bob, room).await), ["", "hello", ""]);
}

/// The row stays when the user leaves; what it opens does not.
pub async fn who_left_reads_nothing_more_until_they_come_back(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let before = world.send(group, &bob, "mine").await;
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    assert_unreadable(&world, &bob, group, before.id).await;
    assert_eq!(world.store.conversation(bob.id, group).await.unwrap(), None);
    assert!(world.store.access(bob.id, group).await.unwrap().unwrap().participant.is_none());
    assert_eq!(world.store.participants(ada.id, group, "", None, 50).await.unwrap().items.len(), 1);
    let seen = world.store.conversation(ada.id, group).await.unwrap().unwrap();
    assert_eq!(seen.participant_count, 1);

    world.send(group, &ada, "meanwhile").await;
    world.apply(&[Op::Join(group, bob.clone(), Role::Admin)]).await;
    assert_eq!(texts(&world.history(&bob, group).await), ["", "mine", "", "meanwhile", ""]);
    let seen = world.store.conversation(bob.id, group).await.unwrap().unwrap();
    assert_eq!((seen.role, seen.participant_count), (Some(Role::Admin), 2));
}

/// Where the conversation says so; a change of something older is not theirs either.
pub async fn history_since_join_begins_at_the_join(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let new =
        NewConversation { history: History::SinceJoin, ..world.new_conversation(ConversationKind::Group, &[&ada]) };
    let group = world.create(new).await.id;
    let old = world.send(group, &ada, "old").await;
    let older = world.send(group, &ada, "older").await;
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    world.send(group, &ada, "new").await;
    assert_eq!(texts(&world.history(&bob, group).await), ["", "new"]);
    assert_eq!(texts(&world.history(&ada, group).await), ["", "old", "older", "", "new"]);
    assert_eq!(world.store.message(bob.id, old.id).await.unwrap(), None);
    for window in [HistoryWindow::After(0), HistoryWindow::Before(6), HistoryWindow::Around(2)] {
        let page = world.store.history(bob.id, group, window, 50).await.unwrap();
        assert!(page.iter().all(|message| message.seq >= 4), "{window:?}: {page:?}");
    }
    world.apply(&[Op::Edit(group, old.id, "changed".into()), Op::Delete(group, older.id)]).await;
    let changes = world.store.changes(Some(bob.id), group, 0, 50).await.unwrap().unwrap();
    let seqs: Vec<_> = changes.changes.iter().map(|change| change.seq).collect();
    assert_eq!((seqs, changes.to, changes.more), (vec![4, 5], 7, false), "the cursor moves past what is not theirs");
    let everything = world.changes(group, 0).await;
    assert_eq!(everything.changes.len(), 5);
    let member = world.store.memberships(bob.id, 10).await.unwrap().items[0];
    assert_eq!((member.access_since_seq, member.last_seq), (3, 7));
    assert_eq!(world.store.access(bob.id, group).await.unwrap().unwrap().participant.unwrap().access_since_seq, 3);
}

/// A quoted message may be from before its reader came, and a live event is the same for all: so for nobody, on any way
/// that a message is read.
pub async fn where_history_begins_at_the_join_quotes_carry_no_text(store: Arc<dyn Store>) {
    use HistoryWindow::{After, Around, Before, Latest};
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    for (history, text) in [(History::SinceJoin, ""), (History::All, "secret")] {
        let new = NewConversation { history, ..world.new_conversation(ConversationKind::Group, &[&ada]) };
        let group = world.create(new).await.id;
        let secret = world.send(group, &ada, "secret").await;
        world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
        let mut reply = Op::reply(group, &ada, "indeed", secret.id);
        if let Op::Send { client_id, .. } = &mut reply {
            *client_id = Some("once".into());
        }
        let sent = world.apply(std::slice::from_ref(&reply)).await.messages.into_values().next().unwrap();
        let (_, again) = world.try_apply(&[reply]).await.unwrap();
        assert_eq!(again[0].message, sent, "a retry");
        let quote = sent.reply_to.clone().unwrap();
        assert_eq!((quote.id, quote.seq, quote.sender.id), (secret.id, secret.seq, ada.id));
        assert_eq!((quote.content.as_str(), quote.deleted_at), (text, None));

        for viewer in [&ada, &bob] {
            let store = &world.store;
            assert_eq!(store.message(viewer.id, sent.id).await.unwrap().as_ref(), Some(&sent));
            for window in [Latest, After(3), Before(5), Around(4)] {
                let page = store.history(viewer.id, group, window, 50).await.unwrap();
                assert_eq!(page.last(), Some(&sent), "{window:?}");
            }
            let changes = store.changes(Some(viewer.id), group, 3, 50).await.unwrap().unwrap();
            assert_eq!(changes.changes.last().map(|change| &change.data), Some(&sent));
            let shown = store.conversation(viewer.id, group).await.unwrap().unwrap();
            assert_eq!(shown.last_message.as_deref(), Some(&sent));
            let listed = world.list(viewer.id, None, 50).await.unwrap().items;
            let listed = listed.into_iter().find(|item| item.id == group).unwrap();
            assert_eq!(listed.last_message.as_deref(), Some(&sent));
        }
        assert_eq!(world.changes(group, 3).await.changes.last().map(|change| &change.data), Some(&sent));

        world.apply(&[Op::Edit(group, secret.id, "another secret".into())]).await;
        let edited = world.apply(&[Op::Edit(group, sent.id, "quite".into())]).await.messages[&sent.id].clone();
        let expected = if text.is_empty() { "" } else { "another secret" };
        assert_eq!(edited.reply_to.unwrap().content, expected, "an edit says no more");
        world.apply(&[Op::Delete(group, secret.id)]).await;
        let quote = world.store.message(bob.id, sent.id).await.unwrap().unwrap().reply_to.unwrap();
        assert!(quote.content.is_empty() && quote.deleted_at.is_some(), "that it was deleted is told");
    }
}

/// Reads find nothing; the gap fill of a node still finds the news of it.
pub async fn a_deleted_conversation_is_gone_for_its_people_and_followed_by_nodes(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&ada, &bob])).await.id;
    let message = world.send(room, &ada, "hello").await;
    world.apply(&[Op::Close(room, ada.clone())]).await;
    for user in [&ada, &bob] {
        assert!(world.store.access(user.id, room).await.unwrap().is_none());
        assert_eq!(world.store.conversation(user.id, room).await.unwrap(), None);
        assert_eq!(world.store.message(user.id, message.id).await.unwrap(), None);
        assert!(world.history(user, room).await.is_empty());
        assert!(world.list(user.id, None, 50).await.unwrap().items.is_empty());
        assert!(world.store.public_conversations(user.id, "", None, 50).await.unwrap().items.is_empty());
        assert!(world.store.memberships(user.id, 50).await.unwrap().items.is_empty());
    }
    assert_eq!(world.changes(room, 2).await.changes[0].seq, 3);
    assert_eq!(world.head(room).await, 3);
}

/// What the policy decides on.
pub async fn roles_and_counts_are_read_under_the_lock(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob]).await;
    let expect = async |people: u64, owners: u64, access: u64, bobs: (Role, bool)| {
        let scope = Scope { conversations: vec![group], participants: vec![(group, bob.id)], ..Scope::default() };
        world
            .store
            .change(&scope, &|locked| {
                let row = &locked.conversations[&group];
                assert_eq!((row.participant_count, row.owner_count, row.access_seq), (people, owners, access));
                let bob = &locked.participants[&(group, bob.id)];
                assert_eq!((bob.role, bob.active), bobs);
                Writes::default()
            })
            .await
            .unwrap();
    };
    expect(2, 1, 1, (Role::Member, true)).await;
    world.send(group, &ada, "hello").await;
    expect(2, 1, 1, (Role::Member, true)).await;
    world.apply(&[Op::Promote(group, bob.clone(), Role::Owner), Op::Join(group, cyd.clone(), Role::Member)]).await;
    expect(3, 2, 4, (Role::Owner, true)).await;
    world.apply(&[Op::Leave(group, bob.clone()), Op::Leave(group, cyd)]).await;
    expect(1, 1, 6, (Role::Owner, false)).await;
    world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
    expect(2, 1, 7, (Role::Member, true)).await;
}
