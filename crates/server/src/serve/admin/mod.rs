//! The admin listener. Health, readiness and metrics are for anybody who reaches it and name no user; all else is the
//! operators' API and wants their token. Not for the public.

mod calls;
mod page;
mod token;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chat::Chat;

pub(crate) use self::token::AdminToken;
use super::{metrics::Metrics, readiness::Readiness, web};
use crate::cluster::Cluster;

/// What the listener answers from.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cluster: Cluster,
    pub(crate) chat: Chat,
    pub(crate) token: AdminToken,
}

impl FromRef<Admin> for AdminToken {
    fn from_ref(admin: &Admin) -> Self {
        admin.token.clone()
    }
}

pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .merge(page::routes())
        .nest("/admin/v1", calls::routes(&admin))
        .fallback(web::nothing)
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let report = admin.readiness.report().await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    let report = admin.readiness.report().await;
    match admin.metrics.text(&report).await {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
