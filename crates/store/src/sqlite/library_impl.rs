//! Not there yet.
#![allow(unused_variables, clippy::too_many_arguments)]

use async_trait::async_trait;
use protocol::{
    ConversationId, Message, MessageId, MessageReceipts, MessageVersion, Page, Reactor, SearchHit, Seq, User, UserId,
};

use super::SqliteStore;
use crate::{Library, MessageSearch, Result, StoreError};

#[async_trait]
impl Library for SqliteStore {
    async fn thread(
        &self,
        viewer: UserId,
        root: MessageId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<(Message, Vec<Message>)>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn pins(&self, viewer: UserId, conversation: ConversationId) -> Result<Vec<Message>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn versions(&self, viewer: UserId, message: MessageId) -> Result<Option<Vec<MessageVersion>>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn reactors(
        &self,
        viewer: UserId,
        message: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Reactor>>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn message_receipts(
        &self,
        viewer: UserId,
        message: MessageId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<MessageReceipts>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn search(
        &self,
        viewer: UserId,
        search: &MessageSearch,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SearchHit>> {
        Err(StoreError::Internal("not there yet".into()))
    }

    async fn mentionable(
        &self,
        conversation: ConversationId,
        usernames: &[String],
        ids: &[UserId],
    ) -> Result<Vec<User>> {
        Err(StoreError::Internal("not there yet".into()))
    }
}
