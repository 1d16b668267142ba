//! Counts replies at the roots of their threads. Derived: a root takes no `changed_seq` for it.

use protocol::{ConversationId, MessageId, THREAD_REPLIERS_SHOWN, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{fault::Outcome, values::int};
use crate::{IdMap, InsertMessage, StoreError};

/// What a batch adds to one thread.
struct Replies {
    count: i64,
    last_seq: i64,
    last_at: Timestamp,
    /// The newest first, each once, as many as are shown.
    by: Vec<Uuid>,
}

/// Moves the roots of the threads that the batch replies in.
pub(super) async fn count(tx: &mut PgConnection, inserts: &[InsertMessage]) -> Outcome<()> {
    let threads: Vec<((MessageId, ConversationId), Replies)> = threads(inserts).into_iter().collect();
    if threads.is_empty() {
        return Ok(());
    }
    let repliers = |n: usize| threads.iter().map(|(_, replies)| replies.by.get(n).copied()).collect::<Vec<_>>();
    let counted = sqlx::query(
        "UPDATE messages m
         SET reply_count = m.reply_count + k.replies, last_reply_seq = k.seq, last_reply_at = k.at,
             last_repliers = (
                 SELECT array_agg(r.id ORDER BY r.place) FROM (
                     SELECT a.id, min(a.place) AS place
                     FROM unnest(array_remove(ARRAY[k.one, k.two, k.three], NULL) || m.last_repliers)
                          WITH ORDINALITY AS a (id, place)
                     GROUP BY a.id ORDER BY min(a.place) LIMIT $9) r)
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::uuid[], $7::uuid[],
                     $8::uuid[]) AS k (id, conversation_id, replies, seq, at, one, two, three)
         WHERE m.id = k.id AND m.conversation_id = k.conversation_id",
    )
    .bind(threads.iter().map(|((id, _), _)| id.0).collect::<Vec<_>>())
    .bind(threads.iter().map(|((_, conversation), _)| conversation.0).collect::<Vec<_>>())
    .bind(threads.iter().map(|(_, replies)| replies.count).collect::<Vec<_>>())
    .bind(threads.iter().map(|(_, replies)| replies.last_seq).collect::<Vec<_>>())
    .bind(threads.iter().map(|(_, replies)| replies.last_at.get()).collect::<Vec<_>>())
    .bind(repliers(0))
    .bind(repliers(1))
    .bind(repliers(2))
    .bind(int(THREAD_REPLIERS_SHOWN as u64))
    .execute(tx)
    .await?
    .rows_affected();
    if counted == threads.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Refused("the root of a thread is not there".into()).into())
    }
}

/// Messages come ascending by seq within a conversation.
fn threads(inserts: &[InsertMessage]) -> IdMap<(MessageId, ConversationId), Replies> {
    let mut threads: IdMap<_, Replies> = IdMap::default();
    for insert in inserts {
        let Some(root) = insert.thread_root_id else { continue };
        let replies = threads.entry((root, insert.conversation_id)).or_insert_with(|| Replies {
            count: 0,
            last_seq: 0,
            last_at: insert.created_at,
            by: Vec::new(),
        });
        replies.count += 1;
        replies.last_seq = int(insert.seq);
        replies.last_at = insert.created_at;
        replies.by.retain(|id| *id != insert.sender_id.0);
        replies.by.insert(0, insert.sender_id.0);
        replies.by.truncate(THREAD_REPLIERS_SHOWN);
    }
    threads
}
