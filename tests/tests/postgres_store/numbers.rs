//! Numbers of transactions after a dump was restored into another server, whose own begin again from below.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use protocol::ConversationId;
use sqlx::PgConnection;
use starling_tests::postgres::TestDatabase;
use store::Store;
use tokio::time::timeout;

use crate::{person_with_room, send};

/// More than one step's worth.
const MESSAGES: u64 = 2_500;

/// What the server that was dumped had counted beyond this one.
const AHEAD: i64 = 1_000_000_000_000;

/// As `pg_restore` leaves rows that another server wrote.
async fn as_if_restored(rows: &mut PgConnection, room: ConversationId) {
    for sql in [
        "UPDATE messages SET changed_in = changed_in + $1 WHERE conversation_id = $2",
        "UPDATE conversations SET changed_in = changed_in + $1 WHERE id = $2",
    ] {
        sqlx::query(sql).bind(AHEAD).bind(room.0).execute(&mut *rows).await.unwrap();
    }
}

/// How many of a conversation's messages have number 0, one of another server, and any other.
async fn numbers(rows: &mut PgConnection, room: ConversationId) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE changed_in = 0), count(*) FILTER (WHERE changed_in >= $1),
                count(*) FILTER (WHERE changed_in BETWEEN 1 AND $1 - 1)
         FROM messages WHERE conversation_id = $2",
    )
    .bind(AHEAD)
    .bind(room.0)
    .fetch_one(rows)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_clears_the_numbers_that_a_dump_brought_and_leaves_the_others() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().unwrap();
    let (ada, restored) = person_with_room(&store, "ada").await;
    let (bob, own) = person_with_room(&store, "bob").await;
    for _ in 0..MESSAGES / 500 {
        send(&store, &ada, &[restored], 500).await.unwrap();
    }
    send(&store, &bob, &[own], 3).await.unwrap();
    let mut rows = database.connection().await.unwrap();
    as_if_restored(&mut rows, restored).await;

    // Whoever has everything is told it again, however often they come back.
    let seen = store.memberships(ada.id, 100).await.unwrap();
    let since = store.changed_since(ada.id, seen.user_seq, &seen.watermark, 10_000).await.unwrap();
    assert_eq!(since.items.len(), 1, "{since:?}");

    let epoch = store.new_epoch().await.unwrap();
    assert_eq!(epoch.cleared, MESSAGES + 2, "each message, the one that made the room too, and the room");
    assert_eq!(numbers(&mut rows, restored).await, (MESSAGES as i64 + 1, 0, 0));
    assert_eq!(numbers(&mut rows, own).await, (0, 0, 4), "what this server counted stays");
    let seen = store.memberships(ada.id, 100).await.unwrap();
    assert_eq!(seen.epoch, epoch.new);
    let since = store.changed_since(ada.id, seen.user_seq, &seen.watermark, 10_000).await.unwrap();
    assert!(since.items.is_empty(), "{since:?}");
    // And what comes now is told, exactly.
    let head = seen.items[0].last_seq;
    send(&store, &ada, &[restored], 2).await.unwrap();
    let since = store.changed_since(ada.id, seen.user_seq, &seen.watermark, 10_000).await.unwrap();
    let told: Vec<_> = since.items.iter().map(|item| (item.cursor, item.last_seq)).collect();
    assert_eq!(told, [(Some(head), head + 2)]);

    assert_eq!(store.new_epoch().await.unwrap().cleared, 0, "there is nothing to do any more");
    assert_eq!(numbers(&mut rows, restored).await, (MESSAGES as i64 + 1, 0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_beside_nodes_that_write_takes_no_number_of_theirs_away() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().unwrap();
    let (ada, restored) = person_with_room(&store, "ada").await;
    let (bob, other) = person_with_room(&store, "bob").await;
    for _ in 0..MESSAGES / 500 {
        send(&store, &ada, &[restored], 500).await.unwrap();
    }
    let reader = ada.id;
    let mut rows = database.connection().await.unwrap();
    for room in [restored, other] {
        as_if_restored(&mut rows, room).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (database.store().unwrap(), Arc::clone(&stop));
        async move {
            let mut sent = 0;
            while !stop.load(Relaxed) {
                send(&store, &ada, &[restored], 1).await.unwrap();
                send(&store, &bob, &[other], 1).await.unwrap();
                sent += 1;
            }
            sent
        }
    });
    for _ in 0..5 {
        timeout(Duration::from_secs(30), store.new_epoch()).await.unwrap().unwrap();
        // Again something of another server's, though the room itself was written here since.
        sqlx::query("UPDATE messages SET changed_in = changed_in + $1 WHERE conversation_id = $2 AND seq <= 500")
            .bind(AHEAD)
            .bind(restored.0)
            .execute(&mut rows)
            .await
            .unwrap();
    }
    stop.store(true, Relaxed);
    let sent: i64 = timeout(Duration::from_secs(30), writing).await.unwrap().unwrap();
    timeout(Duration::from_secs(30), store.new_epoch()).await.unwrap().unwrap();
    assert!(sent > 0);
    assert_eq!(numbers(&mut rows, restored).await, (MESSAGES as i64 + 1, 0, sent));
    assert_eq!(numbers(&mut rows, other).await, (1, 0, sent));
    let seen = store.memberships(reader, 100).await.unwrap();
    let since = store.changed_since(reader, seen.user_seq, &seen.watermark, 10_000).await.unwrap();
    assert!(since.items.is_empty(), "nothing is told twice: {since:?}");
}
