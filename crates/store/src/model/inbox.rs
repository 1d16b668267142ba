//! Announcements, reports and the audit log as the store takes them.

use protocol::{
    Announcement, AnnouncementId, AuditAction, AuditId, ConversationId, ConversationKind, MessageId, OrgId, OrgRole,
    ReportId, ReportReason, ReportStatus, SearchOrder, Timestamp, UserId,
};

/// An announcement to make.
#[derive(Debug, Clone)]
pub struct NewAnnouncement {
    /// Id.
    pub id: AnnouncementId,
    /// To whom.
    pub org_id: OrgId,
    /// Who.
    pub author: UserId,
    /// Headline.
    pub title: String,
    /// Text.
    pub content: String,
    /// Where to read more.
    pub url: Option<String>,
    /// The caller's `Idempotency-Key`, unique per author.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the request, compared when the key is used again.
    pub fingerprint: Vec<u8>,
    /// When.
    pub now: Timestamp,
}

/// An announcement that was made or found.
#[derive(Debug, Clone)]
pub struct Announced {
    /// It.
    pub announcement: Announcement,
    /// Made now.
    pub created: bool,
    /// The fingerprint it was made with.
    pub fingerprint: Vec<u8>,
}

/// A report to make; a reporter's second report of the same message or user finds the first.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// Id.
    pub id: ReportId,
    /// Tenant.
    pub org_id: OrgId,
    /// Who reports.
    pub reporter: UserId,
    /// Who is reported.
    pub user: UserId,
    /// Which message, where, and its text now.
    pub message: Option<(MessageId, ConversationId, String)>,
    /// Why.
    pub reason: ReportReason,
    /// More.
    pub comment: Option<String>,
    /// When.
    pub now: Timestamp,
}

/// What an org admin did: stored with what it did, in one transaction.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Id.
    pub id: AuditId,
    /// Tenant.
    pub org_id: OrgId,
    /// Who.
    pub actor: UserId,
    /// What.
    pub action: AuditAction,
    /// To whom or what.
    pub target: uuid::Uuid,
    /// More, in a word.
    pub details: Option<String>,
    /// When.
    pub now: Timestamp,
}

/// Which users of an org.
#[derive(Debug, Clone, Default)]
pub struct OrgUsersFilter {
    /// Username or display name starts with it (any case).
    pub query: String,
    /// Disabled ones (true) or the others.
    pub disabled: Option<bool>,
    /// Of this role.
    pub role: Option<OrgRole>,
}

/// Which reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportsFilter {
    /// As far as this.
    pub status: Option<ReportStatus>,
}

/// What to search messages for. Words of letters and digits; a message must have them all, each at the beginning of
/// one of its words, in any case and order.
///
/// Without words the filters alone tell, newest first whatever the order says; one of `conversation` and
/// `has_attachment` must then be there, or nothing is found: nobody reads everything.
#[derive(Debug, Clone)]
pub struct MessageSearch {
    /// The words, at most 16.
    pub words: Vec<String>,
    /// In this conversation only.
    pub conversation: Option<ConversationId>,
    /// In conversations of this kind only.
    pub kind: Option<ConversationKind>,
    /// By this sender only.
    pub sender: Option<UserId>,
    /// Made before this moment.
    pub before: Option<Timestamp>,
    /// Made at this moment or after it.
    pub after: Option<Timestamp>,
    /// With attachments only.
    pub has_attachment: bool,
    /// What comes first.
    pub order: SearchOrder,
}
