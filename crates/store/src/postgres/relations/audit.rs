//! The audit log of an org: what its admins did. Written with what they did, read only by them; no entry changes.

use protocol::{AuditAction, AuditEntry, AuditId, OrgId, Page, Timestamp};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    conversations::SNAPSHOT,
    details::names,
    fault::{Fault, Outcome},
    keyset::{self, older},
    values::Word,
};
use crate::{IdSet, NewAudit, cursor::List};

#[derive(FromRow)]
struct EntryRow {
    id: Uuid,
    actor_id: Uuid,
    action: String,
    target_id: Uuid,
    details: Option<String>,
    created_at: OffsetDateTime,
}

/// Writes an entry, in the transaction of what it tells of.
pub(in super::super) async fn insert(tx: &mut PgConnection, new: &NewAudit) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO audit_log (id, org_id, actor_id, action, target_id, details, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new.id.0)
    .bind(new.org_id.0)
    .bind(new.actor.0)
    .bind(new.action.word())
    .bind(new.target)
    .bind(&new.details)
    .bind(new.now.get())
    .execute(tx)
    .await?;
    Ok(())
}

/// A page, newest first.
pub(super) async fn page(pool: &PgPool, org: OrgId, cursor: Option<&str>, limit: u32) -> Outcome<Page<AuditEntry>> {
    let (before, before_id) = keyset::at(List::Audit, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mut rows: Vec<EntryRow> = sqlx::query_as(concat!(
        "SELECT id, actor_id, action, target_id, details, created_at FROM audit_log
         WHERE org_id = $1 AND ",
        older!("created_at", "id", "$2", "$3"),
        "ORDER BY created_at DESC, id DESC LIMIT $4",
    ))
    .bind(org.0)
    .bind(before)
    .bind(before_id)
    .bind(keyset::ask(limit))
    .fetch_all(&mut *tx)
    .await?;
    let next_cursor = keyset::next_at(&mut rows, limit, List::Audit, |row| (row.created_at, row.id));
    let names = names(&mut tx, rows.iter().map(|row| row.actor_id).collect::<IdSet<_>>()).await?;
    tx.commit().await?;
    let entry = |row: EntryRow| {
        Ok(AuditEntry {
            id: AuditId(row.id),
            actor: names.get(&row.actor_id).ok_or(Fault::internal("who did it is not known"))?.clone(),
            action: AuditAction::of(&row.action)?,
            target_id: row.target_id,
            details: row.details,
            created_at: Timestamp::new(row.created_at),
        })
    };
    Ok(Page { items: rows.into_iter().map(entry).collect::<Outcome<_>>()?, next_cursor })
}
