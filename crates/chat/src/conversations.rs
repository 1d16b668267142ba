//! Conversations and who takes part: reading them and changing them. Making one is in `create`.

use bus::BusStatus;
use protocol::{
    AddParticipants, Conversation, ConversationFilter, ConversationId, ConversationPatch, Page, Participant,
    ParticipantPatch, Presence, UserId,
};

use crate::{Caller, Chat, ChatError, Map, Result, change::Kind, check, create::PARTICIPANTS_MAX};

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
        let mut page = self.inner.store.conversations(caller.user.id, filter, cursor, limit).await?;
        self.with_presence(caller, &mut page.items).await;
        Ok(page)
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
        let mut conversation = conversation.ok_or_else(|| ChatError::not_found("conversation"))?;
        self.with_presence(caller, std::slice::from_mut(&mut conversation)).await;
        Ok(conversation)
    }

    /// Fills in whether the other one of each direct conversation is there, where the caller may know it: one round
    /// trip to the bus for all. A list is worth having without it, so what fails leaves it unknown.
    async fn with_presence(&self, caller: &Caller, conversations: &mut [Conversation]) {
        let others = conversations.iter().filter_map(|conversation| conversation.other.as_ref());
        let mut others: Vec<UserId> = others.map(|other| other.id).collect();
        others.sort_unstable();
        others.dedup();
        if others.is_empty() || *self.inner.bus.status().borrow() == BusStatus::Down {
            return;
        }
        let known = async { self.presence_of(&self.visible(caller, &others).await?).await };
        let known: Map<UserId, Presence> = match known.await {
            Ok(presences) => presences.into_iter().map(|presence| (presence.user_id, presence)).collect(),
            Err(error) => {
                tracing::debug!(%error, "a list of conversations goes without presence");
                return;
            }
        };
        for conversation in conversations {
            conversation.other_presence = conversation.other.as_ref().and_then(|other| known.get(&other.id).copied());
        }
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

    /// Active participants by join time, of those whose username or display name begins with `query` (any case; all of
    /// them when it is empty). `limit` 1–100 (50 when absent).
    pub async fn participants(
        &self,
        caller: &Caller,
        id: ConversationId,
        query: &str,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Participant>> {
        let limit = check::limit(limit)?;
        check::query(query)?;
        check::cursor(cursor)?;
        self.readable(caller, id).await?;
        Ok(self.inner.store.participants(caller.user.id, id, query, cursor, limit).await?)
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
        self.submit(id, caller, kind).await.map(drop)
    }
}
