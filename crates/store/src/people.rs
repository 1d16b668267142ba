//! Who people are to each other, and what admins of an org do.

use async_trait::async_trait;
use protocol::{AuditEntry, OrgId, OrgRole, Page, Report, ReportId, ReportStatus, Timestamp, User, UserId, UserSeq};

use crate::{NewAudit, NewReport, OrgUsersFilter, ReportsFilter, Result, Seen};

/// Who people are to each other, and what admins of an org do.
#[async_trait]
pub trait People: Send + Sync {
    /// Blocks a user or no longer does, moving the blocker's feed. `None`: nothing changed.
    async fn set_blocked(&self, user: UserId, other: UserId, blocked: bool, now: Timestamp) -> Result<Option<UserSeq>>;
    /// Whom the user blocked, the last first.
    async fn blocked_users(&self, user: UserId, cursor: Option<&str>, limit: u32) -> Result<Page<User>>;
    /// Whether one of the two blocked the other.
    async fn blocked_between(&self, one: UserId, other: UserId) -> Result<bool>;

    /// Notes when users were connected; never goes back. Users of any orgs, each once.
    async fn note_seen(&self, seen: &[Seen]) -> Result<()>;
    /// Those of `ids` whose presence the viewer may know: themselves, and who takes part in a conversation with them
    /// now, unless one blocked the other.
    async fn visible(&self, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>>;
    /// Who takes part in one of the viewer's conversations (of at most 1,000 participants, the viewer not included) and
    /// may be seen by them, at most `limit`.
    async fn contacts(&self, viewer: UserId, limit: u32) -> Result<Vec<Seen>>;

    /// Users of the org for its admins, by username. `after` is the last username of the page before.
    async fn org_users(
        &self,
        org: OrgId,
        filter: &OrgUsersFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>>;
    /// Disables or enables a user of the org, moving their feed, with its entry in the audit log when something
    /// changed. `None`: no such user. The feed's head when it changed.
    async fn set_disabled(
        &self,
        org: OrgId,
        id: UserId,
        disabled: bool,
        audit: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<Option<(User, Option<UserSeq>)>>;
    /// Sets a user's role in the org, with its entry in the audit log when something changed. `None`: no such user.
    async fn set_org_role(
        &self,
        org: OrgId,
        id: UserId,
        role: OrgRole,
        audit: Option<NewAudit>,
    ) -> Result<Option<User>>;

    /// Keeps a report; true when it is new.
    async fn report(&self, new: NewReport) -> Result<(Report, bool)>;
    /// Reports of the org, newest first.
    async fn reports(
        &self,
        org: OrgId,
        filter: ReportsFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Report>>;
    /// Decides a report (or opens it again), with its entry in the audit log when something changed. `None`: no such.
    async fn decide_report(
        &self,
        org: OrgId,
        id: ReportId,
        status: ReportStatus,
        audit: NewAudit,
    ) -> Result<Option<Report>>;
    /// The audit log of the org, newest first.
    async fn audit_log(&self, org: OrgId, cursor: Option<&str>, limit: u32) -> Result<Page<AuditEntry>>;
}
