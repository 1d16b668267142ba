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
