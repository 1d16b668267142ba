//! Who takes part in a conversation, as a viewer sees them, and what the viewer themselves may do there.

use protocol::{ConversationId, ConversationKind, Page, Participant, Posting, Role, UserId};
use sqlx::SqliteConnection;

use super::{
    change::{ParticipantRow, blocked},
    codec::{Text, fold, from_db, time, time_opt},
    error::Db,
    pages::{self, keyset, page},
    rows::{UserRow, user_columns},
};
use crate::{Access, Result, cursor::List};

/// Columns and tables of [`Row`]; `?1` is the conversation, `?2` the viewer.
macro_rules! select_participants {
    () => {
        concat!(
            "select ",
            user_columns!(),
            ", p.role as participant_role, p.joined_at, p.read_seq, p.delivered_seq, \
             exists (select 1 from blocks b where b.user_id = ?2 and b.blocked_id = p.user_id and b.active) as blocked \
             from participants p join users u on u.id = p.user_id where p.conversation_id = ?1 and p.left_at is null "
        )
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: UserRow,
    participant_role: String,
    joined_at: i64,
    read_seq: i64,
    delivered_seq: i64,
    blocked: bool,
}

impl Row {
    fn into_participant(self) -> Result<Participant> {
        Ok(Participant {
            user: self.user.into_user()?,
            role: Role::parse(&self.participant_role)?,
            joined_at: time(self.joined_at)?,
            read_seq: from_db(self.read_seq),
            delivered_seq: from_db(self.delivered_seq),
            blocked: self.blocked,
        })
    }
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
    query: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Participant>> {
    let (at, id) = keyset(List::Participants, cursor)?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        select_participants!(),
        "and (?3 is null or (p.joined_at, p.user_id) > (?3, ?4)) \
         and (?6 = '' or substr(u.username_key, 1, length(?6)) = ?6 or substr(u.display_name_key, 1, length(?6)) = ?6) \
         order by p.joined_at, p.user_id limit ?5"
    ))
    .bind(conversation.0)
    .bind(viewer.0)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .bind(fold(query))
    .fetch_all(conn)
    .await
    .db()?;
    let items = rows.into_iter().map(Row::into_participant).collect::<Result<Vec<_>>>()?;
    Ok(page(items, limit, List::Participants, |item| (item.joined_at, item.user.id.0)))
}

pub(super) async fn one(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Participant>> {
    let row: Option<Row> = sqlx::query_as(concat!(select_participants!(), "and p.user_id = ?3"))
        .bind(conversation.0)
        .bind(viewer.0)
        .bind(user.0)
        .fetch_optional(conn)
        .await
        .db()?;
    row.map(Row::into_participant).transpose()
}

pub(super) async fn access(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
) -> Result<Option<Access>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        kind: String,
        last_seq: i64,
        posting: String,
        archived_at: Option<i64>,
        participant_count: i64,
        blocked: bool,
        takes_part: bool,
        #[sqlx(flatten)]
        participant: ParticipantRow,
    }
    // Without a row of their own the viewer's columns are there all the same, and say nothing.
    let row: Option<Row> = sqlx::query_as(concat!(
        "select c.kind, c.last_seq, c.posting, c.archived_at, c.participant_count, ",
        blocked!(),
        " as blocked, p.user_id is not null as takes_part, coalesce(p.role, 'member') as role, \
         p.user_id is not null as active, coalesce(p.access_since_seq, 0) as access_since_seq, p.last_sent_at, \
         coalesce(p.notify, 'all') as notify, p.muted_until from conversations c \
         join users u on u.id = ?1 and u.org_id = c.org_id \
         left join participants p on p.conversation_id = c.id and p.user_id = ?1 and p.left_at is null \
         where c.id = ?2 and c.deleted_at is null"
    ))
    .bind(viewer.0)
    .bind(conversation.0)
    .fetch_optional(conn)
    .await
    .db()?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Access {
        kind: ConversationKind::parse(&row.kind)?,
        participant: if row.takes_part { Some(row.participant.into_locked()?) } else { None },
        last_seq: from_db(row.last_seq),
        posting: Posting::parse(&row.posting)?,
        archived_at: time_opt(row.archived_at)?,
        blocked: row.blocked,
        participant_count: from_db(row.participant_count),
    }))
}
