//! What is read around messages: threads, pins, versions, reactions, receipts, search.

use async_trait::async_trait;
use protocol::{
    ConversationId, Message, MessageId, MessageReceipts, MessageVersion, Page, Reactor, SearchHit, Seq, User, UserId,
};

use crate::{MessageSearch, Result};

/// Every method shows its viewer only what they may see: they take part now, and the message's place is after their
/// `access_since_seq`. `None` where the message is not there for them.
#[async_trait]
pub trait Library: Send + Sync {
    /// A thread's root, and replies after a seq, ascending, at most `limit`.
    async fn thread(
        &self,
        viewer: UserId,
        root: MessageId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<(Message, Vec<Message>)>>;
    /// Pinned messages, the last pinned first (there are at most [`protocol::Limits::pins`]). Empty for a viewer who
    /// does not take part.
    async fn pins(&self, viewer: UserId, conversation: ConversationId) -> Result<Vec<Message>>;
    /// What a message said before each edit, oldest first.
    async fn versions(&self, viewer: UserId, message: MessageId) -> Result<Option<Vec<MessageVersion>>>;
    /// Who reacted to a message (with this emoji, or any), by time.
    async fn reactors(
        &self,
        viewer: UserId,
        message: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Reactor>>>;
    /// How far a message got with each active participant besides its sender who may see it, by join time, with totals.
    /// Above 100 participants nobody counts as delivered who did not read it.
    async fn message_receipts(
        &self,
        viewer: UserId,
        message: MessageId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<MessageReceipts>>;
    /// Texts (not deleted) in the viewer's conversations that have all the words, if any are asked for.
    /// [`crate::StoreError::BadCursor`] for a cursor of another search order.
    async fn search(
        &self,
        viewer: UserId,
        search: &MessageSearch,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SearchHit>>;
    /// Active participants of a conversation who have one of these usernames (any case), and those of `ids`.
    async fn mentionable(
        &self,
        conversation: ConversationId,
        usernames: &[String],
        ids: &[UserId],
    ) -> Result<Vec<User>>;
}
