//! The markers that resumes tell.

use std::collections::BTreeSet;

use protocol::{ConversationId, Receipt, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    super::{fault::Outcome, markers::TOLD_UP_TO, values::count},
    at, place,
};

/// Each user's own markers, and everybody's in small conversations.
pub(super) async fn of(pool: &PgPool, of: &[(UserId, Vec<ConversationId>)]) -> Outcome<Vec<Vec<Receipt>>> {
    let mut receipts: Vec<Vec<Receipt>> = of.iter().map(|_| Vec::new()).collect();
    let (mut places, mut users, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
    for (n, (user, ids)) in of.iter().enumerate() {
        for id in ids.iter().collect::<BTreeSet<_>>() {
            places.push(place(n));
            users.push(user.0);
            conversations.push(id.0);
        }
    }
    if places.is_empty() {
        return Ok(receipts);
    }
    // One look-up per key: however many keys there are, no plan is to read a table.
    let rows: Vec<(i64, Uuid, Uuid, i64, i64, i64)> = sqlx::query_as(
        "SELECT k.place, p.conversation_id, p.user_id, p.delivered_seq, p.read_seq, p.read_number
         FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS k (place, user_id, conversation_id)
         CROSS JOIN LATERAL (
             SELECT mine.*, c.participant_count <= $4 AS told
             FROM participants mine JOIN conversations c ON c.id = mine.conversation_id AND c.deleted_at IS NULL
             WHERE mine.conversation_id = k.conversation_id AND mine.user_id = k.user_id AND mine.left_at IS NULL
             LIMIT 1) mine
         CROSS JOIN LATERAL (
             SELECT mine.conversation_id, mine.user_id, mine.delivered_seq, mine.read_seq, mine.read_number
             UNION ALL
             SELECT p.conversation_id, p.user_id, p.delivered_seq, p.read_seq, p.read_number
             FROM participants p
             WHERE mine.told AND p.conversation_id = k.conversation_id AND p.user_id <> k.user_id
               AND p.left_at IS NULL) p
         ORDER BY k.place, p.conversation_id, p.user_id",
    )
    .bind(places)
    .bind(users)
    .bind(conversations)
    .bind(TOLD_UP_TO)
    .fetch_all(pool)
    .await?;
    for (place, conversation, user, delivered_seq, read_seq, read_number) in rows {
        let Some(receipts) = at(&mut receipts, place) else { continue };
        receipts.push(Receipt {
            conversation_id: ConversationId(conversation),
            user_id: UserId(user),
            delivered_seq: count(delivered_seq),
            read_seq: count(read_seq),
            read_number: count(read_number),
        });
    }
    Ok(receipts)
}
