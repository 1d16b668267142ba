//! What a batch would leave behind, while it is being decided: the rows as read under the lock, with everything
//! that earlier requests of the same batch changed laid over them, and the writes that make it so.

use std::collections::HashMap;

use protocol::{
    ConversationId, History, Limits, Message, MessageId, Role, Sender, Seq, SystemChange, Timestamp, UserId,
};
use store::{
    IdMap, InsertMessage, Locked, LockedConversation, LockedParticipant, MessageUpdate, ParticipantWrite,
    StoredMention, UpdateMessage, WriteNotification, WriteParticipant, Writes,
};

use super::state;
use crate::{
    change::{NewMessage, Request},
    policy::Refusal,
};

/// A send of this batch, by what its sender calls it.
pub(super) struct Sent {
    pub(super) message: MessageId,
    pub(super) fingerprint: Vec<u8>,
}

/// The batch so far.
pub(super) struct Draft<'a> {
    pub(super) locked: &'a Locked,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    conversations: IdMap<ConversationId, LockedConversation>,
    participants: IdMap<(ConversationId, UserId), LockedParticipant>,
    /// Messages that were changed, as they are by now.
    messages: IdMap<MessageId, Message>,
    /// Reactions that came (true) or went.
    reactions: HashMap<(MessageId, UserId, String), bool>,
    pub(super) sent: HashMap<(ConversationId, UserId, String), Sent>,
    writes: Writes,
}

impl<'a> Draft<'a> {
    pub(super) fn new(locked: &'a Locked, limits: &'a Limits, now: Timestamp) -> Self {
        Self {
            locked,
            limits,
            now,
            conversations: locked.conversations.clone(),
            participants: IdMap::default(),
            messages: IdMap::default(),
            reactions: HashMap::new(),
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

    /// A message as it is by now.
    pub(super) fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(&id).or_else(|| self.locked.messages.get(&id))
    }

    /// Whether this batch changed it.
    pub(super) fn changed_here(&self, message: MessageId) -> bool {
        self.messages.contains_key(&message)
    }

    /// Whether somebody reacts to a message with this emoji by now.
    pub(super) fn reacts(&self, message: MessageId, user: UserId, emoji: &str) -> bool {
        let key = (message, user, emoji.to_owned());
        self.reactions.get(&key).copied().unwrap_or_else(|| self.locked.reactions.contains(&key))
    }

    /// A user as they go with messages.
    pub(super) fn sender(&self, user: UserId) -> Result<Sender, Refusal> {
        self.locked.users.get(&user).map(Sender::from).ok_or(Refusal::NoSuchParticipant)
    }

    /// Inserts a person's text: takes the next seq and the next number.
    pub(super) fn insert_text(
        &mut self,
        request: &Request,
        new: &NewMessage,
        mentions: Vec<StoredMention>,
    ) -> Result<(), Refusal> {
        let (seq, number) = self.advance(request.conversation, 1)?;
        self.writes.inserts.push(InsertMessage {
            id: request.message_id,
            conversation_id: request.conversation,
            seq,
            number,
            sender_id: request.actor,
            content: new.content.clone(),
            system: None,
            reply_to_id: new.reply_to,
            thread_root_id: new.thread_root,
            mentions,
            attachments: new.attachments.clone(),
            client_id: new.client_id.clone(),
            fingerprint: new.fingerprint.clone(),
            created_at: self.now,
        });
        self.spoke(request.conversation);
        if let Some(mut sender) = self.participant(request.conversation, request.actor).cloned() {
            sender.last_sent_at = Some(self.now);
            self.participants.insert((request.conversation, request.actor), sender);
        }
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

    /// Changes a message: takes the next seq. The message as it is then.
    pub(super) fn change_message(&mut self, mut message: Message, update: MessageUpdate) -> Result<Message, Refusal> {
        let conversation_id = message.conversation_id;
        let (changed_seq, _) = self.advance(conversation_id, 0)?;
        let pinned_before = message.pinned_at.is_some();
        match &update {
            MessageUpdate::React { user, emoji } => {
                self.reactions.insert((message.id, *user, emoji.clone()), true);
            }
            MessageUpdate::Unreact { user, emoji } => {
                self.reactions.insert((message.id, *user, emoji.clone()), false);
            }
            MessageUpdate::Edit { .. } | MessageUpdate::Delete | MessageUpdate::Pin(_) => {}
        }
        let change = UpdateMessage { id: message.id, conversation_id, changed_seq, update, at: self.now };
        state::apply(&mut message, &change, &self.locked.users);
        self.writes.updates.push(change);
        if pinned_before != message.pinned_at.is_some() {
            self.count_pin(conversation_id, !pinned_before)?;
        }
        self.messages.insert(message.id, message.clone());
        Ok(message)
    }

    fn count_pin(&mut self, conversation: ConversationId, pinned: bool) -> Result<(), Refusal> {
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        row.pin_count = if pinned { row.pin_count + 1 } else { row.pin_count.saturating_sub(1) };
        let count = row.pin_count;
        self.write(conversation)?.pin_count = Some(count);
        Ok(())
    }

    /// Somebody is told.
    pub(super) fn notify(&mut self, notification: WriteNotification) {
        self.writes.notifications.push(notification);
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
        row.participant_count += 1;
        row.owner_count += u64::from(role == Role::Owner);
        let access_since_seq = match row.history {
            History::All => 0,
            // Who was added may read the message that says so.
            History::SinceJoin => seq.saturating_sub(u64::from(!quiet)),
        };
        // Who comes back has the settings they had, and cannot leave slow mode behind by leaving.
        let before = self.participant(conversation, user);
        let participant = LockedParticipant {
            role,
            active: true,
            access_since_seq,
            last_sent_at: before.and_then(|before| before.last_sent_at),
            notify: before.map(|before| before.notify).unwrap_or_default(),
            muted_until: before.and_then(|before| before.muted_until),
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
        if let Some(description) = &patch.description {
            row.description.clone_from(description);
        }
        if let Some(avatar_url) = &patch.avatar_url {
            row.avatar_url.clone_from(avatar_url);
        }
        if let Some(posting) = patch.posting {
            row.posting = posting;
            self.access_changed(conversation, seq);
        }
        let row = self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?;
        row.slow_mode_seconds = patch.slow_mode_seconds.unwrap_or(row.slow_mode_seconds);
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

    /// Into the archive, or out of it.
    pub(super) fn archive(&mut self, conversation: ConversationId, archived: bool) -> Result<(), Refusal> {
        let archived_at = archived.then_some(self.now);
        self.conversations.get_mut(&conversation).ok_or(Refusal::NotFound)?.archived_at = archived_at;
        self.write(conversation)?.archived_at = Some(archived_at);
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
