//! Mentions: ranges of a message's content that stand for a person, or for everybody.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Sender, UserId};

/// Most mentions in one message.
pub const MENTIONS_MAX: usize = 50;

/// A range of a message's content that mentions somebody. Clients show the user's present name in its place, so that
/// names can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mention {
    /// Where it begins in `content`, in UTF-16 code units (what JavaScript's strings count), the `@` included.
    pub offset: u32,
    /// How long it is, in UTF-16 code units.
    pub length: u32,
    /// Who is mentioned; null: everybody who takes part (`@all`).
    #[schema(required)]
    pub user: Option<Sender>,
}

/// A mention as a sender names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MentionRange {
    /// Where it begins in `content`, in UTF-16 code units.
    pub offset: u32,
    /// How long it is, in UTF-16 code units, at least 1.
    pub length: u32,
    /// Who takes part and is mentioned; null: everybody (admins).
    #[serde(default)]
    pub user_id: Option<UserId>,
}
