//! The routes, a file per group. The doc comment of a handler is its entry in the OpenAPI document.

mod announcements;
mod auth;
mod conversations;
mod details;
mod messages;
mod moderation;
mod notifications;
mod org;
mod participants;
mod presence;
mod reactions;
mod receipts;
mod search;
mod system;
mod users;

use axum::routing::any;
use chat::Chat;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi, openapi::PathItem};
use utoipa_axum::router::OpenApiRouter;

use crate::{documents::Head, error::no_such_route};

/// The end of the path that catches what no route takes.
pub(crate) const CATCH_ALL: &str = "{*unmatched}";

/// All routes under `/v1`, with their documents.
pub(crate) fn routes() -> OpenApiRouter<Chat> {
    let v1 = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(users::routes())
        .merge(conversations::routes())
        .merge(participants::routes())
        .merge(messages::routes())
        .merge(details::routes())
        .merge(reactions::routes())
        .merge(receipts::routes())
        .merge(presence::routes())
        .merge(search::routes())
        .merge(notifications::routes())
        .merge(announcements::routes())
        .merge(moderation::routes())
        .merge(org::routes())
        .merge(system::routes())
        .route(&format!("/{CATCH_ALL}"), any(no_such_route));
    OpenApiRouter::with_openapi(Head::openapi())
        .nest("/v1", v1)
        .route("/v1", any(no_such_route))
        .route("/v1/", any(no_such_route))
}

/// Methods and paths of what has a document, which is all but the sockets and what catches the rest.
pub(crate) fn known(document: &utoipa::openapi::OpenApi) -> Vec<(&'static str, String)> {
    let of = |path: &str, item: &PathItem| {
        let methods = [
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ];
        methods.into_iter().filter(|(_, has)| *has).map(|(name, _)| (name, path.to_owned())).collect::<Vec<_>>()
    };
    document.paths.paths.iter().flat_map(|(path, item)| of(path, item)).collect()
}

/// Where a page begins and how long it is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// As [`PageParams`], with what to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// What to look for; everything when absent.
    #[serde(default)]
    query: String,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// 201 with the new thing's address, or 200 when it was there.
fn created_or_found<T>(
    created: bool,
    path: &str,
    body: T,
) -> (StatusCode, [(header::HeaderName, HeaderValue); 1], axum::Json<T>) {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    // A fixed path and a UUID are always a header value.
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/v1"));
    (status, [(header::LOCATION, location)], axum::Json(body))
}
