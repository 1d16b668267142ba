//! Blocking, reporting, and what admins of an org do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AuditId, ConversationId, MessageId, OrgRole, ReportId, Sender, Timestamp, UserId};

/// Data of `user.blocked` and `user.unblocked`: tells one's own other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserBlocked {
    /// Who is (no longer) blocked.
    pub user_id: UserId,
}

/// Why something is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Advertising, fraud.
    Spam,
    /// Insults, threats.
    Abuse,
    /// Not fit for this place.
    Inappropriate,
    /// Anything else; see the comment.
    Other,
}

/// `POST /v1/reports`: a message, or a user; exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReport {
    /// A message that the caller can see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// A user of the caller's org.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Why.
    pub reason: ReportReason,
    /// More, ≤ 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How far a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportStatus {
    /// Nobody decided yet.
    Open,
    /// Something was done.
    Resolved,
    /// Nothing had to be done.
    Dismissed,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Id.
    pub id: ReportId,
    /// Who reported.
    pub reporter: Sender,
    /// Who is reported: the message's sender, or the user.
    pub user: Sender,
    /// The message.
    #[schema(required)]
    pub message_id: Option<MessageId>,
    /// Where the message is.
    #[schema(required)]
    pub conversation_id: Option<ConversationId>,
    /// The message's text when it was reported, so that deleting it destroys no evidence.
    #[schema(required)]
    pub content: Option<String>,
    /// Why.
    pub reason: ReportReason,
    /// More.
    #[schema(required)]
    pub comment: Option<String>,
    /// How far it is.
    pub status: ReportStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody decided.
    #[schema(required)]
    pub decided_at: Option<Timestamp>,
    /// Who decided.
    #[schema(required)]
    pub decided_by: Option<Sender>,
}

/// `PATCH /v1/org/reports/{id}` (org admins).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportPatch {
    /// What was decided.
    pub status: ReportStatus,
}

/// `PATCH /v1/org/users/{id}` (org admins): only the named fields change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgUserPatch {
    /// New role in the org.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<OrgRole>,
    /// Disabled: sockets close with 4504 and tokens are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// What an admin did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum AuditAction {
    /// A user was disabled.
    #[serde(rename = "user.disabled")]
    UserDisabled,
    /// A user was enabled again.
    #[serde(rename = "user.enabled")]
    UserEnabled,
    /// A user's role in the org changed; `details` has the new one.
    #[serde(rename = "user.role")]
    UserRole,
    /// A report was decided; `details` has what.
    #[serde(rename = "report.decided")]
    ReportDecided,
    /// An announcement was made.
    #[serde(rename = "announcement.created")]
    AnnouncementCreated,
}

/// An entry of the org's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Id.
    pub id: AuditId,
    /// Who.
    pub actor: Sender,
    /// What.
    pub action: AuditAction,
    /// To whom or what: the id of a user, a report, an announcement.
    #[schema(value_type = String, format = Uuid)]
    pub target_id: uuid::Uuid,
    /// More, in a word.
    #[schema(required)]
    pub details: Option<String>,
    /// When.
    pub created_at: Timestamp,
}
