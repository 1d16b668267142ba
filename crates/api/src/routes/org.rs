//! What admins of an org see and do.

use axum::{Json as Body, extract::State};
use chat::{Chat, OrgUsersFilter};
use protocol::{AuditEntry, OrgRole, OrgUserPatch, Page, Report, ReportId, ReportPatch, ReportStatus, User, UserId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::PageParams;
use crate::{
    error::Result,
    extract::{Auth, Path, Query},
    json::Json,
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(list_org_users))
        .routes(routes!(update_org_user))
        .routes(routes!(list_reports))
        .routes(routes!(decide_report))
        .routes(routes!(list_audit))
}

/// Which users.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OrgUserParams {
    /// Beginning of the username or display name; everybody when absent.
    #[serde(default)]
    query: String,
    /// Disabled ones (true), or the others.
    disabled: Option<bool>,
    /// Of this role.
    #[param(inline)]
    role: Option<OrgRole>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Which reports.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReportParams {
    /// As far as this.
    #[param(inline)]
    status: Option<ReportStatus>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Users of the org, disabled ones too (org admins).
#[utoipa::path(get, path = "/org/users", tag = "org", params(OrgUserParams),
    responses((status = 200, description = "A page.", body = Page<User>)), security(("bearer" = [])))]
async fn list_org_users(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<OrgUserParams>,
) -> Result<Body<Page<User>>> {
    let filter = OrgUsersFilter { query: params.query, disabled: params.disabled, role: params.role };
    Ok(Body(chat.org_users(&caller, filter, params.cursor.as_deref(), params.limit).await?))
}

/// Change a user's role in the org, or disable them (org admins; not oneself).
#[utoipa::path(patch, path = "/org/users/{id}", tag = "org", request_body = OrgUserPatch,
    params(("id" = UserId, Path, description = "Who.")),
    responses((status = 200, description = "The user, changed.", body = User)), security(("bearer" = [])))]
async fn update_org_user(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<UserId>,
    Json(patch): Json<OrgUserPatch>,
) -> Result<Body<User>> {
    Ok(Body(chat.update_org_user(&caller, id, patch).await?))
}

/// Reports, newest first (org admins).
#[utoipa::path(get, path = "/org/reports", tag = "org", params(ReportParams),
    responses((status = 200, description = "A page.", body = Page<Report>)), security(("bearer" = [])))]
async fn list_reports(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<ReportParams>,
) -> Result<Body<Page<Report>>> {
    Ok(Body(chat.reports(&caller, params.status, params.cursor.as_deref(), params.limit).await?))
}

/// Decide a report, or open it again (org admins).
#[utoipa::path(patch, path = "/org/reports/{id}", tag = "org", request_body = ReportPatch,
    params(("id" = ReportId, Path, description = "Which.")),
    responses((status = 200, description = "The report, decided.", body = Report)), security(("bearer" = [])))]
async fn decide_report(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Path(id): Path<ReportId>,
    Json(patch): Json<ReportPatch>,
) -> Result<Body<Report>> {
    Ok(Body(chat.decide_report(&caller, id, patch).await?))
}

/// What admins of the org did, newest first (org admins).
#[utoipa::path(get, path = "/org/audit", tag = "org", params(PageParams),
    responses((status = 200, description = "A page.", body = Page<AuditEntry>)), security(("bearer" = [])))]
async fn list_audit(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<PageParams>,
) -> Result<Body<Page<AuditEntry>>> {
    Ok(Body(chat.audit_log(&caller, params.cursor.as_deref(), params.limit).await?))
}
