//! Who is there now.

use axum::{Json as Body, extract::State};
use chat::{Chat, ChatError};
use protocol::{PRESENCE_MAX, Presence, PresenceList, UserId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Path, Query},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(list_presence)).routes(routes!(get_presence))
}

/// Whose presence.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PresenceParams {
    /// Users, separated by commas, at most 500. Absent: who is there now among the people that one shares a
    /// conversation with, at most 500.
    #[param(style = Form, explode = false, value_type = Option<Vec<UserId>>, max_items = 500)]
    ids: Option<String>,
}

impl PresenceParams {
    fn ids(&self) -> Result<Option<Vec<UserId>>> {
        let Some(text) = &self.ids else { return Ok(None) };
        // Counted before they are read: a query may be long.
        if text.split(',').nth(PRESENCE_MAX).is_some() {
            return Err(ChatError::field("ids", format!("must have at most {PRESENCE_MAX} items")).into());
        }
        let ids = text.split(',').filter(|id| !id.is_empty()).map(str::parse).collect::<std::result::Result<_, _>>();
        ids.map(Some).map_err(|_| ChatError::field("ids", "must be ids, separated by commas").into())
    }
}

/// The presence of users; of those that one may not see nothing is told.
#[utoipa::path(get, path = "/presence", tag = "presence", params(PresenceParams),
    responses((status = 200, description = "All of them.", body = PresenceList)), security(("bearer" = [])))]
async fn list_presence(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<PresenceParams>,
) -> Result<Body<PresenceList>> {
    Ok(Body(chat.presence(&caller, params.ids()?.as_deref()).await?))
}

/// One user's presence: of people that one shares a conversation with.
#[utoipa::path(get, path = "/users/{id}/presence", tag = "presence",
    params(("id" = UserId, Path, description = "Who.")),
    responses((status = 200, description = "Whether they are there.", body = Presence)), security(("bearer" = [])))]
async fn get_presence(State(chat): State<Chat>, Auth(caller): Auth, Path(id): Path<UserId>) -> Result<Body<Presence>> {
    Ok(Body(chat.presence_of_user(&caller, id).await?))
}
