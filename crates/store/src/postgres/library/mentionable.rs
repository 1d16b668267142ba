//! Whom a message may mention. Looked up from the names, so that it costs the same however many take part.

use protocol::{ConversationId, User, UserId};
use sqlx::PgPool;

use super::super::{
    fault::Outcome,
    rows::{UserRow, user_columns, users},
    values::fold,
};

/// Active participants who have one of the usernames, whatever its case, or one of the ids.
pub(super) async fn mentionable(
    pool: &PgPool,
    conversation: ConversationId,
    usernames: &[String],
    ids: &[UserId],
) -> Outcome<Vec<User>> {
    if usernames.is_empty() && ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "WITH named AS MATERIALIZED (
             SELECT k.id FROM unnest($3::uuid[]) AS k (id)
             UNION
             SELECT n.id FROM conversations c
             JOIN users n ON n.org_id = c.org_id AND n.username_key = ANY($2)
             WHERE c.id = $1)
         SELECT ",
        user_columns!(),
        " FROM named
          JOIN participants p ON p.conversation_id = $1 AND p.user_id = named.id AND p.left_at IS NULL
          JOIN users u ON u.id = p.user_id"
    ))
    .bind(conversation.0)
    .bind(usernames.iter().map(|name| fold(name)).collect::<Vec<_>>())
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(users(rows))
}
