//! Runs the suite of the store on each implementation, and what only one of them has to promise.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use starling_tests::{
    conformance::store::{Op, World},
    store_conformance,
};
use store::Store;

mod postgres {
    use starling_tests::{conformance::store::state, postgres::TestDatabase};
    use store::postgres::PostgresStore;

    use super::*;

    struct Backend {
        store: Arc<PostgresStore>,
        database: TestDatabase,
    }

    impl Backend {
        fn store(&self) -> Arc<dyn Store> {
            Arc::clone(&self.store) as _
        }
    }

    async fn open() -> Backend {
        let database = TestDatabase::create().await.unwrap();
        Backend { store: Arc::new(database.store().unwrap()), database }
    }

    store_conformance!(open);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_empty_database_is_migrated_by_many_tasks_at_once() {
        let database = TestDatabase::create_empty().await.unwrap();
        let store = Arc::new(database.store().unwrap());
        super::an_unmigrated_store_says_so(&*store).await;
        state::migrating_from_many_tasks_at_once_is_fine(store).await;
    }

    #[tokio::test]
    async fn the_history_of_a_message_is_erased_with_it() {
        let backend = open().await;
        super::edit_twice_and_delete(backend.store(), async || {
            let mut connection = backend.database.connection().await.unwrap();
            sqlx::query_scalar("SELECT content FROM message_edits ORDER BY changed_seq")
                .fetch_all(&mut connection)
                .await
                .unwrap()
        })
        .await;
    }
}

mod sqlite {
    use std::{
        os::unix::fs::PermissionsExt,
        path::Path,
        process::Stdio,
        time::{Duration, Instant},
    };

    use protocol::MessageId;
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    use store::{
        StoreError,
        sqlite::{SqliteConfig, SqliteStore},
    };
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::Command,
    };

    use super::*;

    struct Backend {
        store: Arc<SqliteStore>,
        dir: TempDir,
    }

    impl Backend {
        fn store(&self) -> Arc<dyn Store> {
            Arc::clone(&self.store) as _
        }
    }

    async fn open() -> Backend {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap();
        Backend { store: Arc::new(store), dir }
    }

    store_conformance!(open);

    #[tokio::test]
    async fn an_empty_database_is_not_migrated() {
        let backend = open().await;
        super::an_unmigrated_store_says_so(&*backend.store).await;
    }

    #[tokio::test]
    async fn the_history_of_a_message_is_erased_with_it() {
        let backend = open().await;
        super::edit_twice_and_delete(backend.store(), async || {
            let file = SqliteConnectOptions::new().filename(backend.dir.path().join("starling.db"));
            let mut connection = file.connect().await.unwrap();
            sqlx::query_scalar("select content from message_edits order by changed_seq")
                .fetch_all(&mut connection)
                .await
                .unwrap()
        })
        .await;
    }

    #[tokio::test]
    async fn a_data_directory_is_made_for_its_owner_alone_and_used_by_one_store() {
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("not/there yet");
        let first = SqliteStore::open(SqliteConfig::new(&dir)).await.unwrap();
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let refused = SqliteStore::open(SqliteConfig::new(&dir)).await.err().unwrap();
        assert!(matches!(&refused, StoreError::Locked(path) if *path == dir), "{refused:?}");
        assert!(refused.to_string().contains("not/there yet"), "{refused}");

        first.migrate().await.unwrap();
        first.ensure_org("acme").await.unwrap();
        first.close().await;
        let closed = first.ensure_org("acme").await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");
        let second = SqliteStore::open(SqliteConfig::new(&dir)).await.unwrap();
        assert!(second.health().await.unwrap().migrated, "what was closed is found again");
    }

    /// As a simulation does that starts thousands of stores.
    #[tokio::test]
    async fn a_copy_of_a_migrated_file_is_a_store_of_its_own() {
        let (template, copies) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let forgetful = |dir: &Path| SqliteConfig { durable: false, ..SqliteConfig::new(dir) };
        let store = SqliteStore::open(forgetful(template.path())).await.unwrap();
        store.migrate().await.unwrap();
        let epoch = store.health().await.unwrap().epoch;
        store.close().await;
        let mut worlds = Vec::new();
        for name in ["one", "two"] {
            let dir = copies.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            std::fs::copy(SqliteStore::file(template.path()), SqliteStore::file(&dir)).unwrap();
            let store = SqliteStore::open(forgetful(&dir)).await.unwrap();
            let health = store.health().await.unwrap();
            assert!(health.migrated && health.epoch == epoch, "nothing is left to do: {health:?}");
            let world = World::new(Arc::new(store)).await;
            let ada = world.user("ada").await;
            let group = world.group(&[&ada]).await;
            world.send(group, &ada, "hello").await;
            worlds.push((world, group));
        }
        let (one, two) = (&worlds[0], &worlds[1]);
        assert_eq!(one.0.head(one.1).await, 2);
        assert!(two.0.store.heads(&[one.1]).await.unwrap().items.is_empty(), "they share nothing");
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_data_directory_is_told() {
        let parent = TempDir::new().unwrap();
        let file = parent.path().join("data");
        std::fs::write(&file, "not a directory").unwrap();
        let error = SqliteStore::open(SqliteConfig::new(&file)).await.err().unwrap();
        let StoreError::Unavailable(cause) = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains(&file.display().to_string()), "{cause}");
    }

    const CHILD_DIR: &str = "STARLING_TEST_STORE_CHILD_DIR";

    /// The other process of the test below: sends until it is killed, and tells of each acknowledged message.
    async fn write_until_killed(dir: std::ffi::OsString) {
        let world = World::new(Arc::new(SqliteStore::open(SqliteConfig::new(dir)).await.unwrap())).await;
        let ada = world.user("ada").await;
        let group = world.group(&[&ada]).await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(1) {
            let ops = [Op::send(group, &ada, "hello"), Op::send(group, &ada, "again")];
            for id in world.apply(&ops).await.messages.keys() {
                println!("acknowledged {id}");
            }
        }
    }

    #[tokio::test]
    async fn killed_while_it_writes_it_has_everything_it_acknowledged() {
        if let Some(dir) = std::env::var_os(CHILD_DIR) {
            return write_until_killed(dir).await;
        }
        let dir = TempDir::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::killed_while_it_writes_it_has_everything_it_acknowledged", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged: Vec<MessageId> = Vec::new();
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                acknowledged.extend(line.strip_prefix("acknowledged ").map(|id| id.parse::<MessageId>().unwrap()));
                if acknowledged.len() == 100 {
                    let refused = SqliteStore::open(SqliteConfig::new(dir.path())).await.err().unwrap();
                    assert!(matches!(refused, StoreError::Locked(_)), "another process has it: {refused:?}");
                }
                if acknowledged.len() >= 200 {
                    child.start_kill().unwrap();
                }
            }
            child.wait().await.unwrap();
        };
        tokio::time::timeout(Duration::from_mins(1), reading).await.unwrap();
        assert!(acknowledged.len() >= 200, "the child ended early");

        let store = SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap();
        let mut group = None;
        for id in &acknowledged {
            group = store.locate(*id).await.unwrap();
            assert!(group.is_some(), "{id} was acknowledged and is gone");
        }
        let changes = store.changes(None, group.unwrap(), 0, 100_000).await.unwrap().unwrap();
        let seqs: Vec<_> = changes.changes.iter().map(|change| change.seq).collect();
        assert_eq!(seqs, (1..=changes.to).collect::<Vec<_>>());
        assert_eq!(changes.to % 2, 1, "a batch is there as a whole or not at all");
    }
}

/// What a node of the simulation has: the embedded store behind its wrapper.
mod simulated {
    use starling_tests::sim::{Chance, Database, Gate};

    use super::*;

    struct Backend(Database);

    impl Backend {
        fn store(&self) -> Arc<dyn Store> {
            self.0.node(Chance::new(1, "store"), Gate::new(Chance::new(1, "gate"), 0))
        }
    }

    #[allow(clippy::unused_async)] // As the others are opened.
    async fn open() -> Backend {
        Backend(Database::open().unwrap())
    }

    store_conformance!(open);
}

/// Before `starling migrate`, reads and writes name the mend.
async fn an_unmigrated_store_says_so(store: &dyn Store) {
    use store::StoreError;
    let health = store.health().await.unwrap();
    assert!(!health.migrated && !health.version.is_empty(), "{health:?}");
    let write = store.ensure_org("acme").await;
    assert!(matches!(&write, Err(StoreError::Schema(text)) if text.contains("migrate")), "{write:?}");
    let read = store.heads(&[protocol::ConversationId::generate()]).await;
    assert!(matches!(read, Err(StoreError::Schema(_))), "{read:?}");
}

/// `rows` gives the contents that are kept from before edits.
async fn edit_twice_and_delete(store: Arc<dyn Store>, rows: impl AsyncFn() -> Vec<String>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "one").await;
    let other = world.send(group, &ada, "other").await;
    world.apply(&[Op::Edit(group, message.id, "two".into())]).await;
    world.apply(&[Op::Edit(group, message.id, "three".into()), Op::Edit(group, other.id, "others".into())]).await;
    assert_eq!(rows().await, ["one", "two", "other"]);
    world.apply(&[Op::Edit(group, message.id, "four".into()), Op::Delete(group, message.id)]).await;
    assert_eq!(rows().await, ["other"]);
}
