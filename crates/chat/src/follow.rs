//! What a gateway needs to follow conversations and users' feeds so that nothing is missed.

use bytes::Bytes;
use protocol::{Changes, ConversationId, Receipt, Seq, SessionId, UserId, UserSeq};
use store::Memberships;

use crate::{Caller, Chat, Result};

/// One event of a user's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its place.
    pub user_seq: UserSeq,
    /// The frame, UTF-8 JSON.
    pub frame: Bytes,
    /// What the node must do besides.
    pub effect: FeedEffect,
}

/// What a feed event means for the user's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEffect {
    /// Follow this conversation; the frame shows it as of this seq.
    Joined(ConversationId, Seq),
    /// Stop following it.
    Left(ConversationId),
    /// Close the connections of this session with 4501.
    SessionRevoked(SessionId),
    /// Close all with 4504.
    Disabled,
    /// Nothing.
    None,
}

impl Chat {
    /// The user's conversations with heads, their feed's head and the epoch, in one snapshot.
    pub async fn memberships(&self, user: UserId) -> Result<Memberships> {
        let limit = match self.limits().connection_conversations {
            0 => u32::MAX,
            limit => limit,
        };
        Ok(self.inner.store.memberships(user, limit).await?)
    }

    /// Heads of conversations (≤ 2,000 ids).
    pub async fn heads(&self, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Seq)>> {
        Ok(self.inner.store.heads(ids).await?)
    }

    /// Heads of feeds (≤ 2,000 ids).
    pub async fn feed_heads(&self, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>> {
        Ok(self.inner.store.feed_heads(ids).await?)
    }

    /// The node's own gap fill: everything after `after`, whoever may see it. `None`: no such conversation.
    pub async fn fill(&self, conversation: ConversationId, after: Seq, limit: u32) -> Result<Option<Changes>> {
        Ok(self.inner.store.changes(None, conversation, after, limit).await?)
    }

    /// What the caller missed in a conversation after a cursor. `limit` 1–500 (500 when absent).
    pub async fn changes(
        &self,
        _caller: &Caller,
        _conversation: ConversationId,
        _after: Seq,
        _limit: Option<u32>,
    ) -> Result<Changes> {
        unimplemented!()
    }

    /// What moved a user's feed after a cursor, and its head.
    pub async fn feed(&self, _user: UserId, _after: UserSeq) -> Result<(UserSeq, Vec<FeedEvent>)> {
        unimplemented!()
    }

    /// Markers that a resume tells.
    pub async fn receipts(&self, user: UserId, conversations: &[ConversationId]) -> Result<Vec<Receipt>> {
        Ok(self.inner.store.receipts(user, conversations).await?)
    }
}
