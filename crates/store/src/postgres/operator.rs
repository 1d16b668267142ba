//! What an operator asks. Rare: rows are read by name, and planned as all others are.

use async_trait::async_trait;
use protocol::{ConversationId, MessageId, OrgId, Seq, User, UserId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PostgresStore,
    fault::Outcome,
    rows::{UserRow, user_columns},
    values::{Word, count, fold, int, moment},
};
use crate::{Operator, Org, Placed, Result, Standing};

macro_rules! placed {
    () => {
        "SELECT id, conversation_id, seq, changed_seq, sender_id, created_at, deleted_at FROM messages "
    };
}

#[async_trait]
impl Operator for PostgresStore {
    async fn placed(&self, message: MessageId) -> Result<Option<Placed>> {
        self.call(|| async {
            let row = sqlx::query_as(concat!(placed!(), "WHERE id = $1")).bind(message.0);
            Ok(row.fetch_optional(&self.pool.get()).await?.map(PlacedRow::placed))
        })
        .await
    }

    async fn placed_at(&self, conversation: ConversationId, seq: Seq) -> Result<Option<Placed>> {
        self.call(|| async {
            let row = sqlx::query_as(concat!(
                placed!(),
                "WHERE conversation_id = $1 AND seq = $2 UNION ",
                placed!(),
                "WHERE conversation_id = $1 AND changed_seq = $2 LIMIT 1"
            ));
            let row = row.bind(conversation.0).bind(int(seq));
            Ok(row.fetch_optional(&self.pool.get()).await?.map(PlacedRow::placed))
        })
        .await
    }

    async fn standing(&self, conversation: ConversationId, user: UserId) -> Result<Option<Standing>> {
        self.call(|| async {
            let row: Option<StandingRow> = sqlx::query_as(
                "SELECT p.role, p.joined_at, p.left_at, p.access_since_seq, p.delivered_seq, p.read_seq, p.notify,
                        p.muted_until, c.last_seq, c.deleted_at
                 FROM participants p JOIN conversations c ON c.id = p.conversation_id
                 WHERE p.conversation_id = $1 AND p.user_id = $2",
            )
            .bind(conversation.0)
            .bind(user.0)
            .fetch_optional(&self.pool.get())
            .await?;
            row.map(StandingRow::standing).transpose()
        })
        .await
    }

    async fn user_named(&self, org: &str, username: &str) -> Result<Option<User>> {
        self.call(|| async {
            let row: Option<UserRow> = sqlx::query_as(concat!(
                "SELECT ",
                user_columns!(),
                " FROM users u JOIN orgs o ON o.id = u.org_id WHERE o.slug = $1 AND u.username_key = $2"
            ))
            .bind(org)
            .bind(fold(username))
            .fetch_optional(&self.pool.get())
            .await?;
            Ok(row.map(UserRow::user))
        })
        .await
    }

    async fn org_named(&self, slug: &str) -> Result<Option<OrgId>> {
        self.call(|| async {
            let id: Option<Uuid> = sqlx::query_scalar("SELECT id FROM orgs WHERE slug = $1")
                .bind(slug)
                .fetch_optional(&self.pool.get())
                .await?;
            Ok(id.map(OrgId))
        })
        .await
    }

    async fn orgs(&self, after: &str, limit: u32) -> Result<Vec<Org>> {
        self.call(|| async {
            let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(
                "SELECT id, slug, (SELECT count(*) FROM reports r WHERE r.org_id = orgs.id AND r.status = 'open')
                 FROM orgs WHERE slug > $1 ORDER BY slug LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool.get())
            .await?;
            let org = |(id, slug, open)| Org { id: OrgId(id), slug, open_reports: count(open) };
            Ok(rows.into_iter().map(org).collect())
        })
        .await
    }
}

#[derive(FromRow)]
struct PlacedRow {
    id: Uuid,
    conversation_id: Uuid,
    seq: i64,
    changed_seq: i64,
    sender_id: Uuid,
    created_at: OffsetDateTime,
    deleted_at: Option<OffsetDateTime>,
}

impl PlacedRow {
    fn placed(self) -> Placed {
        Placed {
            id: MessageId(self.id),
            conversation_id: ConversationId(self.conversation_id),
            seq: count(self.seq),
            changed_seq: count(self.changed_seq),
            sender_id: UserId(self.sender_id),
            created_at: protocol::Timestamp::new(self.created_at),
            deleted_at: moment(self.deleted_at),
        }
    }
}

#[derive(FromRow)]
struct StandingRow {
    role: String,
    joined_at: OffsetDateTime,
    left_at: Option<OffsetDateTime>,
    access_since_seq: i64,
    delivered_seq: i64,
    read_seq: i64,
    notify: String,
    muted_until: Option<OffsetDateTime>,
    last_seq: i64,
    deleted_at: Option<OffsetDateTime>,
}

impl StandingRow {
    fn standing(self) -> Outcome<Standing> {
        Ok(Standing {
            role: Word::of(&self.role)?,
            joined_at: protocol::Timestamp::new(self.joined_at),
            left_at: moment(self.left_at),
            access_since_seq: count(self.access_since_seq),
            delivered_seq: count(self.delivered_seq),
            read_seq: count(self.read_seq),
            notify: Word::of(&self.notify)?,
            muted_until: moment(self.muted_until),
            last_seq: count(self.last_seq),
            deleted_at: moment(self.deleted_at),
        })
    }
}
