//! Searching messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Message;

/// A part of a snippet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnippetPart {
    /// The text.
    pub text: String,
    /// It is what was looked for: show it highlighted.
    pub highlighted: bool,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The message, in its present state.
    pub message: Message,
    /// The part of its content around what was found; the parts put together are plain text.
    pub snippet: Vec<SnippetPart>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchOrder {
    /// What fits best; of what fits alike, the newest.
    #[default]
    Relevance,
    /// The newest.
    Newest,
}
