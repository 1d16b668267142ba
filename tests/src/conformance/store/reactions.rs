//! Reactions: rows that come and go, each a change of its message.

use std::sync::Arc;

use protocol::{ChangeType, HistoryWindow, Message, User, UserId};
use store::{Scope, Store};

use super::{op::Op, world::World};

/// Emoji, count and the named users of each, in order.
fn shown(message: &Message) -> Vec<(&str, u64, Vec<UserId>)> {
    message.reactions.iter().map(|it| (it.emoji.as_str(), it.count, it.user_ids.clone())).collect()
}

fn mine(message: &Message) -> Vec<Option<bool>> {
    message.reactions.iter().map(|it| it.mine).collect()
}

/// One seq each; emoji by their first use, users by time, whatever the clocks say; taking back what is there.
pub async fn a_reaction_is_a_change_of_its_message(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cyd) = (world.user("ada").await, world.user("bob").await, world.user("cyd").await);
    let group = world.group(&[&ada, &bob, &cyd]).await;
    let message = world.send(group, &ada, "tea?").await;
    let react = |user: &User, emoji: &str| Op::React(group, message.id, user.clone(), emoji.into());
    let unreact = |user: &User, emoji: &str| Op::Unreact(group, message.id, user.clone(), emoji.into());

    let one = world.apply_one(react(&cyd, "👍")).await;
    assert_eq!((one.seq, one.changed_seq, one.edited_at), (2, 3, None));
    assert_eq!(shown(&one), [("👍", 1, vec![cyd.id])]);
    assert_eq!(mine(&one), [None], "what a change made is told to all");
    // Of one moment: the order of the batch counts.
    let three = world.apply(&[react(&bob, "🍵"), react(&bob, "👍"), react(&ada, "👍")]).await;
    let three = &three.messages[&message.id];
    assert_eq!(three.changed_seq, 6);
    assert_eq!(shown(three), [("👍", 3, vec![cyd.id, bob.id, ada.id]), ("🍵", 1, vec![bob.id])]);

    let seen = world.store.message(bob.id, message.id).await.unwrap().unwrap();
    assert_eq!(shown(&seen), shown(three));
    assert_eq!(mine(&seen), [Some(true), Some(true)]);
    assert_eq!(mine(&world.history(&ada, group).await[1]), [Some(true), Some(false)]);
    assert_eq!(mine(world.view(&cyd, group).await.last_message.as_deref().unwrap()), [Some(true), Some(false)]);
    let changes = world.changes(group, 2).await;
    assert_eq!((changes.to, changes.changes.len(), changes.changes[0].kind), (6, 1, ChangeType::Updated));
    assert_eq!(&changes.changes[0].data, three);

    let fewer = world.apply_one(unreact(&cyd, "👍")).await;
    assert_eq!(shown(&fewer), [("🍵", 1, vec![bob.id]), ("👍", 2, vec![bob.id, ada.id])], "🍵 is the elder now");
    let none = [unreact(&bob, "🍵"), unreact(&bob, "👍"), unreact(&ada, "👍")];
    let none = &world.apply(&none).await.messages[&message.id];
    assert_eq!((shown(none), none.changed_seq), (Vec::new(), 10));
    let again = world.apply(&[react(&bob, "🍵"), unreact(&bob, "🍵"), react(&bob, "🍵")]).await;
    assert_eq!(shown(&again.messages[&message.id]), [("🍵", 1, vec![bob.id])], "the last one in a batch counts");
}

/// Emoji are compared as they are, not by what they look like.
pub async fn every_emoji_is_its_own(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "hello").await;
    let emoji = ["👍", "👍🏽", "👩‍👩‍👧‍👦", "🇫🇷", "❤️", "❤", ":shipit:", "a", "A"];
    let batch: Vec<Op> = emoji.iter().map(|it| Op::React(group, message.id, ada.clone(), (*it).into())).collect();
    let made = &world.apply(&batch).await.messages[&message.id];
    assert_eq!(made.reactions.iter().map(|it| it.emoji.as_str()).collect::<Vec<_>>(), emoji);
}

/// The first fifty, and how many there are.
pub async fn a_reaction_names_its_first_fifty_users(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..53 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let group = world.group(&people.iter().collect::<Vec<_>>()).await;
    let message = world.send(group, &people[0], "hello").await;
    let batch: Vec<Op> = people.iter().map(|user| Op::React(group, message.id, user.clone(), "👍".into())).collect();
    world.apply(&batch).await;
    let first: Vec<UserId> = people.iter().take(50).map(|user| user.id).collect();
    for (viewer, is_mine) in [(&people[0], true), (&people[52], true)] {
        let seen = world.store.message(viewer.id, message.id).await.unwrap().unwrap();
        assert_eq!(shown(&seen), [("👍", 53, first.clone())]);
        assert_eq!(mine(&seen), [Some(is_mine)], "also who is not named");
    }
}

/// Whole pages, with and without.
pub async fn each_message_of_a_page_has_its_own_reactions(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two) = (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    for group in [one, two] {
        for i in 0..6 {
            let message = world.send(group, &ada, &i.to_string()).await;
            if i % 2 == 0 {
                world.apply(&[Op::React(group, message.id, bob.clone(), format!("{i}"))]).await;
            }
        }
    }
    let page = world.store.history(bob.id, one, HistoryWindow::Latest, 50).await.unwrap();
    let seen: Vec<_> = page.iter().skip(1).map(|it| it.reactions.first().map(|it| it.emoji.clone())).collect();
    let expected: Vec<_> = (0..6).map(|i| (i % 2 == 0).then(|| i.to_string())).collect();
    assert_eq!(seen, expected);
    let listed = world.list(bob.id, None, 10).await.unwrap().items;
    assert!(listed.iter().all(|it| it.last_message.as_ref().unwrap().reactions.is_empty()), "the fifth has none");
}

/// What the decision looks at: of those that it names, those that are there.
pub async fn reactions_are_found_under_the_lock(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let here = world.group(&[&ada, &bob]).await;
    let (message, other) = (world.send(here, &ada, "hello").await.id, world.send(here, &ada, "x").await.id);
    world.apply(&[Op::React(here, message, bob.clone(), "👍".into())]).await;
    world.apply(&[Op::React(here, other, ada.clone(), "👍".into())]).await;
    let there_is = (message, bob.id, "👍".to_owned());
    let scope = Scope {
        conversations: vec![here],
        messages: vec![message],
        reactions: vec![there_is.clone(), (message, bob.id, "👎".into()), (message, ada.id, "👍".into())],
        ..Scope::default()
    };
    let locked = world.look(&scope).await;
    assert_eq!(locked.reactions.iter().collect::<Vec<_>>(), [&there_is]);
    let reactions = &locked.messages[&message].reactions;
    assert_eq!((reactions.len(), reactions[0].count, reactions[0].mine), (1, 1, None));
}

/// Many at once: none is lost, the count is right.
pub async fn reactions_from_many_tasks_are_all_there(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let mut people = Vec::new();
    for i in 0..12 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let group = world.group(&people.iter().collect::<Vec<_>>()).await;
    let message = world.send(group, &people[0], "hello").await.id;
    let tasks: Vec<_> = people
        .iter()
        .cloned()
        .enumerate()
        .map(|(i, user)| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for _ in 0..3 {
                    world.apply(&[Op::React(group, message, user.clone(), "👍".into())]).await;
                    if i % 3 == 0 {
                        world.apply(&[Op::Unreact(group, message, user.clone(), "👍".into())]).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seen = world.store.message(people[1].id, message).await.unwrap().unwrap();
    assert_eq!((seen.reactions[0].count, seen.changed_seq), (8, world.head(group).await));
}
