//! The badges, and conversations with news: derived from markers and numbers, never counted up. What is muted adds to
//! no total but that of mentions.

use protocol::{ConversationId, Message, MessageNotification, Timestamp, Unread, UserId};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::super::{
    conversations::SNAPSHOT,
    details,
    fault::Outcome,
    rows::{MessageRow, message_columns, message_joins},
    values::count,
};
use crate::IdMap;

#[derive(FromRow)]
struct UnreadRow {
    unread: i64,
    conversations: i64,
    mentions: i64,
    notifications: i64,
    announcements: i64,
}

/// All badges of a user, of one moment.
pub(super) async fn unread(pool: &PgPool, user: UserId, now: Timestamp) -> Outcome<Unread> {
    // Only where something came after the marker can there be mentions. Who mentions everybody is the nil user.
    let row: UnreadRow = sqlx::query_as(
        "WITH news AS MATERIALIZED (
             SELECT p.conversation_id, greatest(p.read_seq, p.access_since_seq) AS seq,
                    CASE WHEN p.muted_until > $2 THEN 0 ELSE c.last_number - p.read_number END AS unread
             FROM participants p JOIN conversations c ON c.id = p.conversation_id
             WHERE p.user_id = $1 AND p.left_at IS NULL AND c.deleted_at IS NULL AND c.last_seq > p.read_seq)
         SELECT (SELECT coalesce(sum(unread), 0)::bigint FROM news) AS unread,
                (SELECT count(*) FROM news n WHERE n.unread > 0) AS conversations,
                (SELECT count(*) FROM news n
                 CROSS JOIN unnest(ARRAY[$1, '00000000-0000-0000-0000-000000000000'::uuid]) AS k (user_id)
                 JOIN mentions m ON m.user_id = k.user_id AND m.conversation_id = n.conversation_id AND m.seq > n.seq
                ) AS mentions,
                (SELECT count(*) FROM notifications n WHERE n.user_id = $1 AND n.read_at IS NULL)
                    AS notifications,
                coalesce((SELECT o.announcement_seq - coalesce(r.seq, 0)
                          FROM users u JOIN orgs o ON o.id = u.org_id
                          LEFT JOIN announcement_reads r ON r.user_id = u.id
                          WHERE u.id = $1), 0) AS announcements",
    )
    .bind(user.0)
    .bind(now.get())
    .fetch_one(pool)
    .await?;
    Ok(Unread {
        unread_count: count(row.unread),
        conversation_count: count(row.conversations),
        mention_count: count(row.mentions),
        notification_count: count(row.notifications),
        announcement_count: count(row.announcements),
    })
}

/// Conversations with news that the user wants to be told of, each with its newest message that counts as unread. Who
/// wants to hear of mentions alone is told where one, of them or of everybody, is not read.
pub(super) async fn messages(
    pool: &PgPool,
    user: UserId,
    now: Timestamp,
    limit: u32,
) -> Outcome<Vec<MessageNotification>> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let news: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT c.id, c.last_number - p.read_number
         FROM participants p
         JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         LEFT JOIN notification_preferences n ON n.user_id = p.user_id
         WHERE p.user_id = $1 AND p.left_at IS NULL AND c.last_number > p.read_number
           AND p.notify <> 'none' AND (p.muted_until > $2) IS NOT TRUE
           AND coalesce(n.notify, 'all') <> 'none' AND (n.muted_until > $2) IS NOT TRUE
           AND ((p.notify = 'all' AND coalesce(n.notify, 'all') = 'all')
                OR EXISTS (SELECT FROM mentions m
                           WHERE m.user_id IN ($1, '00000000-0000-0000-0000-000000000000'::uuid)
                             AND m.conversation_id = c.id AND m.seq > greatest(p.read_seq, p.access_since_seq)))
         ORDER BY c.last_activity_at DESC, c.id DESC LIMIT $3",
    )
    .bind(user.0)
    .bind(now.get())
    .bind(i64::from(limit.max(1)))
    .fetch_all(&mut *tx)
    .await?;
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM unnest($1::uuid[]) AS k (id)
          JOIN participants v ON v.conversation_id = k.id AND v.user_id = $2
          CROSS JOIN LATERAL (
              SELECT * FROM messages m
              WHERE m.conversation_id = k.id AND m.seq > v.access_since_seq AND m.kind <> 'system'
              ORDER BY m.seq DESC LIMIT 1) m",
        message_joins!()
    ))
    .bind(news.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(user.0)
    .fetch_all(&mut *tx)
    .await?;
    let newest = details::messages(&mut tx, rows, Some(user)).await?;
    tx.commit().await?;
    let mut newest: IdMap<ConversationId, Message> =
        newest.into_iter().map(|message| (message.conversation_id, message)).collect();
    let notification = |(id, unread): (Uuid, i64)| {
        let conversation_id = ConversationId(id);
        let last_message = newest.remove(&conversation_id)?;
        Some(MessageNotification { conversation_id, unread_count: count(unread), last_message })
    };
    Ok(news.into_iter().filter_map(notification).collect())
}
