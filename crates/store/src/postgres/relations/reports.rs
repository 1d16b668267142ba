//! Reports of messages and users, with the message's text of then: deleting it destroys no evidence. A reporter reports
//! the same thing once.

use protocol::{ConversationId, MessageId, OrgId, Page, Report, ReportId, ReportReason, ReportStatus, Timestamp};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::{
        conversations::SNAPSHOT,
        details::{Names, names},
        fault::{Fault, Outcome},
        keyset::{self, older},
        values::{Word, moment},
    },
    audit,
};
use crate::{Conflict, NewAudit, NewReport, ReportsFilter, StoreError, cursor::List};

/// Columns of [`ReportRow`].
macro_rules! report_columns {
    () => {
        "id, reporter_id, user_id, message_id, conversation_id, content, reason, comment, status, created_at,
         decided_at, decided_by"
    };
}

#[derive(FromRow)]
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
    created_at: OffsetDateTime,
    decided_at: Option<OffsetDateTime>,
    decided_by: Option<Uuid>,
}

impl ReportRow {
    fn people(&self) -> impl Iterator<Item = Uuid> {
        [self.reporter_id, self.user_id].into_iter().chain(self.decided_by)
    }

    fn report(self, names: &Names) -> Outcome<Report> {
        let who = |id: Uuid| names.get(&id).cloned().ok_or(Fault::internal("somebody in a report is not known"));
        Ok(Report {
            id: ReportId(self.id),
            reporter: who(self.reporter_id)?,
            user: who(self.user_id)?,
            message_id: self.message_id.map(MessageId),
            conversation_id: self.conversation_id.map(ConversationId),
            content: self.content,
            reason: ReportReason::of(&self.reason)?,
            comment: self.comment,
            status: ReportStatus::of(&self.status)?,
            created_at: Timestamp::new(self.created_at),
            decided_at: moment(self.decided_at),
            decided_by: self.decided_by.map(who).transpose()?,
        })
    }
}

async fn reports(tx: &mut PgConnection, rows: Vec<ReportRow>) -> Outcome<Vec<Report>> {
    let names = names(tx, rows.iter().flat_map(ReportRow::people).collect()).await?;
    rows.into_iter().map(|row| row.report(&names)).collect()
}

async fn report_of(tx: &mut PgConnection, row: ReportRow) -> Outcome<Report> {
    reports(tx, vec![row]).await?.pop().ok_or(Fault::internal("a report was not read back"))
}

/// Keeps a report, or finds the one that this reporter made before; true when it is new.
pub(super) async fn report(pool: &PgPool, new: &NewReport) -> Outcome<(Report, bool)> {
    let mut tx = pool.begin().await?;
    let inserted = insert(&mut tx, new).await?;
    let is_new = inserted.is_some();
    let row = match inserted {
        Some(row) => Some(row),
        None => made_before(&mut tx, new).await?,
    };
    // Neither new nor there: one of the two people is not of the org.
    let row = row.ok_or(Fault::Store(StoreError::Conflict(Conflict::UnknownUser)))?;
    let report = report_of(&mut tx, row).await?;
    tx.commit().await?;
    Ok((report, is_new))
}

async fn insert(tx: &mut PgConnection, new: &NewReport) -> Outcome<Option<ReportRow>> {
    let message = new.message.as_ref();
    Ok(sqlx::query_as(concat!(
        "INSERT INTO reports (id, org_id, reporter_id, user_id, message_id, conversation_id, content, reason, comment,
                              created_at)
         SELECT $1, o.id, r.id, u.id, $5, $6, $7, $8, $9, $10
         FROM orgs o JOIN users r ON r.id = $3 AND r.org_id = o.id JOIN users u ON u.id = $4 AND u.org_id = o.id
         WHERE o.id = $2
         ON CONFLICT DO NOTHING RETURNING ",
        report_columns!()
    ))
    .bind(new.id.0)
    .bind(new.org_id.0)
    .bind(new.reporter.0)
    .bind(new.user.0)
    .bind(message.map(|(id, _, _)| id.0))
    .bind(message.map(|(_, conversation, _)| conversation.0))
    .bind(message.map(|(_, _, content)| content))
    .bind(new.reason.word())
    .bind(&new.comment)
    .bind(new.now.get())
    .fetch_optional(tx)
    .await?)
}

async fn made_before(tx: &mut PgConnection, new: &NewReport) -> Outcome<Option<ReportRow>> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        report_columns!(),
        " FROM reports WHERE reporter_id = $1 AND org_id = $2
          AND (message_id = $4 OR ($4 IS NULL AND message_id IS NULL AND user_id = $3))"
    ))
    .bind(new.reporter.0)
    .bind(new.org_id.0)
    .bind(new.user.0)
    .bind(new.message.as_ref().map(|(id, _, _)| id.0))
    .fetch_optional(tx)
    .await?)
}

/// A page of the org's reports, newest first.
pub(super) async fn page(
    pool: &PgPool,
    org: OrgId,
    filter: ReportsFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<Report>> {
    let (before, before_id) = keyset::at(List::Reports, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mut rows: Vec<ReportRow> = sqlx::query_as(concat!(
        "SELECT ",
        report_columns!(),
        " FROM reports WHERE org_id = $1 AND ($2::text IS NULL OR status = $2)
          AND ",
        older!("created_at", "id", "$3", "$4"),
        "ORDER BY created_at DESC, id DESC LIMIT $5"
    ))
    .bind(org.0)
    .bind(filter.status.map(Word::word))
    .bind(before)
    .bind(before_id)
    .bind(keyset::ask(limit))
    .fetch_all(&mut *tx)
    .await?;
    let next_cursor = keyset::next_at(&mut rows, limit, List::Reports, |row| (row.created_at, row.id));
    let items = reports(&mut tx, rows).await?;
    tx.commit().await?;
    Ok(Page { items, next_cursor })
}

/// Decides a report; who decided and when is who and when the audit log says.
pub(super) async fn decide(
    pool: &PgPool,
    org: OrgId,
    id: ReportId,
    status: ReportStatus,
    audit: &NewAudit,
) -> Outcome<Option<Report>> {
    let mut tx = pool.begin().await?;
    let row: Option<ReportRow> = sqlx::query_as(concat!(
        "SELECT ",
        report_columns!(),
        " FROM reports WHERE id = $1 AND org_id = $2 FOR NO KEY UPDATE"
    ))
    .bind(id.0)
    .bind(org.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.status == status.word() {
        return report_of(&mut tx, row).await.map(Some);
    }
    let decided = (status != ReportStatus::Open).then_some(());
    let row: ReportRow = sqlx::query_as(concat!(
        "UPDATE reports SET status = $2, decided_at = $3, decided_by = $4 WHERE id = $1 RETURNING ",
        report_columns!()
    ))
    .bind(id.0)
    .bind(status.word())
    .bind(decided.map(|()| audit.now.get()))
    .bind(decided.map(|()| audit.actor.0))
    .fetch_one(&mut *tx)
    .await?;
    audit::insert(&mut tx, audit).await?;
    let report = report_of(&mut tx, row).await?;
    tx.commit().await?;
    Ok(Some(report))
}
