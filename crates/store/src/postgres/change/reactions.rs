//! Writes reactions: rows that come and go. How many a message has is kept in its row, so that most messages need no
//! look here.

use protocol::{MessageId, Timestamp, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{fault::Outcome, values::int};
use crate::IdMap;

/// The last thing that a batch does with a reaction.
#[derive(Clone, Copy)]
pub(super) enum Last<'a> {
    /// It comes, with this change.
    Added(MessageId, UserId, &'a str, u64, Timestamp),
    /// It goes.
    Removed(MessageId, UserId, &'a str),
}

/// Writes them; by how many each message's count changes.
pub(super) async fn write(tx: &mut PgConnection, reactions: &[Last<'_>]) -> Outcome<IdMap<MessageId, i64>> {
    if reactions.is_empty() {
        return Ok(IdMap::default());
    }
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for reaction in reactions {
        match *reaction {
            Last::Added(id, user, emoji, seq, at) => added.push((id.0, user.0, emoji, int(seq), at.get())),
            Last::Removed(id, user, emoji) => removed.push((id.0, user.0, emoji)),
        }
    }
    let moves: Vec<(Uuid, i64)> = sqlx::query_as(
        "WITH added AS (
             INSERT INTO reactions (conversation_id, seq, emoji, user_id, changed_seq, created_at)
             SELECT m.conversation_id, m.seq, k.emoji, k.user_id, k.changed_seq, k.at
             FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[])
                  AS k (id, user_id, emoji, changed_seq, at)
             JOIN messages m ON m.id = k.id AND m.deleted_at IS NULL
             ON CONFLICT DO NOTHING
             RETURNING conversation_id, seq),
         removed AS (
             DELETE FROM reactions r
             USING unnest($6::uuid[], $7::uuid[], $8::text[]) AS k (id, user_id, emoji) JOIN messages m ON m.id = k.id
             WHERE r.conversation_id = m.conversation_id AND r.seq = m.seq AND r.emoji = k.emoji
               AND r.user_id = k.user_id
             RETURNING r.conversation_id, r.seq)
         SELECT m.id, sum(k.n)::bigint
         FROM (SELECT conversation_id, seq, 1 AS n FROM added
               UNION ALL SELECT conversation_id, seq, -1 FROM removed) k
         JOIN messages m ON m.conversation_id = k.conversation_id AND m.seq = k.seq
         GROUP BY m.id",
    )
    .bind(added.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(added.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(added.iter().map(|row| row.2).collect::<Vec<_>>())
    .bind(added.iter().map(|row| row.3).collect::<Vec<_>>())
    .bind(added.iter().map(|row| row.4).collect::<Vec<_>>())
    .bind(removed.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(removed.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(removed.iter().map(|row| row.2).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(moves.into_iter().map(|(id, moved)| (MessageId(id), moved)).collect())
}
