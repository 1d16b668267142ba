//! What a batch would leave behind, while it is being decided: the rows as read under the lock, with everything
//! that earlier requests of the same batch changed laid over them, and the writes that make it so.

use std::collections::{HashMap, HashSet};

use protocol::{ConversationId, History, MessageId, Role, Sender, Seq, SystemChange, Timestamp, UserId};
use store::{
    InsertMessage, Locked, LockedConversation, LockedParticipant, MessageUpdate, ParticipantWrite, UpdateMessage,
    WriteParticipant, Writes,
};

use crate::{change::Request, policy::Refusal};

/// A send of this batch, by what its sender calls it.
pub(super) struct Sent {
    pub(super) message: MessageId,
    pub(super) fingerprint: Vec<u8>,
}

/// The batch so far.
pub(super) struct Draft<'a> {
    pub(super) locked: &'a Locked,
    now: Timestamp,
    conversations: HashMap<ConversationId, LockedConversation>,
    participants: HashMap<(ConversationId, UserId), LockedParticipant>,
    /// Messages that became tombstones.
    deleted: HashSet<MessageId>,
    pub(super) sent: HashMap<(ConversationId, UserId, String), Sent>,
    writes: Writes,
}

impl<'a> Draft<'a> {
    pub(super) fn new(locked: &'a Locked, now: Timestamp) -> Self {
        Self {
            locked,
            now,
            conversations: locked.conversations.clone(),
            participants: HashMap::new(),
            deleted: HashSet::new(),
            sent: HashMap::new(),
            writes: Writes::default(),
        }
    }

    /// What to write.
    pub(super) fn finish(self) -> Writes {
        self.writes
    }

    pub(super) fn conversation(&self, id: ConversationId) -> Result<&LockedConversation, Refusal> {
        self.conversations.get(&id).ok_or(Refusal::NotFound)
    }

    pub(super) fn participant(&self, id: ConversationId, user: UserId) -> Option<&LockedParticipant> {
        self.participants.get(&(id, user)).or_else(|| self.locked.participants.get(&(id, user)))
    }

    /// Whether the message is a tombstone by now.
    pub(super) fn is_deleted(&self, message: &protocol::Message) -> bool {
        message.deleted_at.is_some() || self.deleted.contains(&message.id)
    }

    /// Whether this batch made it a tombstone.
    pub(super) fn deleted_here(&self, message: MessageId) -> bool {
        self.deleted.contains(&message)
    }

    /// A user as they go with messages.
    pub(super) fn sender(&self, user: UserId) -> Result<Sender, Refusal> {
        self.locked.users.get(&user).map(Sender::from).ok_or(Refusal::NoSuchParticipant)
    }

    /// Inserts a person's text: takes the next seq and the next number.
    pub(super) fn insert_text(
        &mut self,
        request: &Request,
        content: &str,
        client_id: Option<&String>,
        reply_to: Option<MessageId>,
        fingerprint: &[u8],
    ) -> Result<(), Refusal> {
        let (seq, number) = self.advance(request.conversation, 1)?;
        self.writes.inserts.push(InsertMessage {
            id: request.message_id,
            conversation_id: request.conversation,
            seq,
            number,
            sender_id: request.actor,
            content: content.to_owned(),
            system: None,
            reply_to_id: reply_to,
            thread_root_id: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
            client_id: client_id.cloned(),
            fingerprint: fingerprint.to_vec(),
            created_at: self.now,
        });
        self.spoke(request.conversation);
        Ok(())
    }

    /// Inserts what the conversation says of itself: takes the next seq and repeats the last number.
    pub(super) fn insert_system(&mut self, request: &Request, system: SystemChange) -> Result<Seq, Refusal> {
        let (seq, number) = self.advance(request.conversation, 0)?;
        self.writes.inserts.push(InsertMessage {
            id: request.message_id,
            conversation_id: request.conversation,
            seq,
            number,
            sender_id: request.actor,
            content: String::new(),
            system: Some(system),
            reply_to_id: None,
            thread_root_id: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
            client_id: None,
            fingerprint: Vec::new(),
            created_at: self.now,
        });
        self.spoke(request.conversation);
        Ok(seq)
    }

    /// Changes a message: takes the next seq.
    pub(super) fn change_message(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        update: MessageUpdate,
    ) -> Result<UpdateMessage, Refusal> {
        let (changed_seq, _) = self.advance(conversation, 0)?;
        if matches!(update, MessageUpdate::Delete) {
            self.deleted.insert(id);
        }
        let change = UpdateMessage { id, conversation_id: conversation, changed_seq, update, at: self.now };
        self.writes.updates.push(change.clone());
        Ok(change)
    }

    /// Somebody comes, or comes back. `seq` is the change's seq, or the head where joining is quiet.
    pub(super) fn join(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        role: Role,
        seq: Seq,
        quiet: bool,
    ) -> Result<(), Refusal> {
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        let access_since_seq = match row.history {
            History::All => 0,
            // Who was added may read the message that says so.
            History::SinceJoin => seq.saturating_sub(u64::from(!quiet)),
        };
        row.participant_count += 1;
        row.owner_count += u64::from(role == Role::Owner);
        let participant = LockedParticipant {
            role,
            active: true,
            access_since_seq,
            last_sent_at: None,
            notify: protocol::Notify::default(),
            muted_until: None,
        };
        self.participants.insert((conversation, user), participant);
        self.write_participant(conversation, user, seq, ParticipantWrite::Join { role, access_since_seq });
        self.access_changed(conversation, seq);
        Ok(())
    }

    /// An active participant goes.
    pub(super) fn leave(&mut self, conversation: ConversationId, user: UserId, seq: Seq) -> Result<(), Refusal> {
        let mut participant = self.participant(conversation, user).cloned().ok_or(Refusal::NoSuchParticipant)?;
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        row.participant_count = row.participant_count.saturating_sub(1);
        row.owner_count = row.owner_count.saturating_sub(u64::from(participant.role == Role::Owner));
        participant.active = false;
        self.participants.insert((conversation, user), participant);
        self.write_participant(conversation, user, seq, ParticipantWrite::Leave);
        self.access_changed(conversation, seq);
        Ok(())
    }

    /// An active participant gets another role.
    pub(super) fn set_role(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        role: Role,
        seq: Seq,
    ) -> Result<(), Refusal> {
        let mut participant = self.participant(conversation, user).cloned().ok_or(Refusal::NoSuchParticipant)?;
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        row.owner_count = row.owner_count.saturating_sub(u64::from(participant.role == Role::Owner));
        row.owner_count += u64::from(role == Role::Owner);
        participant.role = role;
        self.participants.insert((conversation, user), participant);
        self.write_participant(conversation, user, seq, ParticipantWrite::Role(role));
        self.access_changed(conversation, seq);
        Ok(())
    }

    /// New values of what the conversation says of itself.
    pub(super) fn patch(
        &mut self,
        conversation: ConversationId,
        patch: protocol::ConversationPatch,
        seq: Seq,
    ) -> Result<(), Refusal> {
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        if let Some(title) = &patch.title {
            row.title = Some(title.clone());
        }
        if let Some(posting) = patch.posting {
            row.posting = posting;
            self.access_changed(conversation, seq);
        }
        let written = &mut self.write(conversation)?.patch;
        let earlier = written.take().unwrap_or_default();
        *written = Some(protocol::ConversationPatch {
            title: patch.title.or(earlier.title),
            description: patch.description.or(earlier.description),
            avatar_url: patch.avatar_url.or(earlier.avatar_url),
            posting: patch.posting.or(earlier.posting),
            slow_mode_seconds: patch.slow_mode_seconds.or(earlier.slow_mode_seconds),
            archived: None,
        });
        Ok(())
    }

    /// Closed for all.
    pub(super) fn close(&mut self, conversation: ConversationId, seq: Seq) -> Result<(), Refusal> {
        let now = self.now;
        self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?.deleted_at = Some(now);
        self.write(conversation)?.deleted_at = Some(now);
        self.access_changed(conversation, seq);
        Ok(())
    }

    /// Takes the next seq, and `numbers` numbers; the counters' values then.
    fn advance(&mut self, conversation: ConversationId, numbers: u64) -> Result<(Seq, u64), Refusal> {
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        row.last_seq += 1;
        row.last_number += numbers;
        let taken = (row.last_seq, row.last_number);
        self.write(conversation)?;
        Ok(taken)
    }

    fn spoke(&mut self, conversation: ConversationId) {
        let now = self.now;
        if let Ok(write) = self.write(conversation) {
            write.last_activity_at = Some(now);
        }
    }

    fn access_changed(&mut self, conversation: ConversationId, seq: Seq) {
        if let Ok(write) = self.write(conversation) {
            write.access_seq = Some(seq);
        }
    }

    fn write_participant(&mut self, conversation_id: ConversationId, user_id: UserId, seq: Seq, w: ParticipantWrite) {
        self.writes.participants.push(WriteParticipant { conversation_id, user_id, write: w, seq, at: self.now });
    }

    /// The conversation's row as it is to be written, with the counters as they are now.
    fn write(&mut self, conversation: ConversationId) -> Result<&mut store::WriteConversation, Refusal> {
        let row = self.conversations.get(&conversation).ok_or(Refusal::NotFound)?;
        let write = self.writes.conversations.entry(conversation).or_default();
        write.last_seq = row.last_seq;
        write.last_number = row.last_number;
        Ok(write)
    }
}
