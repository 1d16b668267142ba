//! Whose presence somebody may know, and when people were last there.

use std::{collections::HashSet, sync::Arc};

use protocol::{ConversationKind, Timestamp, User, UserId};
use store::{Seen, Store};

use super::{Op, World};

fn names(seen: &[Seen], of: &[&User]) -> Vec<String> {
    let ids: Vec<UserId> = seen.iter().map(|seen| seen.user_id).collect();
    let distinct: HashSet<UserId> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "each once");
    of.iter().filter(|user| distinct.contains(&user.id)).map(|user| user.username.clone()).collect()
}

/// Themselves, and with whom they share a conversation now, unless one blocked the other.
pub async fn presence_is_for_those_who_share_a_conversation(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let (dan, foreign) = (world.user("dan").await, world.foreigner("foreign").await);
    let all = [&ada, &bob, &cid, &dan, &foreign];
    let group = world.group(&[&ada, &bob]).await;
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&cid, &ada])).await.id;
    let visible = async |viewer: &User| {
        let mut ids: Vec<UserId> = all.iter().map(|user| user.id).collect();
        ids.push(UserId::generate());
        names(&world.store.visible(viewer.id, &ids).await.unwrap(), &all)
    };
    let contacts = async |viewer: &User| names(&world.store.contacts(viewer.id, 10).await.unwrap(), &all);
    assert_eq!(visible(&ada).await, ["ada", "bob", "cid"]);
    assert_eq!(contacts(&ada).await, ["bob", "cid"]);
    assert_eq!((visible(&bob).await, contacts(&bob).await), (vec!["ada".into(), "bob".into()], vec!["ada".into()]));
    assert_eq!((visible(&dan).await, contacts(&dan).await), (vec!["dan".to_owned()], Vec::new()));

    world.store.set_blocked(bob.id, ada.id, true, world.now()).await.unwrap();
    assert_eq!((visible(&ada).await, contacts(&ada).await), (vec!["ada".into(), "cid".into()], vec!["cid".into()]));
    assert_eq!((visible(&bob).await, contacts(&bob).await), (vec!["bob".to_owned()], Vec::new()), "both ways");
    world.store.set_blocked(bob.id, ada.id, false, world.now()).await.unwrap();
    assert_eq!(contacts(&ada).await, ["bob", "cid"]);
    world.apply(&[Op::Leave(group, bob.clone())]).await;
    assert_eq!((visible(&ada).await, visible(&bob).await), (vec!["ada".into(), "cid".into()], vec!["bob".to_owned()]));
    world.apply(&[Op::Close(room, cid.clone())]).await;
    assert_eq!((visible(&ada).await, contacts(&ada).await), (vec!["ada".to_owned()], Vec::new()));
}

/// However many conversations two share; at most so many.
pub async fn contacts_are_named_once_and_cut(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..6 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let all: Vec<&User> = people.iter().collect();
    for _ in 0..3 {
        world.group(&all).await;
    }
    let contacts = world.store.contacts(people[0].id, 10).await.unwrap();
    assert_eq!(names(&contacts, &all), ["user1", "user2", "user3", "user4", "user5"]);
    assert_eq!(names(&world.store.contacts(people[0].id, 2).await.unwrap(), &all).len(), 2);
}

/// The latest counts, whoever notes it last.
pub async fn when_somebody_was_last_there_never_goes_back(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let eve = world.foreigner("eve").await;
    let (early, late) = (world.now(), world.now());
    let note = async |rows: &[(&User, Option<Timestamp>)]| {
        let rows: Vec<Seen> = rows.iter().map(|(user, at)| Seen { user_id: user.id, last_seen_at: *at }).collect();
        world.store.note_seen(&rows).await.unwrap();
    };
    let last = async |user: &User| world.store.visible(user.id, &[user.id]).await.unwrap()[0].last_seen_at;
    assert_eq!(last(&ada).await, None);
    note(&[]).await;
    note(&[(&ada, Some(late)), (&bob, Some(early)), (&eve, Some(early))]).await;
    note(&[(&ada, Some(early)), (&bob, Some(late)), (&eve, None)]).await;
    assert_eq!((last(&ada).await, last(&bob).await, last(&eve).await), (Some(late), Some(late), Some(early)));
    let nobody = User { id: UserId::generate(), ..ada.clone() };
    note(&[(&nobody, Some(late)), (&eve, Some(late))]).await;
    assert_eq!(last(&eve).await, Some(late), "users that are not there are passed over");
}

/// Two nodes note the same people at once, in any order.
pub async fn noting_the_same_people_from_many_tasks_is_fine(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let mut ids = Vec::new();
    for i in 0..20 {
        ids.push(world.user(&format!("user{i}")).await.id);
    }
    let times: Vec<Timestamp> = (0..10).map(|_| world.now()).collect();
    let tasks: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(i, at)| {
            let (world, mut ids, at) = (Arc::clone(&world), ids.clone(), *at);
            ids.rotate_left(i * 7 % 20);
            tokio::spawn(async move {
                let seen: Vec<Seen> = ids.into_iter().map(|user_id| Seen { user_id, last_seen_at: Some(at) }).collect();
                world.store.note_seen(&seen).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for id in ids {
        let seen = world.store.visible(id, &[id]).await.unwrap();
        assert_eq!(seen[0].last_seen_at, times.last().copied());
    }
}
