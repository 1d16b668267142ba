//! Reports: made once by each reporter, decided by admins of the org.

use protocol::{
    ConversationId, MessageId, OrgId, Page, Report, ReportId, ReportReason, ReportStatus, Sender, User, UserId,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    super::{
        codec::{Text, time, time_opt},
        error::{Db, corrupt},
        pages, users,
    },
    audit,
};
use crate::{Conflict, IdMap, NewAudit, NewReport, ReportsFilter, Result, StoreError, cursor::List};

impl Text for ReportReason {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Spam, "spam"), (Self::Abuse, "abuse"), (Self::Inappropriate, "inappropriate"), (Self::Other, "other")];
}

impl Text for ReportStatus {
    const VALUES: &'static [(Self, &'static str)] =
        &[(Self::Open, "open"), (Self::Resolved, "resolved"), (Self::Dismissed, "dismissed")];
}

/// Columns of [`ReportRow`].
macro_rules! select_reports {
    () => {
        "select r.id, r.reporter_id, r.user_id, r.message_id, r.conversation_id, r.content, r.reason, r.comment, \
         r.status, r.created_at, r.decided_at, r.decided_by from reports r "
    };
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    id: Uuid,
    reporter_id: Uuid,
    user_id: Uuid,
    message_id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    content: Option<String>,
    reason: String,
    comment: Option<String>,
    status: String,
    created_at: i64,
    decided_at: Option<i64>,
    decided_by: Option<Uuid>,
}

impl ReportRow {
    fn into_report(self, people: &IdMap<UserId, User>) -> Result<Report> {
        let sender = |id: Uuid| people.get(&UserId(id)).map(Sender::from).ok_or_else(|| corrupt("a report's user"));
        Ok(Report {
            id: ReportId(self.id),
            reporter: sender(self.reporter_id)?,
            user: sender(self.user_id)?,
            message_id: self.message_id.map(MessageId),
            conversation_id: self.conversation_id.map(ConversationId),
            content: self.content,
            reason: ReportReason::parse(&self.reason)?,
            comment: self.comment,
            status: ReportStatus::parse(&self.status)?,
            created_at: time(self.created_at)?,
            decided_at: time_opt(self.decided_at)?,
            decided_by: self.decided_by.map(sender).transpose()?,
        })
    }
}

/// Adds the people: one statement for all rows.
async fn complete(conn: &mut SqliteConnection, rows: Vec<ReportRow>) -> Result<Vec<Report>> {
    let mut ids: Vec<UserId> = rows
        .iter()
        .flat_map(|row| [Some(row.reporter_id), Some(row.user_id), row.decided_by])
        .flatten()
        .map(UserId)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let people = users::many(conn, None, &ids).await?.into_iter().map(|user| (user.id, user)).collect();
    rows.into_iter().map(|row| row.into_report(&people)).collect()
}

async fn one(conn: &mut SqliteConnection, org: OrgId, id: ReportId) -> Result<Option<Report>> {
    let row: Option<ReportRow> = sqlx::query_as(concat!(select_reports!(), "where r.org_id = ? and r.id = ?"))
        .bind(org.0)
        .bind(id.0)
        .fetch_optional(&mut *conn)
        .await
        .db()?;
    Ok(complete(conn, row.into_iter().collect()).await?.pop())
}

/// Inside a write transaction: nobody else makes the same report meanwhile. True when it is new.
pub(super) async fn make(conn: &mut SqliteConnection, new: &NewReport) -> Result<(Report, bool)> {
    let message = new.message.as_ref();
    let known: Option<Uuid> = sqlx::query_scalar(
        "select id from reports where reporter_id = ?1 and org_id = ?4 and message_id = ?2 union all \
         select id from reports where reporter_id = ?1 and org_id = ?4 and message_id is null and user_id = ?3 \
         and ?2 is null",
    )
    .bind(new.reporter.0)
    .bind(message.map(|(id, _, _)| id.0))
    .bind(new.user.0)
    .bind(new.org_id.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let id = known.map_or(new.id, ReportId);
    if known.is_none() {
        sqlx::query(
            "insert into reports (id, org_id, reporter_id, user_id, message_id, conversation_id, content, reason, \
             comment, created_at) select ?1, o.id, r.id, u.id, ?5, ?6, ?7, ?8, ?9, ?10 from orgs o \
             join users r on r.id = ?3 and r.org_id = o.id join users u on u.id = ?4 and u.org_id = o.id \
             where o.id = ?2",
        )
        .bind(id.0)
        .bind(new.org_id.0)
        .bind(new.reporter.0)
        .bind(new.user.0)
        .bind(message.map(|(id, _, _)| id.0))
        .bind(message.map(|(_, conversation, _)| conversation.0))
        .bind(message.map(|(_, _, content)| content))
        .bind(new.reason.text())
        .bind(&new.comment)
        .bind(new.now.unix_millis())
        .execute(&mut *conn)
        .await
        .db()?;
    }
    // Neither known nor made: one of the two people is not of the org.
    let report = one(conn, new.org_id, id).await?.ok_or(StoreError::Conflict(Conflict::UnknownUser))?;
    Ok((report, known.is_none()))
}

/// Inside a read transaction.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    org: OrgId,
    filter: ReportsFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Report>> {
    let (at, id) = pages::keyset(List::Reports, cursor)?;
    let rows: Vec<ReportRow> = sqlx::query_as(concat!(
        select_reports!(),
        "where r.org_id = ?1 and (?2 is null or r.status = ?2) \
         and (?3 is null or (r.created_at, r.id) < (?3, ?4)) order by r.created_at desc, r.id desc limit ?5"
    ))
    .bind(org.0)
    .bind(filter.status.map(Text::text))
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let reports = complete(conn, rows).await?;
    Ok(pages::page(reports, limit, List::Reports, |report| (report.created_at, report.id.0)))
}

/// Inside a write transaction. Opened again, nobody has decided it.
pub(super) async fn decide(
    conn: &mut SqliteConnection,
    org: OrgId,
    id: ReportId,
    status: ReportStatus,
    audit: &NewAudit,
) -> Result<Option<Report>> {
    let decided = status != ReportStatus::Open;
    let done = sqlx::query(
        "update reports set status = ?3, decided_at = ?4, decided_by = ?5 \
         where org_id = ?1 and id = ?2 and status <> ?3",
    )
    .bind(org.0)
    .bind(id.0)
    .bind(status.text())
    .bind(decided.then(|| audit.now.unix_millis()))
    .bind(decided.then_some(audit.actor.0))
    .execute(&mut *conn)
    .await
    .db()?;
    if done.rows_affected() == 1 {
        audit::add(conn, audit).await?;
    }
    one(conn, org, id).await
}
