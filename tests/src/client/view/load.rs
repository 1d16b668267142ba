//! A fetching that a client does by itself: all of one conversation, page by page, from its beginning.

use std::fmt;

use protocol::ConversationId;
use serde_json::{Value, json};

/// Of which conversation, and the how manyeth of this client: pages of one that another has overtaken are of a time
/// before what the other was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    /// What is fetched.
    pub(crate) id: ConversationId,
    pub(in crate::client) number: u64,
}

impl Load {
    /// The command that asks for the first page.
    pub(crate) fn command(self) -> Value {
        json!({"type": "changes.get", "ref": self.to_string(), "conversation_id": self.id, "after": 0})
    }

    /// The one whose `ref` this is.
    pub(in crate::client) fn of(reference: &str) -> Option<Self> {
        let (number, id) = reference.strip_prefix("load:")?.split_once(':')?;
        Some(Self { id: id.parse().ok()?, number: number.parse().ok()? })
    }
}

/// The `ref` of its commands.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load:{}:{}", self.number, self.id)
    }
}
