//! Numbers of transactions (`changed_in`) that another server counted: a dump brings them along, and as long as this
//! server's own are below them, what they stand at seems to have changed after any watermark (docs/adr/0011).
//!
//! They are set to 0, from before any watermark. A row that can be seen and has a number from which on this snapshot
//! sees nothing was never given it here; all others are left alone, so that this may run beside nodes that write. Each
//! step is a transaction of its own over a bounded number of rows, found by the primary key; one that met a change of
//! another transaction in a row that it was to write fails and is tried again (REPEATABLE READ), rather than to overwrite
//! the number that the other one gave. Whoever is interrupted runs it again.

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    fault::Outcome,
    values::{count, int},
};

/// Rows that one step looks at, and writes at most: a fraction of a second.
pub(super) const STEP: u64 = 2_000;

const CHANGE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

/// The end of a step, and what it found.
pub(super) struct Step<At> {
    /// Where the next one begins, after this row; none when there are no more.
    pub(super) next: Option<At>,
    /// Rows with a number of another server: found, or set to 0.
    pub(super) foreign: u64,
}

/// Looks at the conversations after this one, and at the oldest message of each: a change of a message moves its
/// conversation's number too, and whoever wrote here since the restore has left the oldest one alone. Where neither is
/// foreign no other message's is.
pub(super) async fn look(pool: &PgPool, after: Uuid) -> Outcome<Step<Uuid>> {
    let row: Option<(Uuid, i64)> = sqlx::query_as(
        "WITH step AS (
             SELECT c.id, greatest(c.changed_in, oldest.changed_in)
                          >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS is_foreign
             FROM (SELECT id, changed_in FROM conversations WHERE id > $1 ORDER BY id LIMIT $2) c
             LEFT JOIN LATERAL (
                 SELECT m.changed_in FROM messages m WHERE m.conversation_id = c.id ORDER BY m.seq LIMIT 1) oldest
                 ON true)
         SELECT id, (SELECT count(*) FROM step WHERE is_foreign) FROM step ORDER BY id DESC LIMIT 1",
    )
    .bind(after)
    .bind(int(STEP))
    .fetch_optional(pool)
    .await?;
    Ok(step(row))
}

/// Clears those of the conversations after this one. To be done after [`clear_messages`], so that [`look`] finds what an
/// interruption left.
pub(super) async fn clear_conversations(pool: &PgPool, after: Uuid) -> Outcome<Step<Uuid>> {
    let mut tx = pool.begin_with(CHANGE).await?;
    let row: Option<(Uuid, i64)> = sqlx::query_as(
        "WITH step AS (
             SELECT id, changed_in >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS is_foreign
             FROM conversations WHERE id > $1 ORDER BY id LIMIT $2),
         cleared AS (
             UPDATE conversations c SET changed_in = 0 FROM step WHERE step.is_foreign AND c.id = step.id
             RETURNING c.id)
         SELECT id, (SELECT count(*) FROM cleared) FROM step ORDER BY id DESC LIMIT 1",
    )
    .bind(after)
    .bind(int(STEP))
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(step(row))
}

/// Clears those of the messages after this place: conversation and seq.
pub(super) async fn clear_messages(pool: &PgPool, after: (Uuid, i64)) -> Outcome<Step<(Uuid, i64)>> {
    let mut tx = pool.begin_with(CHANGE).await?;
    let row: Option<(Uuid, i64, i64)> = sqlx::query_as(
        "WITH step AS (
             SELECT conversation_id, seq,
                    changed_in >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS is_foreign
             FROM messages WHERE (conversation_id, seq) > ($1, $2) ORDER BY conversation_id, seq LIMIT $3),
         cleared AS (
             UPDATE messages m SET changed_in = 0 FROM step
             WHERE step.is_foreign AND m.conversation_id = step.conversation_id AND m.seq = step.seq
             RETURNING m.seq)
         SELECT conversation_id, seq, (SELECT count(*) FROM cleared)
         FROM step ORDER BY conversation_id DESC, seq DESC LIMIT 1",
    )
    .bind(after.0)
    .bind(after.1)
    .bind(int(STEP))
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(step(row.map(|(conversation, seq, foreign)| ((conversation, seq), foreign))))
}

fn step<At>(row: Option<(At, i64)>) -> Step<At> {
    let (next, foreign) = row.unzip();
    Step { next, foreign: foreign.map_or(0, count) }
}
