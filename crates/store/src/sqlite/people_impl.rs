//! Not there yet.
#![allow(unused_variables, clippy::too_many_arguments)]

use async_trait::async_trait;
use protocol::{AuditEntry, OrgId, OrgRole, Page, Report, ReportId, ReportStatus, Timestamp, User, UserId, UserSeq};

use super::SqliteStore;
use crate::{NewAudit, NewReport, OrgUsersFilter, People, ReportsFilter, Result, Seen, StoreError};

#[async_trait]
impl People for SqliteStore {
    async fn set_blocked(&self, user: UserId, other: UserId, blocked: bool, now: Timestamp) -> Result<Option<UserSeq>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn blocked_users(&self, user: UserId, cursor: Option<&str>, limit: u32) -> Result<Page<User>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn blocked_between(&self, one: UserId, other: UserId) -> Result<bool> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn note_seen(&self, seen: &[Seen]) -> Result<()> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn visible(&self, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn contacts(&self, viewer: UserId, limit: u32) -> Result<Vec<Seen>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn org_users(
        &self,
        org: OrgId,
        filter: &OrgUsersFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn set_disabled(
        &self,
        org: OrgId,
        id: UserId,
        disabled: bool,
        audit: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<Option<(User, Option<UserSeq>)>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn set_org_role(
        &self,
        org: OrgId,
        id: UserId,
        role: OrgRole,
        audit: Option<NewAudit>,
    ) -> Result<Option<User>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn report(&self, new: NewReport) -> Result<(Report, bool)> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn reports(
        &self,
        org: OrgId,
        filter: ReportsFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Report>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn decide_report(
        &self,
        org: OrgId,
        id: ReportId,
        status: ReportStatus,
        audit: NewAudit,
    ) -> Result<Option<Report>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn audit_log(&self, org: OrgId, cursor: Option<&str>, limit: u32) -> Result<Page<AuditEntry>> {
        Err(StoreError::Internal("not there yet".into()))
    }
}
