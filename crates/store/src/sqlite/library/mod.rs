//! What is read around messages: [`Library`], one module for each subject.
//!
//! Each read is one snapshot, and begins with the place of the message or the conversation in what the viewer may see.

mod people;
mod reactors;
mod receipts;
mod search;
#[cfg(test)]
mod tests;
mod threads;

use async_trait::async_trait;
use protocol::{
    ConversationId, Message, MessageId, MessageReceipts, MessageVersion, Page, Reactor, SearchHit, Seq, User, UserId,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SqliteStore, error::Db};
use crate::{Library, MessageSearch, Result};

#[async_trait]
impl Library for SqliteStore {
    async fn thread(
        &self,
        viewer: UserId,
        root: MessageId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<(Message, Vec<Message>)>> {
        threads::thread(&mut *self.snapshot().await?, viewer, root, after, limit).await
    }

    async fn pins(&self, viewer: UserId, conversation: ConversationId) -> Result<Vec<Message>> {
        threads::pins(&mut *self.snapshot().await?, viewer, conversation).await
    }

    async fn versions(&self, viewer: UserId, message: MessageId) -> Result<Option<Vec<MessageVersion>>> {
        threads::versions(&mut *self.snapshot().await?, viewer, message).await
    }

    async fn reactors(
        &self,
        viewer: UserId,
        message: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Reactor>>> {
        reactors::list(&mut *self.snapshot().await?, viewer, message, emoji, cursor, limit).await
    }

    async fn message_receipts(
        &self,
        viewer: UserId,
        message: MessageId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<MessageReceipts>> {
        receipts::of_message(&mut *self.snapshot().await?, viewer, message, cursor, limit).await
    }

    async fn search(
        &self,
        viewer: UserId,
        search: &MessageSearch,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SearchHit>> {
        search::search(&mut *self.snapshot().await?, viewer, search, cursor, limit).await
    }

    async fn mentionable(
        &self,
        conversation: ConversationId,
        usernames: &[String],
        ids: &[UserId],
    ) -> Result<Vec<User>> {
        people::mentionable(&mut *self.reader().await?, conversation, usernames, ids).await
    }
}

/// Where a message is, and whose.
#[derive(sqlx::FromRow)]
struct Place {
    conversation_id: Uuid,
    seq: i64,
    sender_id: Uuid,
}

/// `None` where the message is not there for the viewer.
async fn place(conn: &mut SqliteConnection, viewer: UserId, message: MessageId) -> Result<Option<Place>> {
    sqlx::query_as(
        "select m.conversation_id, m.seq, m.sender_id from messages m \
         join participants p on p.conversation_id = m.conversation_id and p.user_id = ? and p.left_at is null \
         join conversations c on c.id = m.conversation_id and c.deleted_at is null \
         where m.id = ? and m.seq > p.access_since_seq",
    )
    .bind(viewer.0)
    .bind(message.0)
    .fetch_optional(conn)
    .await
    .db()
}
