//! Resuming many conversations at once: watermarks, first pages, the epoch.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use protocol::{ConversationId, ConversationKind, History, Role, Seq, User, UserId, UserSeq};
use store::{CATCH_UP_CHANGES, ChangedSince, Heads, MarkRow, Missed, NewConversation, Scope, Store, Watermark};

use super::{op::Op, world::World};
use crate::process::eventually;

/// What a client that was there at `since` replays, by conversation.
async fn cursors(world: &World, user: &User, since: &Watermark) -> HashMap<ConversationId, Option<Seq>> {
    // As it comes back from a client.
    let since = since.to_string().parse().unwrap();
    let changed = world.store.changed_since(user.id, UserSeq::MAX, &since, 100).await.unwrap();
    changed.items.into_iter().map(|item| (item.conversation_id, item.cursor)).collect()
}

/// Each kind of change, once.
pub async fn what_changed_since_a_watermark_is_replayed_and_nothing_else(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (talk, edits, quiet) =
        (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    let old = world.send(edits, &ada, "one").await;
    world.send(edits, &ada, "two").await;
    let before = world.store.memberships(ada.id, 10).await.unwrap();
    // What others do in the same server moves it too: not the same text, but the same in what it stands for.
    let heads = world.store.heads(&[talk]).await.unwrap();
    assert!(cursors(&world, &ada, &heads.watermark).await.is_empty(), "heads tell of the same moment");
    assert!(cursors(&world, &ada, &before.watermark).await.is_empty(), "nothing happened");

    world.send(talk, &bob, "hello").await;
    world.apply(&[Op::Edit(edits, old.id, "three".into())]).await;
    let changed = world.store.changed_since(ada.id, UserSeq::MAX, &before.watermark, 100).await.unwrap();
    // Most recently active first.
    let expected = [
        ChangedSince { conversation_id: talk, cursor: Some(1), last_seq: 2 },
        ChangedSince { conversation_id: edits, cursor: Some(3), last_seq: 4 },
    ];
    assert_eq!(changed.items, expected);
    assert_eq!(changed.epoch, before.epoch);
    assert!(cursors(&world, &ada, &changed.watermark).await.is_empty(), "all of that was seen");

    // A batch of several conversations is one write; each kind of change counts.
    let groups = [talk, edits, quiet];
    for step in [
        vec![Op::send(talk, &ada, "a"), Op::send(quiet, &ada, "b")],
        vec![Op::React(edits, old.id, bob.clone(), "👍".into()), Op::send(quiet, &ada, "c")],
        vec![Op::Unreact(edits, old.id, bob.clone(), "👍".into())],
        vec![Op::Pin(edits, old.id, true)],
        vec![Op::Delete(edits, old.id)],
        vec![Op::Promote(talk, bob.clone(), Role::Admin)],
    ] {
        let before = world.store.heads(&groups).await.unwrap();
        world.apply(&step).await;
        let replayed = cursors(&world, &ada, &before.watermark).await;
        for (id, seen) in before.items {
            let after = async |seq| world.changes(id, seq).await.changes.iter().map(|it| it.seq).collect::<Vec<_>>();
            // Where the newest change of then was changed again, its place is gone, and the cursor is before it.
            let replay = match replayed.get(&id) {
                Some(cursor) => after(cursor.unwrap()).await,
                None => Vec::new(),
            };
            assert_eq!(replay, after(seen).await);
        }
    }
    let stranger = world.user("cyd").await;
    assert!(cursors(&world, &stranger, &before.watermark).await.is_empty());
}

/// Whoever writes at the same time, and however long their commits take.
pub async fn no_change_is_missed_from_whatever_moment_on(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let mut groups = Vec::new();
    for _ in 0..4 {
        groups.push(world.group(&[&ada]).await);
    }
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (world, groups, done) = (Arc::clone(&world), groups.clone(), Arc::clone(&done));
        async move {
            let mut moments: Vec<Heads> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                moments.push(world.store.heads(&groups).await.unwrap());
            }
            moments
        }
    });
    let writers: Vec<_> = (0..8)
        .map(|i| {
            let (world, ada, groups) = (Arc::clone(&world), ada.clone(), groups.clone());
            tokio::spawn(async move {
                for n in 0..12 {
                    // One, or two in either order: some wait for others with their transaction open.
                    let (one, two) = (groups[(i + n) % groups.len()], groups[i % groups.len()]);
                    let sent = world.send(one, &ada, "one").await;
                    world.apply(&[Op::send(two, &ada, "two"), Op::Edit(one, sent.id, "three".into())]).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let moments = reader.await.unwrap();
    let heads: HashMap<_, _> = world.store.heads(&groups).await.unwrap().items.into_iter().collect();
    assert!(moments.iter().any(|moment| moment.items.iter().any(|(id, head)| heads[id] != *head)), "none was early");
    for moment in &moments {
        let since = moment.watermark.to_string().parse().unwrap();
        let changed = world.store.changed_since(ada.id, UserSeq::MAX, &since, 10_000).await.unwrap();
        let cursors: HashMap<_, _> = changed.items.iter().map(|item| (item.conversation_id, item.cursor)).collect();
        for (id, seen) in &moment.items {
            // What was seen then ended at `seen`: the replay begins there or before.
            match cursors.get(id) {
                Some(cursor) => assert!(cursor.unwrap() <= *seen, "{cursor:?} is past {seen}: {moment:?}"),
                None => assert_eq!(*seen, heads[id], "{moment:?}"),
            }
        }
    }
}

/// A restored database knows nothing of moments that it lost.
pub async fn too_far_back_or_of_another_history_is_said(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let (busy, calm) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
    let before = world.store.heads(&[]).await.unwrap().watermark;
    let sends: Vec<Op> = (0..10).map(|_| Op::send(busy, &ada, "hello")).collect();
    world.apply(&sends).await;
    world.send(calm, &ada, "hello").await;
    let since = async |watermark: &Watermark, limit| {
        let changed = world.store.changed_since(ada.id, UserSeq::MAX, watermark, limit).await.unwrap();
        changed.items.into_iter().map(|item| (item.conversation_id, item.cursor)).collect::<HashMap<_, _>>()
    };
    assert_eq!(since(&before, 9).await, HashMap::from([(busy, None), (calm, Some(1))]), "ten changes are too many");
    assert_eq!(since(&before, 10).await, HashMap::from([(busy, Some(1)), (calm, Some(1))]));
    assert_eq!(since(&before, 0).await[&busy], None);
    assert_eq!(since(&before, u32::MAX).await[&busy], Some(1));
    // From before everything: as far as the limit reaches.
    assert_eq!(since(&Watermark::default(), 10).await, HashMap::from([(busy, None), (calm, Some(0))]));
    let lost: Watermark = "7fffffffffffffff-1-2".parse().unwrap();
    assert_eq!(since(&lost, 100).await, HashMap::from([(busy, None), (calm, None)]));
}

/// What was left is not among what changed, but for who took part at their feed's place; what was closed is. Of neither
/// is there a page.
pub async fn only_what_one_takes_part_in_is_replayed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (left, closed, kept) =
        (world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await, world.group(&[&ada, &bob]).await);
    let heads = world.store.heads(&[left, closed, kept]).await.unwrap();
    let then = world.store.memberships(bob.id, 10).await.unwrap().user_seq;
    world.apply(&[Op::Leave(left, bob.clone())]).await;
    world.apply(&[Op::Close(closed, ada.clone())]).await;
    world.send(kept, &ada, "hello").await;
    let now = world.store.memberships(bob.id, 10).await.unwrap().user_seq;
    assert!(now > then, "leaving moves a feed");
    for (user_seq, expected) in [(then, vec![left, closed, kept]), (now, vec![closed, kept])] {
        let changed = world.store.changed_since(bob.id, user_seq, &heads.watermark, 100).await.unwrap();
        let cursors: HashMap<_, _> = changed.items.iter().map(|item| (item.conversation_id, item.cursor)).collect();
        assert_eq!(cursors, expected.into_iter().map(|id| (id, Some(1))).collect());
    }
    let pages = world.store.catch_up(bob.id, &[(left, 0), (closed, 0), (kept, 1)], 10).await.unwrap();
    assert_eq!(pages.iter().map(|missed| missed.page.conversation_id).collect::<Vec<_>>(), [kept]);
    assert!(world.store.catch_up(UserId::generate(), &[(kept, 0)], 10).await.unwrap().is_empty());
    assert!(world.store.catch_up(bob.id, &[], 10).await.unwrap().is_empty());
    assert!(world.store.catch_up(bob.id, &[(ConversationId::generate(), 0)], 10).await.unwrap().is_empty());
}

/// One by one or all at once.
pub async fn first_pages_of_many_are_those_of_each(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut cursors = Vec::new();
    for n in 0..20_u64 {
        let history = if n % 3 == 0 { History::SinceJoin } else { History::All };
        let new = NewConversation { history, ..world.new_conversation(ConversationKind::Group, &[&ada]) };
        let group = world.create(new).await.id;
        let first = world.send(group, &ada, "before bob").await;
        world.apply(&[Op::Join(group, bob.clone(), Role::Member)]).await;
        let sends: Vec<Op> = (0..n).map(|_| Op::reply(group, &ada, "hello", first.id)).collect();
        let sent = world.apply(&sends).await;
        if let Some(id) = sent.messages.keys().next() {
            world.apply(&[Op::React(group, *id, bob.clone(), "🎉".into())]).await;
        }
        // From the beginning, from somewhere, from the head, and from beyond it.
        cursors.push((group, [0, 4, world.head(group).await, 1_000][n as usize % 4]));
    }
    for (viewer, limit) in [(&ada, 5), (&bob, 5), (&bob, 100), (&ada, 0)] {
        let pages = world.store.catch_up(viewer.id, &cursors, limit).await.unwrap();
        assert_eq!(pages.len(), cursors.len());
        for (Missed { page, access_since_seq }, (group, after)) in pages.into_iter().zip(&cursors) {
            let access = world.store.access(viewer.id, *group).await.unwrap().unwrap();
            assert_eq!(access_since_seq, access.participant.unwrap().access_since_seq);
            let mut alone = world.store.changes(Some(viewer.id), *group, *after, limit).await.unwrap().unwrap();
            // A cursor beyond the head stays where it is.
            alone.to = alone.to.max(*after);
            assert_eq!(page, alone);
            assert!(page.changes.len() <= limit.max(1) as usize);
        }
    }
}

/// The answer has a size; what found no room is asked for again.
pub async fn a_catch_up_is_bounded_and_goes_on(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut groups = Vec::new();
    for _ in 0..4 {
        let group = world.group(&[&ada]).await;
        let sends: Vec<Op> = (1..1_200).map(|_| Op::send(group, &ada, "hello")).collect();
        world.apply(&sends).await;
        groups.push(group);
    }
    let calm = world.group(&[&ada]).await;
    let mut cursors: Vec<(ConversationId, Seq)> = groups.iter().map(|group| (*group, 0)).collect();
    cursors.push((calm, 1));
    let first_pages = async |cursors: &[_], limit| {
        let missed = world.store.catch_up(ada.id, cursors, limit).await.unwrap();
        missed.into_iter().map(|missed| missed.page).collect::<Vec<_>>()
    };
    let pages = first_pages(&cursors, u32::MAX).await;
    let shape: Vec<_> = pages.iter().map(|page| (page.changes.len(), page.to, page.more)).collect();
    assert_eq!(shape, [(1_200, 1_200, false), (800, 800, true), (0, 0, true), (0, 0, true), (0, 1, false)]);
    let mut rounds = 0;
    let mut seen = 0;
    loop {
        let pages = first_pages(&cursors, 500).await;
        let changes: usize = pages.iter().map(|page| page.changes.len()).sum();
        assert!(changes <= CATCH_UP_CHANGES as usize);
        seen += changes;
        rounds += 1;
        cursors = pages.iter().filter(|page| page.more).map(|page| (page.conversation_id, page.to)).collect();
        if cursors.is_empty() {
            break;
        }
        assert!(changes > 0 && rounds < 20, "it goes on");
    }
    assert_eq!(seen, 4 * 1_200, "each change once");
}

/// Everybody who asks hears of it.
pub async fn a_new_epoch_is_another_one_and_stays(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let before = world.store.health().await.unwrap().epoch;
    assert_eq!(world.store.heads(&[group]).await.unwrap().epoch, before);
    let first = world.store.new_epoch().await.unwrap();
    assert_eq!(first.old, before);
    let second = world.store.new_epoch().await.unwrap();
    assert_eq!(second.old, first.new);
    assert!(first.new != first.old && second.new != second.old && second.new != first.old, "{first:?} {second:?}");
    assert_eq!(second.new.len(), before.len());
    world.store.migrate().await.unwrap();
    let heads = world.store.heads(&[group]).await.unwrap();
    assert_eq!((heads.epoch.as_str(), heads.items), (second.new.as_str(), vec![(group, 1)]));
    assert_eq!(world.store.health().await.unwrap().epoch, second.new);
    assert_eq!(world.store.memberships(ada.id, 1).await.unwrap().epoch, second.new);
    // What is committed now says so.
    let scope = Scope { conversations: vec![group], ..Scope::default() };
    assert_eq!(world.look(&scope).await.epoch, second.new);
    let read = MarkRow { user_id: ada.id, conversation_id: group, delivered_seq: None, read_seq: Some(1) };
    assert_eq!(world.store.mark(&[read]).await.unwrap().epoch, second.new);
    let since = world.store.changed_since(ada.id, UserSeq::MAX, &heads.watermark, 1).await.unwrap();
    assert_eq!((since.epoch, since.items.len()), (second.new, 0));
}

/// Nobody counts them: a database's own figures lag behind, and are not exact.
pub async fn about_as_many_messages_as_there_are_are_told_of(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let sends: Vec<_> = (0..200).map(|n| Op::send(group, &ada, &format!("message {n}"))).collect();
    world.apply(&sends).await;
    // 201 there are. What a database notes it may note in parts.
    eventually("about so many are told of", Duration::from_secs(30), async || {
        match world.store.messages_stored().await.unwrap() {
            Some(100..=400) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}
