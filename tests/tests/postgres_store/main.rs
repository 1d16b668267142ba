//! What only Postgres does: start late, go away, come back, migrate from many nodes, wait for locks. What every
//! store promises is in `store_conformance.rs`.

#![allow(clippy::unwrap_used)]

mod diagnosis;
mod faults;
mod numbers;
mod slow_commits;

use std::time::{Duration, Instant};

use protocol::{
    ConversationFilter, ConversationId, ConversationKind, History, MessageId, Posting, Role, SystemChange, Timestamp,
    User, UserId,
};
use sqlx::{Connection, Executor, PgConnection};
use starling_tests::{
    postgres::{PrivatePostgres, TestDatabase},
    process::eventually,
};
use store::{
    Committed, InsertMessage, NewConversation, NewUser, Scope, Store, StoreError, WriteConversation, Writes,
    postgres::{PostgresConfig, PostgresStore},
};

fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}

/// A user and a conversation of theirs.
async fn person_with_room(store: &PostgresStore, name: &str) -> (User, ConversationId) {
    let org_id = store.ensure_org("acme").await.unwrap();
    let user = NewUser {
        id: UserId::generate(),
        org_id,
        username: name.into(),
        display_name: name.into(),
        password_hash: None,
        guest: true,
        now: now(),
    };
    let user = store.create_user(user).await.unwrap();
    let conversation = NewConversation {
        id: ConversationId::generate(),
        org_id,
        kind: ConversationKind::Group,
        creator: user.id,
        title: Some("a title".into()),
        description: None,
        avatar_url: None,
        subject: None,
        posting: Posting::Everyone,
        history: History::All,
        slow_mode_seconds: 0,
        direct_key: None,
        participants: vec![(user.id, Role::Owner)],
        message_id: MessageId::generate(),
        system: SystemChange::ConversationCreated { users: vec![(&user).into()] },
        notifications: Vec::new(),
        idempotency_key: None,
        fingerprint: vec![0; 32],
        now: now(),
    };
    let id = store.create_conversation(conversation).await.unwrap().id;
    (user, id)
}

/// Sends `count` messages to each conversation in one batch.
async fn send(store: &PostgresStore, user: &User, to: &[ConversationId], count: u64) -> Result<Committed, StoreError> {
    let scope = Scope { conversations: to.to_vec(), users: vec![user.id], ..Scope::default() };
    let at = now();
    store
        .change(&scope, &|locked| {
            let mut writes = Writes::default();
            for (id, conversation) in &locked.conversations {
                for n in 1..=count {
                    writes.inserts.push(InsertMessage {
                        id: MessageId::generate(),
                        conversation_id: *id,
                        seq: conversation.last_seq + n,
                        number: conversation.last_number + n,
                        sender_id: user.id,
                        content: format!("message {n}"),
                        system: None,
                        reply_to_id: None,
                        thread_root_id: None,
                        mentions: Vec::new(),
                        attachments: Vec::new(),
                        client_id: None,
                        fingerprint: vec![1; 32],
                        created_at: at,
                    });
                }
                let head = WriteConversation {
                    last_seq: conversation.last_seq + count,
                    last_number: conversation.last_number + count,
                    last_activity_at: Some(at),
                    ..WriteConversation::default()
                };
                writes.conversations.insert(*id, head);
            }
            writes
        })
        .await
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Result<(), String> {
    match result {
        Err(StoreError::Unavailable(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_made_while_postgres_is_down_and_works_when_it_comes() {
    let mut server = PrivatePostgres::down().await.unwrap();
    let store = PostgresStore::connect(PostgresConfig::new(server.url_of("postgres"))).unwrap();
    let start = Instant::now();
    let Err(StoreError::Unavailable(reason)) = store.health().await else { panic!("nothing is there to be healthy") };
    assert!(reason.to_string().contains("refused"), "an operator is told why: {reason}");
    is_unavailable(store.ensure_org("acme").await).unwrap();
    is_unavailable(store.migrate().await).unwrap();
    assert!(start.elapsed() < Duration::from_secs(15), "each call gives up soon: {:?}", start.elapsed());

    server.up().await.unwrap();
    let health = eventually("the server is found", Duration::from_secs(20), async || store.health().await).await;
    assert!(!health.migrated, "{health:?}");
    assert!(matches!(store.ensure_org("acme").await, Err(StoreError::Schema(_))));
    store.migrate().await.unwrap();
    let health = store.health().await.unwrap();
    assert!(health.migrated && !health.epoch.is_empty() && health.version.starts_with("postgres "), "{health:?}");
    store.ensure_org("acme").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_outlives_a_killed_server_and_the_store_finds_it_again() {
    let mut server = PrivatePostgres::start().await.unwrap();
    let store = PostgresStore::connect(PostgresConfig::new(server.url())).unwrap();
    store.migrate().await.unwrap();
    let (user, room) = person_with_room(&store, "ada").await;
    for stop in [true, false] {
        let head = store.heads(&[room]).await.unwrap().items[0].1;
        send(&store, &user, &[room], 3).await.unwrap();
        if stop {
            server.stop().await.unwrap();
        } else {
            server.kill().await.unwrap();
        }
        is_unavailable(send(&store, &user, &[room], 1).await).unwrap();
        is_unavailable(store.health().await).unwrap();
        server.up().await.unwrap();
        let answered = eventually("the store answers again", Duration::from_secs(20), async || {
            store.heads(&[room]).await.map(|heads| heads.items).map_err(|error| format!("{error:?}"))
        });
        assert_eq!(answered.await, vec![(room, head + 3)]);
    }
    send(&store, &user, &[room], 1).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_before_anything_is_made_in_it() {
    let server = PrivatePostgres::start().await.unwrap();
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    admin
        .execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        .await
        .unwrap();
    let store = PostgresStore::connect(PostgresConfig::new(server.url_of("ascii"))).unwrap();
    let Err(StoreError::Schema(reason)) = store.migrate().await else { panic!("it was migrated") };
    assert!(reason.contains("SQL_ASCII") && reason.contains("ENCODING 'UTF8'"), "{reason}");
    assert!(!store.health().await.unwrap().migrated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_may_migrate_an_empty_database_at_once() {
    let database = TestDatabase::create_empty().await.unwrap();
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            let store = database.store().unwrap();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    assert!(database.store().unwrap().health().await.unwrap().migrated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_serves_an_older_node_and_a_changed_one_does_not() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().unwrap();
    let mut connection = database.connection().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99990000, 'from a newer node', true, '\\x00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert!(store.health().await.unwrap().migrated);
    store.migrate().await.unwrap();

    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00'").execute(&mut connection).await.unwrap();
    assert!(!store.health().await.unwrap().migrated);
    assert!(matches!(store.migrate().await, Err(StoreError::Schema(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_stays_locked_delays_its_own_batch_only_and_not_for_ever() {
    let database = TestDatabase::create().await.unwrap();
    let config = PostgresConfig { lock_timeout: Duration::from_millis(200), ..PostgresConfig::new(database.url()) };
    let store = PostgresStore::connect(config).unwrap();
    let (ada, room) = person_with_room(&store, "ada").await;
    let (bob, other_room) = person_with_room(&store, "bob").await;

    let mut connection = database.connection().await.unwrap();
    let mut somebody = connection.begin().await.unwrap();
    sqlx::query("SELECT FROM conversations WHERE id = $1 FOR UPDATE")
        .bind(room.0)
        .execute(&mut *somebody)
        .await
        .unwrap();
    is_unavailable(send(&store, &ada, &[room], 1).await).unwrap();
    send(&store, &bob, &[other_room], 1).await.unwrap();
    somebody.rollback().await.unwrap();
    let committed = send(&store, &ada, &[room], 1).await.unwrap();
    assert_eq!(committed.messages.values().next().unwrap().seq, 2, "the failed one left no hole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_updates_its_conversation_in_place() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().unwrap();
    let (user, room) = person_with_room(&store, "ada").await;
    for _ in 0..50 {
        send(&store, &user, &[room], 2).await.unwrap();
    }
    let mut connection = database.connection().await.unwrap();
    let stats = eventually("the updates are counted", Duration::from_secs(20), async || {
        let row: (i64, i64) =
            sqlx::query_as("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'conversations'")
                .fetch_one(&mut connection)
                .await
                .map_err(|error| error.to_string())?;
        if row.0 >= 50 { Ok(row) } else { Err(format!("{row:?}")) }
    });
    let (updates, heap_only) = stats.await;
    // Now and then a page is full while somebody's snapshot still needs its old rows.
    assert!(heap_only * 10 >= updates * 9, "{heap_only} of {updates}: an index on a column that a send updates?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_go_by_indexes_from_the_first_row_on() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().unwrap();
    let (user, room) = person_with_room(&store, "ada").await;
    for _ in 0..30 {
        send(&store, &user, &[room], 20).await.unwrap();
        store.changes(Some(user.id), room, 5, 10).await.unwrap();
        store.conversations(user.id, &ConversationFilter::default(), None, 10).await.unwrap();
    }
    let mut connection = database.connection().await.unwrap();
    let scans: Vec<(String, i64)> = eventually("the scans are counted", Duration::from_secs(20), async || {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT relname, seq_scan, n_tup_ins FROM pg_stat_user_tables
             WHERE relname IN ('messages', 'participants', 'users', 'conversations')",
        )
        .fetch_all(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
        let counted = rows.iter().any(|(name, _, inserted)| name == "messages" && *inserted >= 600);
        if counted {
            Ok(rows.into_iter().map(|(name, scans, _)| (name, scans)).collect())
        } else {
            Err(format!("{rows:?}"))
        }
    })
    .await;
    assert!(scans.iter().all(|(_, scans)| *scans <= 3), "{scans:?}");
}
