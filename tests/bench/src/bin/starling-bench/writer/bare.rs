//! The bound of the writer: the same rows into the same tables by the same driver, in batches of one statement, with
//! nobody asking, deciding or answering.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{FromRow, PgPool, postgres::PgPoolOptions, types::time::OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

/// A conversation's head, and who writes there.
#[derive(FromRow)]
struct Head {
    id: Uuid,
    sender: Uuid,
    last_seq: i64,
    last_number: i64,
}

/// Inserts for so long into the conversations that are there: `loops` transactions at once, each of `batch` messages
/// and of its own conversations. Messages per second.
pub(super) async fn rate(url: &str, loops: usize, batch: usize, time: Duration) -> Result<f64> {
    let pool = PgPoolOptions::new().max_connections(loops as u32).connect(url).await?;
    let heads: Vec<Head> = sqlx::query_as(
        "SELECT c.id, c.last_seq, c.last_number,
                (SELECT p.user_id FROM participants p WHERE p.conversation_id = c.id LIMIT 1) AS sender
         FROM conversations c ORDER BY c.id",
    )
    .fetch_all(&pool)
    .await?;
    ensure!(heads.len() >= loops, "there are too few conversations for so many loops");
    let mut shares: Vec<Vec<Head>> = (0..loops).map(|_| Vec::new()).collect();
    for (n, head) in heads.into_iter().enumerate() {
        shares[n % loops].push(head);
    }
    let (started, end) = (Instant::now(), Instant::now() + time);
    let mut tasks = Vec::new();
    for share in shares {
        tasks.push(tokio::spawn(insert_until(pool.clone(), share, batch, end)));
    }
    let mut inserted = 0;
    for task in tasks {
        inserted += task.await.context("a loop ended early")??;
    }
    let rate = inserted as f64 / started.elapsed().as_secs_f64();
    pool.close().await;
    Ok(rate)
}

async fn insert_until(pool: PgPool, mut heads: Vec<Head>, batch: usize, end: Instant) -> Result<usize> {
    let content = "x".repeat(128);
    let mut inserted = 0;
    let mut turn = 0;
    while Instant::now() < end {
        let now = OffsetDateTime::now_utc();
        let mut rows = Rows::default();
        for _ in 0..batch {
            let place = turn % heads.len();
            turn += 1;
            let head = &mut heads[place];
            head.last_seq += 1;
            head.last_number += 1;
            rows.ids.push(Uuid::now_v7());
            rows.conversations.push(head.id);
            rows.seqs.push(head.last_seq);
            rows.numbers.push(head.last_number);
            rows.senders.push(head.sender);
            rows.client_ids.push(format!("bare-{}", head.last_seq));
        }
        rows.insert(&pool, &content, now).await?;
        inserted += batch;
    }
    Ok(inserted)
}

#[derive(Default)]
struct Rows {
    ids: Vec<Uuid>,
    conversations: Vec<Uuid>,
    seqs: Vec<i64>,
    numbers: Vec<i64>,
    senders: Vec<Uuid>,
    client_ids: Vec<String>,
}

impl Rows {
    /// The messages, their conversations' heads and their senders' markers: one statement, which is one transaction.
    async fn insert(self, pool: &PgPool, content: &str, now: OffsetDateTime) -> Result<()> {
        let count = self.ids.len();
        sqlx::query(
            "WITH k AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[],
                                      $7::text[], $8::bytea[])
                               AS k (id, conversation_id, seq, number, sender_id, client_id, content, fingerprint)),
             inserted AS (
                 INSERT INTO messages (id, conversation_id, seq, changed_seq, number, sender_id, kind, content,
                                       client_id, fingerprint, created_at, changed_in)
                 SELECT id, conversation_id, seq, seq, number, sender_id, 'text', content, client_id, fingerprint, $9, 1
                 FROM k),
             marked AS (
                 UPDATE participants p
                 SET read_seq = n.seq, read_number = n.number, delivered_seq = n.seq, markers_changed_at = $9,
                     last_sent_at = $9
                 FROM (SELECT conversation_id, sender_id, max(seq) AS seq, max(number) AS number FROM k GROUP BY 1, 2) n
                 WHERE p.conversation_id = n.conversation_id AND p.user_id = n.sender_id)
             UPDATE conversations c
             SET last_seq = n.seq, last_number = n.number, last_activity_at = $9, changed_in = 1
             FROM (SELECT conversation_id, max(seq) AS seq, max(number) AS number FROM k GROUP BY 1) n
             WHERE c.id = n.conversation_id",
        )
        .bind(self.ids)
        .bind(self.conversations)
        .bind(self.seqs)
        .bind(self.numbers)
        .bind(self.senders)
        .bind(self.client_ids)
        .bind(vec![content; count])
        .bind(vec![[0_u8; 32].as_slice(); count])
        .bind(now)
        .execute(pool)
        .await?;
        Ok(())
    }
}
