//! Failures that only somebody with a hand on the connection can cause.

use tempfile::TempDir;

use super::*;

async fn open() -> (SqliteStore, TempDir) {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap();
    store.migrate().await.unwrap();
    (store, dir)
}

async fn pragma(store: &SqliteStore, sql: &'static str) -> i64 {
    let mut conn = store.writer.acquire().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_over_when_there_is_room_again() {
    let (store, _dir) = open().await;
    // SQLite then refuses as it does when the disk is full.
    pragma(&store, "pragma max_page_count = 1").await;
    let mut made = 0;
    let error = loop {
        match store.ensure_org(&format!("org-{made}-{}", "x".repeat(500))).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 10_000, "the limit has no effect");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    pragma(&store, "pragma max_page_count = 1000000").await;
    store.ensure_org(&format!("org-{made}-{}", "x".repeat(500))).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_does_not_end_the_writer() {
    let (store, _dir) = open().await;
    let mut tx = store.write().await.unwrap();
    sqlx::query("rollback").execute(&mut *tx).await.unwrap();
    drop(tx);
    store.ensure_org("acme").await.unwrap();
}

#[tokio::test]
async fn commits_are_on_disk_and_readers_cannot_write() {
    let (store, _dir) = open().await;
    assert_eq!(pragma(&store, "pragma synchronous").await, 2, "FULL");
    assert_eq!(pragma(&store, "pragma foreign_keys").await, 1);
    let mut reader = store.reader().await.unwrap();
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut *reader).await.unwrap();
    assert_eq!(mode, "wal");
    let refused = sqlx::query("delete from meta").execute(&mut *reader).await.db();
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

/// Rows as the first migration alone lets them be.
const FIRST_ROWS: &str = "
    insert into orgs (id, slug, name) values (x'01', 'acme', 'acme');
    insert into users (id, org_id, username, username_key, display_name, display_name_key, created_at)
        values (x'02', x'01', 'ann', 'ann', 'Ann', 'ann', 1);
    insert into conversations (id, org_id, kind, title, posting, history, creator_id, fingerprint, last_seq,
        last_number, access_seq, participant_count, owner_count, last_activity_at, created_at)
        values (x'03', x'01', 'group', 'g', 'everyone', 'all', x'02', x'00', 4, 3, 1, 1, 1, 1, 1);
    insert into messages (conversation_id, seq, changed_seq, id, number, sender_id, kind, content, fingerprint,
        deleted_at, created_at) values
        (x'03', 1, 1, x'11', 0, x'02', 'system', '', x'00', null, 1),
        (x'03', 2, 2, x'12', 1, x'02', 'text', 'Привет apples', x'00', null, 1),
        (x'03', 3, 3, x'13', 2, x'02', 'text', '', x'00', 5, 1),
        (x'03', 4, 4, x'14', 3, x'02', 'text', 'more pears', x'00', null, 1);";

async fn found(store: &SqliteStore, words: &str) -> Vec<i64> {
    let mut conn = store.writer.acquire().await.unwrap();
    sqlx::query_scalar(
        "select m.seq from messages_fts f join messages m on m.doc = f.rowid where messages_fts match ? order by m.seq",
    )
    .bind(words)
    .fetch_all(&mut *conn)
    .await
    .unwrap()
}

async fn run(store: &SqliteStore, sql: &'static str) {
    let mut conn = store.writer.acquire().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut *conn).await.unwrap();
}

#[tokio::test]
async fn the_search_index_has_what_was_there_before_it_and_follows_every_change() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap();
    let first = Migrator { migrations: MIGRATOR.iter().take(1).cloned().collect(), ..Migrator::DEFAULT };
    first.run(&store.writer).await.unwrap();
    run(&store, FIRST_ROWS).await;
    store.migrate().await.unwrap();
    assert_eq!(found(&store, "\"прив\"*").await, [2]);
    assert_eq!(found(&store, "\"pe\"*").await, [4]);

    run(&store, "update messages set content = 'pears too' where seq = 2").await;
    assert_eq!(found(&store, "\"app\"*").await, [0; 0]);
    assert_eq!(found(&store, "\"pears\"").await, [2, 4]);
    // A row's hidden number may change here; the index goes by a number of its own.
    run(&store, "delete from messages where seq = 1; vacuum").await;
    run(&store, "update messages set content = '', deleted_at = 9 where seq = 4").await;
    assert_eq!(found(&store, "\"pears\"").await, [2]);
    run(&store, "insert into messages_fts (messages_fts, rank) values ('integrity-check', 0)").await;
}
