//! Conversations and who takes part: reading them and changing them. Making one is in `create`.

use protocol::{
    AddParticipants, Conversation, ConversationFilter, ConversationId, ConversationPatch, Page, Participant,
    ParticipantPatch, UserId,
};

use crate::{
    Caller, Chat, ChatError, Result,
    change::{Kind, Request},
    check,
    create::PARTICIPANTS_MAX,
};

impl Chat {
    /// The caller's conversations, last activity first. `limit` 1–100 (50 when absent).
    pub async fn conversations(
        &self,
        caller: &Caller,
        filter: &ConversationFilter,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Conversation>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.conversations(caller.user.id, filter, cursor, limit).await?)
    }

    /// The lobby: public rooms of the caller's org whose title contains `query`.
    pub async fn public_conversations(
        &self,
        caller: &Caller,
        query: &str,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Conversation>> {
        let limit = check::limit(limit)?;
        check::query(query)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.public_conversations(caller.user.id, query, cursor, limit).await?)
    }

    /// One conversation.
    pub async fn conversation(&self, caller: &Caller, id: ConversationId) -> Result<Conversation> {
        let conversation = self.inner.store.conversation(caller.user.id, id).await?;
        conversation.ok_or_else(|| ChatError::not_found("conversation"))
    }

    /// Changes title, description, picture or policy (admins).
    pub async fn update_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
        patch: ConversationPatch,
    ) -> Result<Conversation> {
        check::conversation_patch(&patch)?;
        self.change(caller, id, Kind::Update { patch }).await?;
        self.conversation(caller, id).await
    }

    /// Closes it for all (owners).
    pub async fn delete_conversation(&self, caller: &Caller, id: ConversationId) -> Result<()> {
        self.change(caller, id, Kind::DeleteConversation).await
    }

    /// Joins a public room; joining twice is fine. Who joins an empty one owns it.
    pub async fn join(&self, caller: &Caller, id: ConversationId) -> Result<Conversation> {
        self.change(caller, id, Kind::Join).await?;
        self.conversation(caller, id).await
    }

    /// Leaves. The last owner must hand over first, unless nobody else is left.
    pub async fn leave(&self, caller: &Caller, id: ConversationId) -> Result<()> {
        self.change(caller, id, Kind::RemoveParticipant { user: caller.user.id }).await
    }

    /// Active participants by join time. `limit` 1–100 (50 when absent).
    pub async fn participants(
        &self,
        caller: &Caller,
        id: ConversationId,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Participant>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        self.readable(caller, id).await?;
        Ok(self.inner.store.participants(caller.user.id, id, cursor, limit).await?)
    }

    /// One active participant, of a conversation that the caller may read.
    pub async fn participant(&self, caller: &Caller, id: ConversationId, user: UserId) -> Result<Participant> {
        self.readable(caller, id).await?;
        let participant = self.inner.store.participant(caller.user.id, id, user).await?;
        participant.ok_or_else(|| ChatError::not_found("participant"))
    }

    /// Adds people (admins; in a public room nobody: people join). One system message for all of them; those who
    /// take part already are left as they are.
    pub async fn add_participants(
        &self,
        caller: &Caller,
        id: ConversationId,
        request: AddParticipants,
    ) -> Result<Conversation> {
        if !(1..=PARTICIPANTS_MAX).contains(&request.user_ids.len()) {
            return Err(ChatError::field("user_ids", format!("must have from 1 to {PARTICIPANTS_MAX} items")));
        }
        self.change(caller, id, Kind::AddParticipants { users: request.user_ids }).await?;
        self.conversation(caller, id).await
    }

    /// Changes a role (owners).
    pub async fn update_participant(
        &self,
        caller: &Caller,
        id: ConversationId,
        user: UserId,
        patch: ParticipantPatch,
    ) -> Result<Participant> {
        self.change(caller, id, Kind::SetRole { user, role: patch.role }).await?;
        let participant = self.inner.store.participant(caller.user.id, id, user).await?;
        participant.ok_or_else(|| ChatError::not_found("participant"))
    }

    /// Removes somebody (admins; an admin cannot remove an owner), or leaves when it is oneself. Removing somebody
    /// who has left is fine.
    pub async fn remove_participant(&self, caller: &Caller, id: ConversationId, user: UserId) -> Result<()> {
        self.change(caller, id, Kind::RemoveParticipant { user }).await
    }

    async fn change(&self, caller: &Caller, id: ConversationId, kind: Kind) -> Result<()> {
        self.inner.writer.submit(Request::new(id, caller.user.id, kind)).await.map(drop)
    }
}
