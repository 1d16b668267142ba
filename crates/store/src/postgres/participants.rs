//! Who takes part: the list, and what a viewer is to a conversation.

use protocol::{ConversationId, ConversationKind, Page, Participant, Role, Timestamp, UserId};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use super::{
    fault::Outcome,
    rows::{UserRow, user_columns},
    values::{Word, count},
};
use crate::{
    Access, LockedParticipant,
    cursor::{self, List},
};

#[derive(FromRow)]
struct ParticipantRow {
    #[sqlx(flatten)]
    user: UserRow,
    role: String,
    joined_at: OffsetDateTime,
    read_seq: i64,
    delivered_seq: i64,
}

/// A page of active participants by join time.
pub(super) async fn list(
    pool: &PgPool,
    conversation: ConversationId,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Participant>> {
    let after = cursor.map(|cursor| cursor::decode(List::Participants, cursor)).transpose()?;
    let limit = limit.max(1);
    let rows: Vec<ParticipantRow> = sqlx::query_as(concat!(
        "SELECT p.role, p.joined_at, p.read_seq, p.delivered_seq, ",
        user_columns!(),
        " FROM participants p JOIN users u ON u.id = p.user_id
          WHERE p.conversation_id = $1 AND p.left_at IS NULL
            AND ($2::timestamptz IS NULL OR (p.joined_at, p.user_id) > ($2, $3))
          ORDER BY p.joined_at, p.user_id LIMIT $4"
    ))
    .bind(conversation.0)
    .bind(after.map(|(at, _)| at.get()))
    .bind(after.map(|(_, id)| id))
    .bind(i64::from(limit) + 1)
    .fetch_all(pool)
    .await?;
    let more = rows.len() > limit as usize;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows.into_iter().take(limit as usize) {
        items.push(Participant {
            user: row.user.user()?,
            role: Role::of(&row.role)?,
            joined_at: Timestamp::new(row.joined_at),
            read_seq: count(row.read_seq),
            delivered_seq: count(row.delivered_seq),
            blocked: false,
        });
    }
    let next_cursor =
        items.last().filter(|_| more).map(|last| cursor::encode(List::Participants, last.joined_at, last.user.id.0));
    Ok(Page { items, next_cursor })
}

/// What the viewer is to a conversation of their org.
pub(super) async fn access(pool: &PgPool, viewer: UserId, conversation: ConversationId) -> Outcome<Option<Access>> {
    let row: Option<(String, i64, Option<String>, Option<i64>)> = sqlx::query_as(
        "SELECT c.kind, c.last_seq, p.role, p.access_since_seq
         FROM conversations c
         JOIN users u ON u.id = $1 AND u.org_id = c.org_id
         LEFT JOIN participants p ON p.conversation_id = c.id AND p.user_id = u.id AND p.left_at IS NULL
         WHERE c.id = $2 AND c.deleted_at IS NULL",
    )
    .bind(viewer.0)
    .bind(conversation.0)
    .fetch_optional(pool)
    .await?;
    let Some((kind, last_seq, role, access_since_seq)) = row else { return Ok(None) };
    let participant = match role {
        Some(role) => Some(LockedParticipant {
            role: Role::of(&role)?,
            active: true,
            access_since_seq: count(access_since_seq.unwrap_or(0)),
            last_sent_at: None,
            notify: protocol::Notify::All,
            muted_until: None,
        }),
        None => None,
    };
    Ok(Some(Access {
        kind: ConversationKind::of(&kind)?,
        participant,
        last_seq: count(last_seq),
        posting: protocol::Posting::Everyone,
        archived_at: None,
        blocked: false,
        participant_count: 0,
    }))
}
