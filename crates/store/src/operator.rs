//! What an operator asks, who looks at the whole cluster: nobody's permissions count here.

use async_trait::async_trait;
use protocol::{ConversationId, MessageId, OrgId, Seq, User, UserId};

use crate::{Org, Placed, Result, Standing};

/// What an operator asks.
#[async_trait]
pub trait Operator: Send + Sync {
    /// A message, deleted or not.
    async fn placed(&self, message: MessageId) -> Result<Option<Placed>>;
    /// The message whose place in the conversation this is, or whose last change. A change that was followed by another
    /// one of the same message has no row of its own any more.
    async fn placed_at(&self, conversation: ConversationId, seq: Seq) -> Result<Option<Placed>>;
    /// A user's part in a conversation, a former one too; of a deleted conversation as well.
    async fn standing(&self, conversation: ConversationId, user: UserId) -> Result<Option<Standing>>;
    /// The user of this name in the org of this slug, disabled or not.
    async fn user_named(&self, org: &str, username: &str) -> Result<Option<User>>;
    /// The org of this slug.
    async fn org_named(&self, slug: &str) -> Result<Option<OrgId>>;
    /// The orgs by slug, at most `limit`, those after the slug `after`.
    async fn orgs(&self, after: &str, limit: u32) -> Result<Vec<Org>>;
}
