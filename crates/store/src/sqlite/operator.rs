//! What an operator asks.

use async_trait::async_trait;
use protocol::{ConversationId, MessageId, OrgId, Seq, User, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use super::{
    SqliteStore,
    codec::{Text, fold, from_db, time, time_opt, to_db},
    error::Db,
    rows::{UserRow, user_columns},
};
use crate::{Operator, Org, Placed, Result, Standing};

macro_rules! placed {
    () => {
        "select id, conversation_id, seq, changed_seq, sender_id, created_at, deleted_at from messages "
    };
}

#[async_trait]
impl Operator for SqliteStore {
    async fn placed(&self, message: MessageId) -> Result<Option<Placed>> {
        let row: Option<PlacedRow> = sqlx::query_as(concat!(placed!(), "where id = ?"))
            .bind(message.0)
            .fetch_optional(&mut *self.reader().await?)
            .await
            .db()?;
        row.map(PlacedRow::placed).transpose()
    }

    async fn placed_at(&self, conversation: ConversationId, seq: Seq) -> Result<Option<Placed>> {
        let row: Option<PlacedRow> = sqlx::query_as(concat!(
            placed!(),
            "where conversation_id = ?1 and seq = ?2 union ",
            placed!(),
            "where conversation_id = ?1 and changed_seq = ?2 limit 1"
        ))
        .bind(conversation.0)
        .bind(to_db(seq))
        .fetch_optional(&mut *self.reader().await?)
        .await
        .db()?;
        row.map(PlacedRow::placed).transpose()
    }

    async fn standing(&self, conversation: ConversationId, user: UserId) -> Result<Option<Standing>> {
        let row: Option<StandingRow> = sqlx::query_as(
            "select p.role, p.joined_at, p.left_at, p.access_since_seq, p.delivered_seq, p.read_seq, p.notify, \
             p.muted_until, c.last_seq, c.deleted_at \
             from participants p join conversations c on c.id = p.conversation_id \
             where p.conversation_id = ? and p.user_id = ?",
        )
        .bind(conversation.0)
        .bind(user.0)
        .fetch_optional(&mut *self.reader().await?)
        .await
        .db()?;
        row.map(StandingRow::standing).transpose()
    }

    async fn user_named(&self, org: &str, username: &str) -> Result<Option<User>> {
        let row: Option<UserRow> = sqlx::query_as(concat!(
            "select ",
            user_columns!(),
            " from users u join orgs o on o.id = u.org_id where o.slug = ? and u.username_key = ?"
        ))
        .bind(org)
        .bind(fold(username))
        .fetch_optional(&mut *self.reader().await?)
        .await
        .db()?;
        row.map(UserRow::into_user).transpose()
    }

    async fn org_named(&self, slug: &str) -> Result<Option<OrgId>> {
        let id: Option<Uuid> = sqlx::query_scalar("select id from orgs where slug = ?")
            .bind(slug)
            .fetch_optional(&mut *self.reader().await?)
            .await
            .db()?;
        Ok(id.map(OrgId))
    }

    async fn orgs(&self, after: &str, limit: u32) -> Result<Vec<Org>> {
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(
            "select id, slug, (select count(*) from reports r where r.org_id = orgs.id and r.status = 'open') \
             from orgs where slug > ? order by slug limit ?",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.reader().await?)
        .await
        .db()?;
        let org = |(id, slug, open)| Org { id: OrgId(id), slug, open_reports: from_db(open) };
        Ok(rows.into_iter().map(org).collect())
    }
}

#[derive(FromRow)]
struct PlacedRow {
    id: Uuid,
    conversation_id: Uuid,
    seq: i64,
    changed_seq: i64,
    sender_id: Uuid,
    created_at: i64,
    deleted_at: Option<i64>,
}

impl PlacedRow {
    fn placed(self) -> Result<Placed> {
        Ok(Placed {
            id: MessageId(self.id),
            conversation_id: ConversationId(self.conversation_id),
            seq: from_db(self.seq),
            changed_seq: from_db(self.changed_seq),
            sender_id: UserId(self.sender_id),
            created_at: time(self.created_at)?,
            deleted_at: time_opt(self.deleted_at)?,
        })
    }
}

#[derive(FromRow)]
struct StandingRow {
    role: String,
    joined_at: i64,
    left_at: Option<i64>,
    access_since_seq: i64,
    delivered_seq: i64,
    read_seq: i64,
    notify: String,
    muted_until: Option<i64>,
    last_seq: i64,
    deleted_at: Option<i64>,
}

impl StandingRow {
    fn standing(self) -> Result<Standing> {
        Ok(Standing {
            role: Text::parse(&self.role)?,
            joined_at: time(self.joined_at)?,
            left_at: time_opt(self.left_at)?,
            access_since_seq: from_db(self.access_since_seq),
            delivered_seq: from_db(self.delivered_seq),
            read_seq: from_db(self.read_seq),
            notify: Text::parse(&self.notify)?,
            muted_until: time_opt(self.muted_until)?,
            last_seq: from_db(self.last_seq),
            deleted_at: time_opt(self.deleted_at)?,
        })
    }
}
