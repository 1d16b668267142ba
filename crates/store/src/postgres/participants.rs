//! Who takes part: the list, one of them, and what a viewer is to a conversation.

use protocol::{ConversationId, ConversationKind, Notify, Page, Participant, Posting, Role, Timestamp, UserId};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use super::{
    fault::Outcome,
    keyset::newer,
    rows::{UserRow, blocked, user_columns},
    values::{Word, count, fold, moment},
};
use crate::{
    Access, LockedParticipant,
    cursor::{self, List},
};

/// Active participants `p` as the viewer `$2`, who takes part in `$1`, sees them.
macro_rules! participants {
    ($($more:expr),+) => {
        concat!(
            "SELECT p.role, p.joined_at, p.read_seq, p.delivered_seq, b.user_id IS NOT NULL AS blocked, ",
            user_columns!(),
            " FROM participants v
              JOIN conversations c ON c.id = v.conversation_id AND c.deleted_at IS NULL
              JOIN participants p ON p.conversation_id = v.conversation_id AND p.left_at IS NULL
              JOIN users u ON u.id = p.user_id
              LEFT JOIN blocks b ON b.user_id = v.user_id AND b.blocked_id = p.user_id AND b.active
              WHERE v.conversation_id = $1 AND v.user_id = $2 AND v.left_at IS NULL ",
            $($more),+
        )
    };
}

#[derive(FromRow)]
struct ParticipantRow {
    #[sqlx(flatten)]
    user: UserRow,
    role: String,
    joined_at: OffsetDateTime,
    read_seq: i64,
    delivered_seq: i64,
    blocked: bool,
}

impl ParticipantRow {
    fn participant(self) -> Outcome<Participant> {
        Ok(Participant {
            user: self.user.user(),
            role: Role::of(&self.role)?,
            joined_at: Timestamp::new(self.joined_at),
            read_seq: count(self.read_seq),
            delivered_seq: count(self.delivered_seq),
            blocked: self.blocked,
        })
    }
}

/// A page of active participants by join time, of those whose name begins with `query`.
pub(super) async fn list(
    pool: &PgPool,
    viewer: UserId,
    conversation: ConversationId,
    query: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Participant>> {
    let after = cursor.map(|cursor| cursor::decode(List::Participants, cursor)).transpose()?;
    let limit = limit.max(1);
    let rows: Vec<ParticipantRow> = sqlx::query_as(participants!(
        "AND ",
        newer!("p.joined_at", "p.user_id", "$3", "$4"),
        "AND ($6 = '' OR starts_with(u.username_key, $6) OR starts_with(u.display_name_key, $6))
         ORDER BY p.joined_at, p.user_id LIMIT $5"
    ))
    .bind(conversation.0)
    .bind(viewer.0)
    .bind(after.map(|(at, _)| at.get()))
    .bind(after.map(|(_, id)| id))
    .bind(i64::from(limit) + 1)
    .bind(fold(query))
    .fetch_all(pool)
    .await?;
    let more = rows.len() > limit as usize;
    let items = rows.into_iter().take(limit as usize).map(ParticipantRow::participant).collect::<Outcome<Vec<_>>>()?;
    let next_cursor =
        items.last().filter(|_| more).map(|last| cursor::encode(List::Participants, last.joined_at, last.user.id.0));
    Ok(Page { items, next_cursor })
}

/// One active participant.
pub(super) async fn one(
    pool: &PgPool,
    viewer: UserId,
    conversation: ConversationId,
    user: UserId,
) -> Outcome<Option<Participant>> {
    let row: Option<ParticipantRow> = sqlx::query_as(participants!("AND p.user_id = $3"))
        .bind(conversation.0)
        .bind(viewer.0)
        .bind(user.0)
        .fetch_optional(pool)
        .await?;
    row.map(ParticipantRow::participant).transpose()
}

#[derive(FromRow)]
struct AccessRow {
    kind: String,
    last_seq: i64,
    posting: String,
    archived_at: Option<OffsetDateTime>,
    participant_count: i64,
    blocked: bool,
    role: Option<String>,
    access_since_seq: Option<i64>,
    last_sent_at: Option<OffsetDateTime>,
    notify: Option<String>,
    muted_until: Option<OffsetDateTime>,
}

/// What the viewer is to a conversation of their org.
pub(super) async fn access(pool: &PgPool, viewer: UserId, conversation: ConversationId) -> Outcome<Option<Access>> {
    let row: Option<AccessRow> = sqlx::query_as(concat!(
        "SELECT c.kind, c.last_seq, c.posting, c.archived_at, c.participant_count,
                CASE WHEN c.kind = 'direct' THEN ",
        blocked!("c.id"),
        " ELSE false END AS blocked,
                p.role, p.access_since_seq, p.last_sent_at, p.notify, p.muted_until
         FROM conversations c
         JOIN users u ON u.id = $1 AND u.org_id = c.org_id
         LEFT JOIN participants p ON p.conversation_id = c.id AND p.user_id = u.id AND p.left_at IS NULL
         WHERE c.id = $2 AND c.deleted_at IS NULL"
    ))
    .bind(viewer.0)
    .bind(conversation.0)
    .fetch_optional(pool)
    .await?;
    row.map(AccessRow::access).transpose()
}

impl AccessRow {
    fn access(self) -> Outcome<Access> {
        let participant = match self.role {
            Some(role) => Some(LockedParticipant {
                role: Role::of(&role)?,
                active: true,
                access_since_seq: self.access_since_seq.map_or(0, count),
                last_sent_at: moment(self.last_sent_at),
                notify: self.notify.as_deref().map(Notify::of).transpose()?.unwrap_or_default(),
                muted_until: moment(self.muted_until),
            }),
            None => None,
        };
        Ok(Access {
            kind: ConversationKind::of(&self.kind)?,
            participant,
            last_seq: count(self.last_seq),
            posting: Posting::of(&self.posting)?,
            archived_at: moment(self.archived_at),
            blocked: self.blocked,
            participant_count: count(self.participant_count),
        })
    }
}
