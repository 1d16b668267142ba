//! Mentions: ranges that show the present names, and the badge that counts them.

use std::sync::Arc;

use protocol::{ConversationId, ConversationKind, History, Role, Seq, User};
use store::{NewConversation, Store};

use super::{
    op::{self, Op},
    world::{Mark, World},
};

/// The badge and the places that it counts.
async fn badge(world: &World, user: &User, conversation: ConversationId) -> (u64, Vec<Seq>) {
    let view = world.view(user, conversation).await;
    let listed = world.list(user.id, None, 50).await.unwrap().items;
    let listed = listed.into_iter().find(|item| item.id == conversation).unwrap();
    assert_eq!((listed.mention_count, &listed.mention_seqs), (view.mention_count, &view.mention_seqs));
    (view.mention_count, view.mention_seqs)
}

/// In the order in which they were given, everybody too.
pub async fn mentions_show_people_as_they_are_now(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let sent = world.apply_one(Op::mentioning(group, &ada, "abcdef", &[Some(&bob), None, Some(&ada)])).await;
    let ranges: Vec<_> =
        sent.mentions.iter().map(|it| (it.offset, it.length, it.user.as_ref().map(|u| u.id))).collect();
    assert_eq!(ranges, [(0, 2, Some(bob.id)), (2, 2, None), (4, 2, Some(ada.id))]);
    let patch = protocol::ProfilePatch { display_name: Some("Bobby".into()), ..protocol::ProfilePatch::default() };
    world.store.update_profile(bob.id, &patch).await.unwrap();
    let seen = world.store.message(ada.id, sent.id).await.unwrap().unwrap();
    assert_eq!(seen.mentions[0].user.as_ref().unwrap().display_name, "Bobby");
    assert_eq!(seen.changed_seq, sent.changed_seq);
    assert_eq!(world.changes(group, 1).await.changes[0].data, seen);
}

/// Whom it names, or everybody, after the read marker; never oneself.
pub async fn unread_mentions_are_counted_each_message_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    let mention = |by: &User, whom: &[Option<&User>]| Op::mentioning(group, by, "abcdef", whom);
    world.apply(&[mention(&ada, &[Some(&bob)]), mention(&ada, &[Some(&bob), Some(&bob), Some(&cyd)])]).await;
    world.apply(&[mention(&ada, &[None, Some(&bob), Some(&ada)]), Op::send(group, &ada, "plain")]).await;
    assert_eq!(badge(&world, &bob, group).await, (3, vec![2, 3, 4]));
    assert_eq!(badge(&world, &cyd, group).await, (2, vec![3, 4]));
    assert_eq!(badge(&world, &ada, group).await, (0, Vec::new()), "one's own count nothing");
    assert_eq!(world.view(&bob, group).await.unread_count, 4);

    world.mark(bob.id, group, Mark::Read(3)).await.unwrap();
    assert_eq!(badge(&world, &bob, group).await, (1, vec![4]));
    world.apply(&[mention(&cyd, &[Some(&ada)])]).await;
    assert_eq!(badge(&world, &ada, group).await, (1, vec![6]));
    assert_eq!(badge(&world, &cyd, group).await, (0, Vec::new()), "who answers has read");
    world.mark(bob.id, group, Mark::Read(100)).await.unwrap();
    assert_eq!(badge(&world, &bob, group).await, (0, Vec::new()));
}

/// The badge follows the message.
pub async fn editing_or_deleting_a_mention_takes_it_away(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    let one = world.apply_one(Op::mentioning(group, &ada, "abcd", &[Some(&bob)])).await;
    let two = world.apply_one(Op::mentioning(group, &ada, "abcd", &[None])).await;
    assert_eq!((badge(&world, &bob, group).await.0, badge(&world, &cyd, group).await.0), (2, 1));
    let edit = |id, whom: &[Option<&User>]| Op::EditMentions(group, id, "abcdef".into(), op::mentions(whom));

    let edited = world.apply_one(edit(one.id, &[Some(&cyd), Some(&ada)])).await;
    assert_eq!(edited.mentions.iter().map(|it| it.user.as_ref().unwrap().id).collect::<Vec<_>>(), [cyd.id, ada.id]);
    assert_eq!(badge(&world, &bob, group).await, (1, vec![3]));
    assert_eq!(badge(&world, &cyd, group).await, (2, vec![2, 3]));
    // Several in one batch: the last one counts.
    world.apply(&[edit(one.id, &[Some(&bob)]), edit(one.id, &[])]).await;
    assert_eq!((badge(&world, &bob, group).await.0, badge(&world, &cyd, group).await.0), (1, 1));
    let deleted = world.apply_one(Op::Delete(group, two.id)).await;
    assert!(deleted.mentions.is_empty());
    assert_eq!((badge(&world, &bob, group).await.0, badge(&world, &cyd, group).await.0), (0, 0));
    world.apply(&[Op::React(group, one.id, bob.clone(), "👍".into()), edit(one.id, &[None])]).await;
    assert_eq!(badge(&world, &bob, group).await, (1, vec![2]), "a mention may come with an edit");
    world.apply(&[Op::Pin(group, one.id, true)]).await;
    assert_eq!(badge(&world, &bob, group).await, (1, vec![2]), "no other change moves it");
}

/// From where they may read.
pub async fn who_joins_later_is_not_mentioned_before(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    for history in [History::All, History::SinceJoin] {
        let new = NewConversation { history, ..world.new_conversation(ConversationKind::Group, &[&ada]) };
        let group = world.create(new).await.id;
        world.apply(&[Op::mentioning(group, &ada, "abcd", &[None])]).await;
        world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
        assert_eq!(badge(&world, &bob, group).await, (0, Vec::new()));
        world.apply(&[Op::mentioning(group, &ada, "abcd", &[None])]).await;
        assert_eq!(badge(&world, &bob, group).await, (1, vec![4]));
    }
}

/// A hundred places are told, all are counted.
pub async fn the_first_hundred_places_are_told(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let batch: Vec<Op> = (0..103).map(|i| Op::mentioning(group, &ada, "ab", &[(i % 2 == 0).then_some(&bob)])).collect();
    world.apply(&batch).await;
    assert_eq!(badge(&world, &bob, group).await, (103, (2..102).collect()));
}
