//! Who people are to each other, and what admins of an org do, one subject a file. What an admin does and its entry in
//! the audit log are one transaction. (Orgs and users themselves: [`super::people`].)

pub(super) mod audit;
mod blocks;
mod org_users;
mod presence;
mod reports;

use async_trait::async_trait;
use protocol::{AuditEntry, OrgId, OrgRole, Page, Report, ReportId, ReportStatus, Timestamp, User, UserId, UserSeq};

use super::PostgresStore;
use crate::{NewAudit, NewReport, OrgUsersFilter, People, ReportsFilter, Result, Seen};

#[async_trait]
impl People for PostgresStore {
    async fn set_blocked(&self, user: UserId, other: UserId, blocked: bool, now: Timestamp) -> Result<Option<UserSeq>> {
        self.call(|| async { blocks::set(&self.pool.get(), user, other, blocked, now).await }).await
    }

    async fn blocked_users(&self, user: UserId, cursor: Option<&str>, limit: u32) -> Result<Page<User>> {
        self.call(|| async { blocks::page(&self.pool.get(), user, cursor, limit).await }).await
    }

    async fn blocked_between(&self, one: UserId, other: UserId) -> Result<bool> {
        self.call(|| async { blocks::between(&self.pool.get(), one, other).await }).await
    }

    async fn note_seen(&self, seen: &[Seen]) -> Result<()> {
        self.call(|| async { presence::note(&self.pool.get(), seen).await }).await
    }

    async fn visible(&self, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>> {
        self.call(|| async { presence::visible(&self.pool.get(), viewer, ids).await }).await
    }

    async fn contacts(&self, viewer: UserId, limit: u32) -> Result<Vec<Seen>> {
        self.call(|| async { presence::contacts(&self.pool.get(), viewer, limit).await }).await
    }

    async fn org_users(
        &self,
        org: OrgId,
        filter: &OrgUsersFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>> {
        self.call(|| async { org_users::page(&self.pool.get(), org, filter, after, limit).await }).await
    }

    async fn set_disabled(
        &self,
        org: OrgId,
        id: UserId,
        disabled: bool,
        audit: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<Option<(User, Option<UserSeq>)>> {
        self.call(|| async { org_users::set_disabled(&self.pool.get(), org, id, disabled, audit.as_ref(), now).await })
            .await
    }

    async fn set_org_role(
        &self,
        org: OrgId,
        id: UserId,
        role: OrgRole,
        audit: Option<NewAudit>,
    ) -> Result<Option<User>> {
        self.call(|| async { org_users::set_role(&self.pool.get(), org, id, role, audit.as_ref()).await }).await
    }

    async fn report(&self, new: NewReport) -> Result<(Report, bool)> {
        self.call(|| async { reports::report(&self.pool.get(), &new).await }).await
    }

    async fn reports(
        &self,
        org: OrgId,
        filter: ReportsFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Report>> {
        self.call(|| async { reports::page(&self.pool.get(), org, filter, cursor, limit).await }).await
    }

    async fn decide_report(
        &self,
        org: OrgId,
        id: ReportId,
        status: ReportStatus,
        audit: NewAudit,
    ) -> Result<Option<Report>> {
        self.call(|| async { reports::decide(&self.pool.get(), org, id, status, &audit).await }).await
    }

    async fn audit_log(&self, org: OrgId, cursor: Option<&str>, limit: u32) -> Result<Page<AuditEntry>> {
        self.call(|| async { audit::page(&self.pool.get(), org, cursor, limit).await }).await
    }
}
