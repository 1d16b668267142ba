//! Who people are to each other, and what admins of an org do: [`People`], one module for each subject.
//!
//! What is logged is logged in the transaction that did it. Who may do what is decided in `chat`.

pub(super) mod audit;
mod blocks;
mod directory;
mod presence;
mod reports;

use async_trait::async_trait;
use protocol::{AuditEntry, OrgId, OrgRole, Page, Report, ReportId, ReportStatus, Timestamp, User, UserId, UserSeq};

use super::{SqliteStore, error::Db};
use crate::{NewAudit, NewReport, OrgUsersFilter, People, ReportsFilter, Result, Seen};

#[async_trait]
impl People for SqliteStore {
    async fn set_blocked(&self, user: UserId, other: UserId, blocked: bool, now: Timestamp) -> Result<Option<UserSeq>> {
        let mut tx = self.write().await?;
        let seq = blocks::set(&mut tx, user, other, blocked, now).await?;
        tx.commit().await.db()?;
        Ok(seq)
    }

    async fn blocked_users(&self, user: UserId, cursor: Option<&str>, limit: u32) -> Result<Page<User>> {
        blocks::list(&mut *self.reader().await?, user, cursor, limit).await
    }

    async fn blocked_between(&self, one: UserId, other: UserId) -> Result<bool> {
        blocks::between(&mut *self.reader().await?, one, other).await
    }

    async fn note_seen(&self, seen: &[Seen]) -> Result<()> {
        if seen.is_empty() {
            return Ok(());
        }
        let mut tx = self.write().await?;
        presence::note(&mut tx, seen).await?;
        tx.commit().await.db()
    }

    async fn visible(&self, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>> {
        presence::visible(&mut *self.reader().await?, viewer, ids).await
    }

    async fn contacts(&self, viewer: UserId, limit: u32) -> Result<Vec<Seen>> {
        presence::contacts(&mut *self.reader().await?, viewer, limit).await
    }

    async fn org_users(
        &self,
        org: OrgId,
        filter: &OrgUsersFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>> {
        directory::list(&mut *self.reader().await?, org, filter, after, limit).await
    }

    async fn set_disabled(
        &self,
        org: OrgId,
        id: UserId,
        disabled: bool,
        audit: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<Option<(User, Option<UserSeq>)>> {
        let mut tx = self.write().await?;
        let set = directory::set_disabled(&mut tx, org, id, disabled, audit, now).await?;
        tx.commit().await.db()?;
        Ok(set)
    }

    async fn set_org_role(
        &self,
        org: OrgId,
        id: UserId,
        role: OrgRole,
        audit: Option<NewAudit>,
    ) -> Result<Option<User>> {
        let mut tx = self.write().await?;
        let user = directory::set_role(&mut tx, org, id, role, audit).await?;
        tx.commit().await.db()?;
        Ok(user)
    }

    async fn report(&self, new: NewReport) -> Result<(Report, bool)> {
        let mut tx = self.write().await?;
        let report = reports::make(&mut tx, &new).await?;
        tx.commit().await.db()?;
        Ok(report)
    }

    async fn reports(
        &self,
        org: OrgId,
        filter: ReportsFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Report>> {
        reports::list(&mut *self.snapshot().await?, org, filter, cursor, limit).await
    }

    async fn decide_report(
        &self,
        org: OrgId,
        id: ReportId,
        status: ReportStatus,
        audit: NewAudit,
    ) -> Result<Option<Report>> {
        let mut tx = self.write().await?;
        let report = reports::decide(&mut tx, org, id, status, &audit).await?;
        tx.commit().await.db()?;
        Ok(report)
    }

    async fn audit_log(&self, org: OrgId, cursor: Option<&str>, limit: u32) -> Result<Page<AuditEntry>> {
        audit::list(&mut *self.reader().await?, org, cursor, limit).await
    }
}
