//! What is read around messages, one subject a file. Each answer is one snapshot, in a handful of statements however
//! long the page, and shows its viewer only what they may see.

mod mentionable;
mod pins;
mod reactors;
mod receipts;
mod search;
mod thread;
mod versions;

use async_trait::async_trait;
use protocol::{
    ConversationId, Message, MessageId, MessageReceipts, MessageVersion, Page, Reactor, SearchHit, Seq, User, UserId,
};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{PostgresStore, fault::Outcome};
use crate::{Library, MessageSearch, Result};

#[async_trait]
impl Library for PostgresStore {
    async fn thread(
        &self,
        viewer: UserId,
        root: MessageId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<(Message, Vec<Message>)>> {
        self.call(|| async { thread::thread(&self.pool.get(), viewer, root, after, limit).await }).await
    }

    async fn pins(&self, viewer: UserId, conversation: ConversationId) -> Result<Vec<Message>> {
        self.call(|| async { pins::pins(&self.pool.get(), viewer, conversation).await }).await
    }

    async fn versions(&self, viewer: UserId, message: MessageId) -> Result<Option<Vec<MessageVersion>>> {
        self.call(|| async { versions::versions(&self.pool.get(), viewer, message).await }).await
    }

    async fn reactors(
        &self,
        viewer: UserId,
        message: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Reactor>>> {
        self.call(|| async { reactors::reactors(&self.pool.get(), viewer, message, emoji, cursor, limit).await }).await
    }

    async fn message_receipts(
        &self,
        viewer: UserId,
        message: MessageId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<MessageReceipts>> {
        self.call(|| async { receipts::receipts(&self.pool.get(), viewer, message, cursor, limit).await }).await
    }

    async fn search(
        &self,
        viewer: UserId,
        search: &MessageSearch,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SearchHit>> {
        self.call(|| async { search::search(&self.pool.get(), viewer, search, cursor, limit).await }).await
    }

    async fn mentionable(
        &self,
        conversation: ConversationId,
        usernames: &[String],
        ids: &[UserId],
    ) -> Result<Vec<User>> {
        self.call(|| async { mentionable::mentionable(&self.pool.get(), conversation, usernames, ids).await }).await
    }
}

/// Where a message is that the viewer may see.
#[derive(FromRow)]
struct Place {
    conversation_id: Uuid,
    seq: i64,
    sender_id: Uuid,
    participant_count: i64,
}

/// Finds a message for a viewer; `None` where it is not there for them.
async fn place(tx: &mut PgConnection, viewer: UserId, message: MessageId) -> Outcome<Option<Place>> {
    Ok(sqlx::query_as(
        "SELECT m.conversation_id, m.seq, m.sender_id, c.participant_count
         FROM messages m
         JOIN participants v ON v.conversation_id = m.conversation_id AND v.user_id = $2 AND v.left_at IS NULL
         JOIN conversations c ON c.id = m.conversation_id AND c.deleted_at IS NULL
         WHERE m.id = $1 AND m.seq > v.access_since_seq",
    )
    .bind(message.0)
    .bind(viewer.0)
    .fetch_optional(tx)
    .await?)
}
