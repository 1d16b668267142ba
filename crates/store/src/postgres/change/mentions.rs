//! Writes who is mentioned by which message: what the badges count. A sender's mention of themselves counts nothing.

use protocol::MessageId;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::super::{details::MentionCell, fault::Outcome};
use crate::StoredMention;

/// Mentions as the column of a message holds them; none: null.
pub(super) fn column(mentions: &[StoredMention]) -> Option<Json<Vec<MentionCell>>> {
    (!mentions.is_empty()).then(|| Json(mentions.iter().map(MentionCell::from).collect()))
}

/// Notes who is mentioned by these messages, whose rows are there. Everybody is the nil id; who is named besides is
/// among them, and mentioned once.
pub(super) async fn note(tx: &mut PgConnection, of: &[(MessageId, &[StoredMention])]) -> Outcome<()> {
    let (mut ids, mut users) = (Vec::new(), Vec::new());
    for (id, mentions) in of {
        let everybody = mentions.iter().any(|mention| mention.user.is_none()).then(Uuid::nil);
        let named = mentions.iter().filter_map(|mention| mention.user.map(|user| user.0));
        for user in everybody.into_iter().chain(named.filter(|_| everybody.is_none())) {
            ids.push(id.0);
            users.push(user);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO mentions (user_id, conversation_id, seq)
         SELECT DISTINCT k.user_id, m.conversation_id, m.seq
         FROM unnest($1::uuid[], $2::uuid[]) AS k (id, user_id)
         JOIN messages m ON m.id = k.id
         WHERE m.deleted_at IS NULL AND k.user_id <> m.sender_id
         ON CONFLICT DO NOTHING",
    )
    .bind(ids)
    .bind(users)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets who is mentioned by these messages; to be called while their rows still say so.
pub(super) async fn forget(tx: &mut PgConnection, ids: &[MessageId]) -> Outcome<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM mentions d USING (
             SELECT DISTINCT m.conversation_id, m.seq,
                    coalesce((r.cell ->> 'u')::uuid, '00000000-0000-0000-0000-000000000000') AS user_id
             FROM messages m CROSS JOIN LATERAL jsonb_array_elements(m.mentions) AS r (cell)
             WHERE m.id = ANY($1)) k
         WHERE d.user_id = k.user_id AND d.conversation_id = k.conversation_id AND d.seq = k.seq",
    )
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
