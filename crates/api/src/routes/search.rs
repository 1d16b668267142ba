//! Searching messages.

use axum::{Json as Body, extract::State};
use chat::{Chat, SearchRequest};
use protocol::{ConversationId, ConversationKind, Page, SearchHit, SearchOrder, Timestamp, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Result,
    extract::{Auth, Query},
};

pub(super) fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new().routes(routes!(search_messages))
}

/// What a message must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Has {
    /// At least one attachment.
    Attachment,
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageSearchParams {
    /// Words, at most 120 characters: a message must have them all, each at the beginning of one of its words, in any
    /// case and order. When absent the filters alone tell, newest first; `conversation_id` or `has` must then be there.
    #[serde(default)]
    #[param(max_length = 120)]
    query: String,
    /// In this conversation only.
    conversation_id: Option<ConversationId>,
    /// In conversations of this kind only.
    #[param(inline)]
    kind: Option<ConversationKind>,
    /// By this sender only.
    sender_id: Option<UserId>,
    /// Made before this moment.
    before: Option<Timestamp>,
    /// Made at this moment or after it.
    after: Option<Timestamp>,
    /// With attachments only.
    #[param(inline)]
    has: Option<Has>,
    /// What comes first: `relevance` when absent (without words: the newest).
    #[param(inline)]
    order: Option<SearchOrder>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Search the messages that one may see, with the place of what was found.
#[utoipa::path(get, path = "/search/messages", tag = "search", params(MessageSearchParams),
    responses((status = 200, description = "A page.", body = Page<SearchHit>)), security(("bearer" = [])))]
async fn search_messages(
    State(chat): State<Chat>,
    Auth(caller): Auth,
    Query(params): Query<MessageSearchParams>,
) -> Result<Body<Page<SearchHit>>> {
    let request = SearchRequest {
        query: params.query,
        conversation_id: params.conversation_id,
        kind: params.kind,
        sender_id: params.sender_id,
        before: params.before,
        after: params.after,
        has_attachment: params.has == Some(Has::Attachment),
        order: params.order.unwrap_or_default(),
    };
    Ok(Body(chat.search(&caller, request, params.cursor.as_deref(), params.limit).await?))
}
