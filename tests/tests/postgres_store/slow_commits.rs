//! Commits that take long: what a watermark may not forget, and a clock would.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;
use starling_tests::{
    conformance::store::{Op, World},
    postgres::TestDatabase,
    process::eventually,
};
use store::{
    Store,
    postgres::{PostgresConfig, PostgresStore},
};

/// More than a watermark names (16).
const SLOW: usize = 20;

/// From now on the commit of a message `slow` waits as long as somebody holds the lock 1, as it would for a slow disk
/// or for a synchronous standby: everything is written, nothing can be seen.
async fn slow_down(connection: &mut PgConnection) {
    sqlx::raw_sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.content = 'slow') EXECUTE FUNCTION wait();",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    sqlx::query("SELECT pg_advisory_lock(1)").execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_commit_took_long_is_replayed_from_whatever_moment_it_could_not_be_seen() {
    let database = TestDatabase::create().await.unwrap();
    let config = PostgresConfig {
        max_connections: 30,
        statement_timeout: Duration::from_mins(1),
        lock_timeout: Duration::from_mins(1),
        call_timeout: Duration::from_mins(1),
        ..PostgresConfig::new(database.url())
    };
    let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(config).unwrap());
    let world = Arc::new(World::new(store).await);
    let ada = world.user("ada").await;
    let mut rooms = Vec::new();
    for _ in 0..SLOW {
        rooms.push(world.group(&[&ada]).await);
    }
    let quick = world.group(&[&ada]).await;
    let mut blocker = database.connection().await.unwrap();
    slow_down(&mut blocker).await;

    let mut sends = Vec::new();
    let mut moments = vec![world.store.heads(&[]).await.unwrap().watermark];
    for (n, room) in rooms.iter().enumerate() {
        let (sender, by, room) = (Arc::clone(&world), ada.clone(), *room);
        sends.push(tokio::spawn(async move { sender.send(room, &by, "slow").await }));
        eventually("the commit waits", Duration::from_secs(20), async || {
            let waiting: i64 =
                sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                    .fetch_one(&mut blocker)
                    .await
                    .map_err(|error| error.to_string())?;
            if waiting == n as i64 + 1 { Ok(()) } else { Err(format!("{waiting} wait")) }
        })
        .await;
        // Later writes are there before it.
        world.send(quick, &ada, "quick").await;
        moments.push(world.store.heads(&[]).await.unwrap().watermark);
    }
    let heads = world.store.heads(&rooms).await.unwrap();
    assert!(heads.items.iter().all(|(_, head)| *head == 1), "a message is seen before its commit: {heads:?}");
    sqlx::query("SELECT pg_advisory_unlock(1)").execute(&mut blocker).await.unwrap();
    for send in sends {
        assert_eq!(send.await.unwrap().seq, 2);
    }

    for (n, moment) in moments.iter().enumerate() {
        let since = moment.to_string().parse().unwrap();
        let changed = world.store.changed_since(ada.id, u64::MAX, &since, 100).await.unwrap();
        for room in &rooms {
            let item = changed.items.iter().find(|item| item.conversation_id == *room);
            assert_eq!(item.and_then(|item| item.cursor), Some(1), "since {n}, {moment}: {changed:?}");
        }
        // Of what was seen, no more is repeated than was not named: the commits in progress beyond the first 16.
        let seen = 1 + n as u64;
        let from = changed.items.iter().find(|item| item.conversation_id == quick).and_then(|item| item.cursor);
        let from = from.unwrap_or(1 + SLOW as u64);
        assert!(from <= seen && from >= seen.min(16), "since {n}, {moment}: from {from}");
    }
    let now = world.store.heads(&[]).await.unwrap().watermark;
    assert!(world.store.changed_since(ada.id, u64::MAX, &now, 100).await.unwrap().items.is_empty());
    world.apply(&[Op::send(quick, &ada, "more")]).await;
}
