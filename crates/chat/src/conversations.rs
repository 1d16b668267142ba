//! Conversations and who takes part.

use protocol::{
    AddParticipants, Conversation, ConversationId, ConversationPatch, CreateConversation, Page, Participant,
    ParticipantPatch, UserId,
};

use crate::{Caller, Chat, Result};

impl Chat {
    /// Makes a conversation, or finds the direct one; true when it was made now.
    pub async fn create_conversation(
        &self,
        _caller: &Caller,
        _request: CreateConversation,
        _idempotency_key: Option<&str>,
    ) -> Result<(Conversation, bool)> {
        unimplemented!()
    }

    /// The caller's conversations, last activity first. `limit` 1–100 (50 when absent).
    pub async fn conversations(
        &self,
        _caller: &Caller,
        _cursor: Option<&str>,
        _limit: Option<u32>,
    ) -> Result<Page<Conversation>> {
        unimplemented!()
    }

    /// The lobby: public rooms of the caller's org whose title contains `query`.
    pub async fn public_conversations(
        &self,
        _caller: &Caller,
        _query: &str,
        _cursor: Option<&str>,
        _limit: Option<u32>,
    ) -> Result<Page<Conversation>> {
        unimplemented!()
    }

    /// One conversation.
    pub async fn conversation(&self, _caller: &Caller, _id: ConversationId) -> Result<Conversation> {
        unimplemented!()
    }

    /// Changes title, description, picture or policy (admins).
    pub async fn update_conversation(
        &self,
        _caller: &Caller,
        _id: ConversationId,
        _patch: ConversationPatch,
    ) -> Result<Conversation> {
        unimplemented!()
    }

    /// Closes it for all (owners).
    pub async fn delete_conversation(&self, _caller: &Caller, _id: ConversationId) -> Result<()> {
        unimplemented!()
    }

    /// Joins a public room; joining twice is fine.
    pub async fn join(&self, _caller: &Caller, _id: ConversationId) -> Result<Conversation> {
        unimplemented!()
    }

    /// Leaves. The last owner must hand over first, unless nobody else is left.
    pub async fn leave(&self, _caller: &Caller, _id: ConversationId) -> Result<()> {
        unimplemented!()
    }

    /// Active participants by join time. `limit` 1–100 (50 when absent).
    pub async fn participants(
        &self,
        _caller: &Caller,
        _id: ConversationId,
        _cursor: Option<&str>,
        _limit: Option<u32>,
    ) -> Result<Page<Participant>> {
        unimplemented!()
    }

    /// Adds people (admins; in a public room nobody: people join). One system message for all of them.
    pub async fn add_participants(
        &self,
        _caller: &Caller,
        _id: ConversationId,
        _request: AddParticipants,
    ) -> Result<Conversation> {
        unimplemented!()
    }

    /// Changes a role (owners).
    pub async fn update_participant(
        &self,
        _caller: &Caller,
        _id: ConversationId,
        _user: UserId,
        _patch: ParticipantPatch,
    ) -> Result<Participant> {
        unimplemented!()
    }

    /// Removes somebody (admins; an admin cannot remove an owner), or leaves when it is oneself.
    pub async fn remove_participant(&self, _caller: &Caller, _id: ConversationId, _user: UserId) -> Result<()> {
        unimplemented!()
    }
}
