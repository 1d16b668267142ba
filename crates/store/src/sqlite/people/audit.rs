//! The audit log: what admins of an org did.

use protocol::{AuditAction, AuditEntry, AuditId, OrgId, Page};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{Text, time},
    error::Db,
    pages,
    senders::{SenderRow, sender_columns},
};
use crate::{NewAudit, Result, cursor::List};

impl Text for AuditAction {
    const VALUES: &'static [(Self, &'static str)] = &[
        (Self::UserDisabled, "user.disabled"),
        (Self::UserEnabled, "user.enabled"),
        (Self::UserRole, "user.role"),
        (Self::ReportDecided, "report.decided"),
        (Self::AnnouncementCreated, "announcement.created"),
    ];
}

/// Adds an entry, inside the transaction of what it tells of.
pub(in super::super) async fn add(conn: &mut SqliteConnection, entry: &NewAudit) -> Result<()> {
    sqlx::query(
        "insert into audit_log (id, org_id, actor_id, action, target_id, details, created_at) \
         values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(entry.id.0)
    .bind(entry.org_id.0)
    .bind(entry.actor.0)
    .bind(entry.action.text())
    .bind(entry.target)
    .bind(&entry.details)
    .bind(entry.now.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

pub(super) async fn list(
    conn: &mut SqliteConnection,
    org: OrgId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<AuditEntry>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: Uuid,
        #[sqlx(flatten)]
        actor: SenderRow,
        action: String,
        target_id: Uuid,
        details: Option<String>,
        created_at: i64,
    }
    let (at, id) = pages::keyset(List::Audit, cursor)?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select a.id, ",
        sender_columns!(),
        ", a.action, a.target_id, a.details, a.created_at from audit_log a join users s on s.id = a.actor_id \
         where a.org_id = ?1 and (?2 is null or (a.created_at, a.id) < (?2, ?3)) \
         order by a.created_at desc, a.id desc limit ?4"
    ))
    .bind(org.0)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let entries = rows
        .into_iter()
        .map(|row| {
            Ok(AuditEntry {
                id: AuditId(row.id),
                actor: row.actor.into_sender(),
                action: AuditAction::parse(&row.action)?,
                target_id: row.target_id,
                details: row.details,
                created_at: time(row.created_at)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(pages::page(entries, limit, List::Audit, |entry| (entry.created_at, entry.id.0)))
}
