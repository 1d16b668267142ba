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
        self.call(|| blocks::set(&self.pool, user, other, blocked, now)).await
    }

    async fn blocked_users(&self, user: UserId, cursor: Option<&str>, limit: u32) -> Result<Page<User>> {
        self.call(|| blocks::page(&self.pool, user, cursor, limit)).await
    }

    async fn blocked_between(&self, one: UserId, other: UserId) -> Result<bool> {
        self.call(|| blocks::between(&self.pool, one, other)).await
    }

    async fn note_seen(&self, seen: &[Seen]) -> Result<()> {
        self.call(|| presence::note(&self.pool, seen)).await
    }

    async fn visible(&self, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>> {
        self.call(|| presence::visible(&self.pool, viewer, ids)).await
    }

    async fn contacts(&self, viewer: UserId, limit: u32) -> Result<Vec<Seen>> {
        self.call(|| presence::contacts(&self.pool, viewer, limit)).await
    }

    async fn org_users(
        &self,
        org: OrgId,
        filter: &OrgUsersFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>> {
        self.call(|| org_users::page(&self.pool, org, filter, after, limit)).await
    }

    async fn set_disabled(
        &self,
        org: OrgId,
        id: UserId,
        disabled: bool,
        audit: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<Option<(User, Option<UserSeq>)>> {
        self.call(|| org_users::set_disabled(&self.pool, org, id, disabled, audit.as_ref(), now)).await
    }

    async fn set_org_role(
        &self,
        org: OrgId,
        id: UserId,
        role: OrgRole,
        audit: Option<NewAudit>,
    ) -> Result<Option<User>> {
        self.call(|| org_users::set_role(&self.pool, org, id, role, audit.as_ref())).await
    }

    async fn report(&self, new: NewReport) -> Result<(Report, bool)> {
        self.call(|| reports::report(&self.pool, &new)).await
    }

    async fn reports(
        &self,
        org: OrgId,
        filter: ReportsFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Report>> {
        self.call(|| reports::page(&self.pool, org, filter, cursor, limit)).await
    }

    async fn decide_report(
        &self,
        org: OrgId,
        id: ReportId,
        status: ReportStatus,
        audit: NewAudit,
    ) -> Result<Option<Report>> {
        self.call(|| reports::decide(&self.pool, org, id, status, &audit)).await
    }

    async fn audit_log(&self, org: OrgId, cursor: Option<&str>, limit: u32) -> Result<Page<AuditEntry>> {
        self.call(|| audit::page(&self.pool, org, cursor, limit)).await
    }
}
