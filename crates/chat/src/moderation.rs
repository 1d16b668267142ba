//! Blocking, reporting, and what admins of an org may do.

use protocol::{
    AuditAction, AuditEntry, AuditId, CreateReport, DESCRIPTION_MAX, ErrorCode, MessageKind, OrgRole, OrgUserPatch,
    Page, Report, ReportId, ReportPatch, ReportStatus, User, UserId, check_content,
};
use store::{NewAudit, NewReport, OrgUsersFilter, ReportsFilter};

use crate::{Caller, Chat, ChatError, Result, check};

/// Refuses who is no admin of the org.
pub(crate) fn org_admin(caller: &Caller) -> Result<()> {
    if caller.user.role == OrgRole::Admin {
        Ok(())
    } else {
        Err(ChatError::new(ErrorCode::Forbidden, "only admins of the org may do this"))
    }
}

impl Chat {
    /// Blocks a user of the caller's org (true), or no longer. Doing it twice is fine.
    pub async fn set_blocked(&self, caller: &Caller, other: UserId, blocked: bool) -> Result<()> {
        if other == caller.user.id {
            return Err(ChatError::field("id", "is you"));
        }
        self.user(caller, other).await?;
        let moved = self.inner.store.set_blocked(caller.user.id, other, blocked, self.inner.env.now()).await?;
        if let Some(user_seq) = moved {
            self.publish_feed(caller.user.id, user_seq).await;
        }
        Ok(())
    }

    /// Whom the caller blocked, the last first. `limit` 1–100 (50 when absent).
    pub async fn blocked_users(&self, caller: &Caller, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<User>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.blocked_users(caller.user.id, cursor, limit).await?)
    }

    /// Reports a message that the caller sees, or a user; true when it is new. A second report of the same finds the
    /// first.
    pub async fn report(&self, caller: &Caller, request: CreateReport) -> Result<(Report, bool)> {
        if let Some(comment) = &request.comment {
            check_content(comment, DESCRIPTION_MAX).map_err(|e| ChatError::field("comment", e.message()))?;
        }
        let (user, message) = match (request.message_id, request.user_id) {
            (Some(id), None) => {
                let message = self.message(caller, id).await?;
                if message.kind == MessageKind::System {
                    return Err(ChatError::field("message_id", "is not a message that somebody wrote"));
                }
                (message.sender.id, Some((id, message.conversation_id, message.content)))
            }
            (None, Some(id)) => (self.user(caller, id).await?.id, None),
            _ => return Err(ChatError::field("message_id", "or user_id must be named, and not both")),
        };
        if user == caller.user.id {
            return Err(ChatError::new(ErrorCode::Forbidden, "you cannot report yourself"));
        }
        let new = NewReport {
            id: ReportId(self.inner.env.id()),
            org_id: caller.user.org_id,
            reporter: caller.user.id,
            user,
            message,
            reason: request.reason,
            comment: request.comment,
            now: self.inner.env.now(),
        };
        Ok(self.inner.store.report(new).await?)
    }

    /// Users of the org, disabled ones too (org admins). `limit` 1–100 (50 when absent).
    pub async fn org_users(
        &self,
        caller: &Caller,
        filter: OrgUsersFilter,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<User>> {
        org_admin(caller)?;
        let limit = check::limit(limit)?;
        check::query(&filter.query)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.org_users(caller.user.org_id, &filter, cursor, limit).await?)
    }

    /// Changes a user's role in the org, or disables them (org admins; not oneself). A disabled user's sockets close
    /// with 4504.
    pub async fn update_org_user(&self, caller: &Caller, id: UserId, patch: OrgUserPatch) -> Result<User> {
        org_admin(caller)?;
        if id == caller.user.id {
            return Err(ChatError::new(ErrorCode::Forbidden, "another admin has to change you"));
        }
        let mut user = self.user(caller, id).await?;
        let (store, org) = (&self.inner.store, caller.user.org_id);
        if let Some(role) = patch.role {
            let details = if role == OrgRole::Admin { "admin" } else { "member" };
            let audit = self.audit(caller, AuditAction::UserRole, id.0, Some(details));
            let changed = store.set_org_role(org, id, role, Some(audit)).await?;
            user = changed.ok_or_else(|| ChatError::not_found("user"))?;
        }
        if let Some(disabled) = patch.disabled {
            let action = if disabled { AuditAction::UserDisabled } else { AuditAction::UserEnabled };
            let audit = self.audit(caller, action, id.0, None);
            let changed = store.set_disabled(org, id, disabled, Some(audit), self.inner.env.now()).await?;
            let (changed, moved) = changed.ok_or_else(|| ChatError::not_found("user"))?;
            user = changed;
            if let Some(user_seq) = moved {
                self.publish_feed(id, user_seq).await;
            }
        }
        self.inner.auth.forget_user(id);
        Ok(user)
    }

    /// Reports of the org, newest first (org admins). `limit` 1–100 (50 when absent).
    pub async fn reports(
        &self,
        caller: &Caller,
        status: Option<ReportStatus>,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Report>> {
        org_admin(caller)?;
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.reports(caller.user.org_id, ReportsFilter { status }, cursor, limit).await?)
    }

    /// Decides a report, or opens it again (org admins).
    pub async fn decide_report(&self, caller: &Caller, id: ReportId, patch: ReportPatch) -> Result<Report> {
        org_admin(caller)?;
        let details = match patch.status {
            ReportStatus::Open => "open",
            ReportStatus::Resolved => "resolved",
            ReportStatus::Dismissed => "dismissed",
        };
        let audit = self.audit(caller, AuditAction::ReportDecided, id.0, Some(details));
        let decided = self.inner.store.decide_report(caller.user.org_id, id, patch.status, audit).await?;
        decided.ok_or_else(|| ChatError::not_found("report"))
    }

    /// What admins of the org did, newest first (org admins). `limit` 1–100 (50 when absent).
    pub async fn audit_log(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<AuditEntry>> {
        org_admin(caller)?;
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.audit_log(caller.user.org_id, cursor, limit).await?)
    }

    fn audit(&self, caller: &Caller, action: AuditAction, target: uuid::Uuid, details: Option<&str>) -> NewAudit {
        NewAudit {
            id: AuditId(self.inner.env.id()),
            org_id: caller.user.org_id,
            actor: caller.user.id,
            action,
            target,
            details: details.map(str::to_owned),
            now: self.inner.env.now(),
        }
    }
}
