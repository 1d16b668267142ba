//! Sessions and the refresh tokens that keep them alive.

use std::sync::Arc;

use protocol::{SessionId, Timestamp, User, UserId};
use store::{NewSession, Rotation, SessionState, Store, Who};

use super::world::World;

const HOUR: i64 = 3_600_000;

fn after(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(at.unix_millis() + millis).unwrap()
}

/// Opens a session whose token ends an hour from now.
async fn open(world: &World, user: &User, hash: u8) -> SessionId {
    let now = world.now();
    let id = SessionId::generate();
    let session = NewSession {
        id,
        user_id: user.id,
        device: Some(format!("device {hash}")),
        refresh_hash: vec![hash; 32],
        expires_at: after(now, HOUR),
        now,
    };
    world.store.create_session(session).await.unwrap();
    id
}

async fn rotate(world: &World, old: u8, new: u8) -> Rotation {
    let now = world.now();
    world.store.rotate_session(&[old; 32], &[new; 32], after(now, HOUR), now).await.unwrap()
}

/// Whose a session is, and whether it counts at that moment.
async fn state(world: &World, id: SessionId, at: Timestamp) -> Option<SessionState> {
    world.store.arrived(&[Who::User(UserId::generate(), Some(id))], at).await.unwrap()[0].session
}

async fn active(world: &World, id: SessionId) -> Option<bool> {
    state(world, id, world.now()).await.map(|state| state.active)
}

/// The next one is the only one.
pub async fn a_refresh_token_works_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let id = open(&world, &ada, 1).await;
    for (old, new) in [(1, 2), (2, 3), (3, 4)] {
        let Rotation::Rotated { session, user } = rotate(&world, old, new).await else { panic!("{old}") };
        assert_eq!((session, &user), (id, &ada));
    }
    assert!(matches!(rotate(&world, 9, 10).await, Rotation::Invalid), "a token that never was");
    let found = state(&world, id, world.now()).await.unwrap();
    assert_eq!((found.user_id, found.active), (ada.id, true));
    assert_eq!(state(&world, SessionId::generate(), world.now()).await, None);
}

/// Whether the newest or an older one comes back: somebody stole it.
pub async fn a_token_used_again_revokes_its_session(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let (stolen, other) = (open(&world, &ada, 1).await, open(&world, &ada, 50).await);
    rotate(&world, 1, 2).await;
    rotate(&world, 2, 3).await;
    let Rotation::Reused { session, user_id, user_seq } = rotate(&world, 1, 4).await else { panic!() };
    assert_eq!((session, user_id, user_seq), (stolen, ada.id, 1));
    assert_eq!((active(&world, stolen).await, active(&world, other).await), (Some(false), Some(true)));
    assert!(matches!(rotate(&world, 3, 5).await, Rotation::Invalid), "the session is over for the thief as well");
    assert!(matches!(rotate(&world, 1, 6).await, Rotation::Invalid), "revoked once is enough");
    assert_eq!(world.store.feed_heads(&[ada.id]).await.unwrap(), [(ada.id, 1)]);
}

/// A client with many tabs: one gets the new token, the others are reuse. Nobody waits for each other in a circle.
pub async fn one_token_used_by_ten_tasks_is_exchanged_once(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    for round in 0..10 {
        open(&world, &ada, round).await;
        let tasks: Vec<_> = (0..10)
            .map(|i| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { rotate(&world, round, 100 + round * 10 + i).await })
            })
            .collect();
        let (mut rotated, mut reused) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Rotation::Rotated { .. } => rotated += 1,
                Rotation::Reused { .. } => reused += 1,
                Rotation::Invalid => {}
            }
        }
        assert_eq!((rotated, reused), (1, 1));
    }
}

/// At that moment, not after it.
pub async fn sessions_end_when_they_expire(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let now = world.now();
    let id = SessionId::generate();
    let end = after(now, 5_000);
    let session = NewSession { id, user_id: ada.id, device: None, refresh_hash: vec![1; 32], expires_at: end, now };
    world.store.create_session(session).await.unwrap();
    assert!(state(&world, id, after(end, -1)).await.unwrap().active);
    assert_eq!(world.store.sessions(ada.id, after(end, -1)).await.unwrap().len(), 1);
    assert!(!state(&world, id, end).await.unwrap().active);
    assert!(world.store.sessions(ada.id, end).await.unwrap().is_empty());
    let late = world.store.rotate_session(&[1; 32], &[2; 32], after(end, HOUR), end).await.unwrap();
    assert!(matches!(late, Rotation::Invalid), "{late:?}");
    let again = open(&world, &ada, 3).await;
    let later = after(now, HOUR / 2);
    let rotated = world.store.rotate_session(&[3; 32], &[4; 32], after(later, HOUR), later).await.unwrap();
    assert!(matches!(rotated, Rotation::Rotated { .. }));
    let found = state(&world, again, after(later, HOUR - 1)).await.unwrap();
    assert!(found.active, "an exchange makes the session last longer");
}

/// Only one's own; the list shows what is left.
pub async fn a_user_revokes_one_session_or_all(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, two, three) = (open(&world, &ada, 1).await, open(&world, &ada, 2).await, open(&world, &ada, 3).await);
    let bobs = open(&world, &bob, 4).await;
    let list = world.store.sessions(ada.id, world.now()).await.unwrap();
    assert_eq!(list.iter().map(|item| item.id).collect::<Vec<_>>(), [three, two, one], "newest first");
    assert_eq!(list[0].device.as_deref(), Some("device 3"));
    assert_eq!(list[0].expires_at, after(list[0].created_at, HOUR));

    let now = world.now();
    assert_eq!(world.store.revoke_sessions(ada.id, Some(bobs), now).await.unwrap(), None, "not theirs");
    assert_eq!(world.store.revoke_sessions(ada.id, Some(two), now).await.unwrap(), Some(1));
    assert_eq!(world.store.revoke_sessions(ada.id, Some(two), now).await.unwrap(), None, "nothing left to revoke");
    assert!(matches!(rotate(&world, 2, 20).await, Rotation::Invalid));
    assert_eq!(world.store.sessions(ada.id, now).await.unwrap().len(), 2);
    assert!(world.store.revoke_sessions(ada.id, None, now).await.unwrap().is_some());
    assert!(world.store.sessions(ada.id, now).await.unwrap().is_empty());
    assert_eq!(world.store.revoke_sessions(ada.id, None, now).await.unwrap(), None);
    assert_eq!(world.store.revoke_sessions(UserId::generate(), None, now).await.unwrap(), None);
    assert_eq!((active(&world, one).await, active(&world, bobs).await), (Some(false), Some(true)));
}
