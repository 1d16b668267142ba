//! What connections ask when they begin: of many as of each.

use std::sync::Arc;

use protocol::{ConversationId, Seq, SessionId, User, UserId};
use store::{Arrived, Behind, CATCH_UP_CHANGES, ExternalUser, NewSession, SessionState, Store, Who};

use super::{op::Op, world::World};

async fn session(world: &World, user: &User, hash: u8) -> SessionId {
    let (id, now) = (SessionId::generate(), world.now());
    let expires_at = protocol::Timestamp::from_unix_millis(now.unix_millis() + 60_000).unwrap();
    let session = NewSession { id, user_id: user.id, device: None, refresh_hash: vec![hash; 32], expires_at, now };
    world.store.create_session(session).await.unwrap();
    id
}

/// Users, their sessions, and people of another system, whoever of them is there.
pub async fn who_arrives_is_known_with_the_session_that_they_name(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (open, over) = (session(&world, &ada, 1).await, session(&world, &ada, 2).await);
    world.store.revoke_sessions(ada.id, Some(over), world.now()).await.unwrap().unwrap();
    let external = ExternalUser {
        id: UserId::generate(),
        org_id: ada.org_id,
        external_id: "sub-1".into(),
        username: "cyd".into(),
        display_name: None,
        avatar_url: None,
        role: None,
        now: world.now(),
    };
    let cyd = world.store.upsert_external_user(external).await.unwrap();
    let elsewhere = world.store.ensure_org("elsewhere").await.unwrap();

    let of = |user: &User, active| Some(SessionState { user_id: user.id, active });
    let cases = [
        (Who::User(bob.id, None), Some(&bob), None),
        (Who::User(ada.id, Some(open)), Some(&ada), of(&ada, true)),
        (Who::User(ada.id, Some(over)), Some(&ada), of(&ada, false)),
        // Whose it is, is for the caller to compare.
        (Who::User(bob.id, Some(open)), Some(&bob), of(&ada, true)),
        (Who::User(ada.id, Some(SessionId::generate())), Some(&ada), None),
        (Who::User(UserId::generate(), Some(open)), None, of(&ada, true)),
        (Who::External(ada.org_id, "sub-1".into()), Some(&cyd), None),
        (Who::External(elsewhere, "sub-1".into()), None, None),
        (Who::External(ada.org_id, "sub-2".into()), None, None),
        // Twice is no harm.
        (Who::User(bob.id, None), Some(&bob), None),
    ];
    let who: Vec<Who> = cases.iter().map(|(who, _, _)| who.clone()).collect();
    let arrived = world.store.arrived(&who, world.now()).await.unwrap();
    assert_eq!(arrived.len(), cases.len());
    for ((who, user, session), arrived) in cases.into_iter().zip(arrived) {
        assert_eq!(arrived, Arrived { user: user.cloned(), session }, "{who:?}");
    }
    assert!(world.store.arrived(&[], world.now()).await.unwrap().is_empty());
}

/// Asked for together or one by one.
pub async fn many_who_begin_are_told_what_each_would_be(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(world.user(&format!("user{n}")).await);
    }
    let mut groups: Vec<ConversationId> = Vec::new();
    for n in 0..6 {
        // Neighbours, the last of whom is alone in theirs.
        let members: Vec<&User> = people.iter().skip(n).take(3).collect();
        let group = world.group(&members).await;
        let sends: Vec<Op> = (0..=n).map(|_| Op::send(group, &people[n], "hello")).collect();
        let sent = world.apply(&sends).await;
        if let (Some(id), Some(reader)) = (sent.messages.keys().next(), people.get(n + 1)) {
            world.apply(&[Op::React(group, *id, reader.clone(), "🎉".into())]).await;
        }
        groups.push(group);
    }
    world.apply(&[Op::Leave(groups[0], people[1].clone())]).await;
    let stranger = UserId::generate();
    let mut users: Vec<UserId> = people.iter().map(|user| user.id).collect();
    users.extend([stranger, users[0]]);

    for limit in [1, 100] {
        let together = world.store.memberships_of(&users, limit).await.unwrap();
        assert_eq!(together.len(), users.len());
        for (user, theirs) in users.iter().zip(together) {
            let alone = world.store.memberships(*user, limit).await.unwrap();
            assert_eq!((&theirs.items, theirs.user_seq, &theirs.epoch), (&alone.items, alone.user_seq, &alone.epoch));
        }
    }
    let cursors: Vec<(ConversationId, Seq)> = groups.iter().zip(0..).map(|(group, n)| (*group, n % 4)).collect();
    let behind: Vec<Behind> = users.iter().map(|user| (*user, cursors.clone())).chain([(users[0], vec![])]).collect();
    for limit in [1, 3, 100] {
        let together = world.store.catch_up_of(&behind, limit).await.unwrap();
        assert_eq!(together.len(), behind.len());
        for ((user, cursors), theirs) in behind.iter().zip(together) {
            // Reactions say which are theirs.
            assert_eq!(theirs, world.store.catch_up(*user, cursors, limit).await.unwrap());
        }
    }
    let of: Vec<_> = users.iter().map(|user| (*user, groups.clone())).chain([(users[0], vec![])]).collect();
    let together = world.store.receipts_of(&of).await.unwrap();
    assert_eq!(together.len(), of.len());
    let mut told = 0;
    for ((user, groups), mut theirs) in of.iter().zip(together) {
        let mut alone = world.store.receipts(*user, groups).await.unwrap();
        alone.sort_by_key(|receipt| (receipt.conversation_id, receipt.user_id));
        theirs.sort_by_key(|receipt| (receipt.conversation_id, receipt.user_id));
        assert_eq!(theirs, alone);
        told += alone.len();
    }
    assert!(told > 10);
    assert!(world.store.memberships_of(&[], 10).await.unwrap().is_empty());
    assert!(world.store.catch_up_of(&[], 10).await.unwrap().is_empty());
    assert!(world.store.receipts_of(&[]).await.unwrap().is_empty());
}

/// Who missed much takes nothing of what the others get.
pub async fn the_bounds_of_a_catch_up_are_each_viewers_own(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let most = u64::from(CATCH_UP_CHANGES);
    let group = world.group(&[&ada, &bob]).await;
    let sends: Vec<Op> = (0..most + 10).map(|_| Op::send(group, &ada, "hello")).collect();
    for some in sends.chunks(500) {
        world.apply(some).await;
    }
    let behind = [(ada.id, vec![(group, 1)]), (bob.id, vec![(group, 1)])];
    for missed in world.store.catch_up_of(&behind, u32::MAX).await.unwrap() {
        let page = &missed[0].page;
        assert_eq!((page.changes.len() as u64, page.to, page.more), (most, most + 1, true));
    }
}
