//! What a change of a conversation asks for, what has to be locked and read to decide it, and what came of it.
//! Data only: [`crate::decide`] decides, [`crate::writer`] commits.

use std::collections::HashSet;

use protocol::{ConversationId, ConversationPatch, Message, MessageId, Role, Timestamp, UserId};
use sha2::{Digest, Sha256};
use store::{Scope, UpdateMessage};

use crate::ChatError;

/// One durable change that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Where.
    pub(crate) conversation: ConversationId,
    /// Who asks.
    pub(crate) actor: UserId,
    /// Id of the message this makes, if it makes one. Made before the batch: when a commit's answer was lost, a
    /// message with this id says that the change was done.
    pub(crate) message_id: MessageId,
    /// Tried before with an unknown end.
    pub(crate) again: bool,
    /// What.
    pub(crate) kind: Kind,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A new message.
    Send {
        /// Its text.
        content: String,
        /// What the sender calls it.
        client_id: Option<String>,
        /// What it replies to.
        reply_to: Option<MessageId>,
        /// See [`send_fingerprint`].
        fingerprint: Vec<u8>,
    },
    /// New text of one's own message.
    Edit {
        /// Which.
        message: MessageId,
        /// The new text.
        content: String,
    },
    /// A tombstone in place of a message.
    Delete {
        /// Which.
        message: MessageId,
    },
    /// A message is pinned, or no longer.
    Pin {
        /// Which.
        message: MessageId,
        /// Pinned.
        pinned: bool,
    },
    /// Somebody reacts, or takes it back.
    React {
        /// To which.
        message: MessageId,
        /// With what; see [`crate::check::emoji`].
        emoji: String,
        /// Reacts.
        add: bool,
    },
    /// People are added.
    AddParticipants {
        /// Who, each once.
        users: Vec<UserId>,
    },
    /// Somebody is removed, or leaves when it is the actor.
    RemoveParticipant {
        /// Who.
        user: UserId,
    },
    /// The actor joins a public room.
    Join,
    /// Somebody gets a role.
    SetRole {
        /// Who.
        user: UserId,
        /// Which.
        role: Role,
    },
    /// Title, description, picture or policy change.
    Update {
        /// The new values.
        patch: ConversationPatch,
    },
    /// The conversation is closed for all.
    DeleteConversation,
}

impl Request {
    /// A request that was not tried yet.
    pub(crate) fn new(conversation: ConversationId, actor: UserId, kind: Kind) -> Self {
        Self { conversation, actor, message_id: MessageId::generate(), again: false, kind }
    }
}

impl Kind {
    /// For metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::Pin { .. } => "pin",
            Self::React { .. } => "react",
            Self::AddParticipants { .. } => "add_participants",
            Self::RemoveParticipant { .. } => "remove_participant",
            Self::Join => "join",
            Self::SetRole { .. } => "set_role",
            Self::Update { .. } => "update",
            Self::DeleteConversation => "delete_conversation",
        }
    }
}

/// What deciding these requests needs; each row is named once.
pub(crate) fn scope<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Scope {
    let (mut conversations, mut participants) = (HashSet::new(), HashSet::new());
    let (mut messages, mut users) = (HashSet::new(), HashSet::new());
    let (mut client_ids, mut reactions) = (HashSet::new(), HashSet::new());
    for request in requests {
        let here = request.conversation;
        conversations.insert(here);
        participants.insert((here, request.actor));
        users.insert(request.actor);
        if request.again {
            messages.insert(request.message_id);
        }
        match &request.kind {
            Kind::Send { client_id, reply_to, .. } => {
                client_ids.extend(client_id.iter().map(|id| (here, request.actor, id.clone())));
                messages.extend(reply_to);
            }
            Kind::Edit { message, .. } | Kind::Delete { message } | Kind::Pin { message, .. } => {
                messages.insert(*message);
            }
            Kind::React { message, emoji, .. } => {
                messages.insert(*message);
                reactions.insert((*message, request.actor, emoji.clone()));
            }
            Kind::AddParticipants { users: added } => {
                participants.extend(added.iter().map(|user| (here, *user)));
                users.extend(added);
            }
            Kind::RemoveParticipant { user } | Kind::SetRole { user, .. } => {
                participants.insert((here, *user));
                users.insert(*user);
            }
            Kind::Join | Kind::Update { .. } | Kind::DeleteConversation => {}
        }
    }
    Scope {
        conversations: conversations.into_iter().collect(),
        participants: participants.into_iter().collect(),
        client_ids: client_ids.into_iter().collect(),
        messages: messages.into_iter().collect(),
        users: users.into_iter().collect(),
        reactions: reactions.into_iter().collect(),
        notifies: false,
    }
}

/// What was decided about one request; true once the batch is committed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A message with this id was inserted.
    Inserted(MessageId),
    /// A message was changed.
    Updated(Box<UpdateMessage>),
    /// An earlier request of the same batch did it, and this message shows it.
    InBatch(MessageId),
    /// It was done before, and this message shows it.
    Found(Box<Message>),
    /// Done without a message that tells of it, or nothing had to be done.
    Quiet,
    /// Not done.
    Refused(Box<ChatError>),
}

/// What a committed request gives its caller.
#[derive(Debug)]
pub(crate) struct Done {
    /// The message that it made, changed or found.
    pub(crate) message: Option<Message>,
    /// The message came into being by this very request.
    pub(crate) new: bool,
}

/// SHA-256 of what a send asks for: a retry must ask for the same. Canonical (each part has a fixed or a stated
/// length), and kept by the store for ever: never change it.
pub(crate) fn send_fingerprint(content: &str, reply_to: Option<MessageId>) -> Vec<u8> {
    let hash = Sha256::new()
        .chain_update(b"send\0")
        .chain_update((content.len() as u64).to_be_bytes())
        .chain_update(content.as_bytes());
    let hash = match reply_to {
        Some(id) => hash.chain_update([1]).chain_update(id.0.as_bytes()),
        None => hash.chain_update([0]),
    };
    hash.finalize().to_vec()
}

/// The message as this change left it. The store gives the state after the whole batch; when a later change of the
/// same batch touched the message too, each of the two still is an event of its own.
pub(crate) fn as_of(latest: &Message, change: &UpdateMessage) -> Message {
    let mut message = latest.clone();
    if message.changed_seq != change.changed_seq {
        message.changed_seq = change.changed_seq;
        if let store::MessageUpdate::Edit { content, .. } = &change.update {
            message.content.clone_from(content);
            message.edited_at = Some(change.at);
            message.deleted_at = None::<Timestamp>;
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_requests_apart() {
        let reply = MessageId::generate();
        let all = [
            send_fingerprint("a", None),
            send_fingerprint("b", None),
            send_fingerprint("a", Some(reply)),
            send_fingerprint("a\0", None),
            send_fingerprint("a\u{1}", None),
        ];
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(send_fingerprint("a", Some(reply)), all[2]);
        assert_eq!(all[0].len(), 32);
    }

    #[test]
    fn a_scope_names_each_row_once() {
        let (here, actor, other) = (ConversationId::generate(), UserId::generate(), UserId::generate());
        let kinds = [
            Kind::Join,
            Kind::AddParticipants { users: vec![other, actor] },
            Kind::RemoveParticipant { user: other },
            Kind::Delete { message: MessageId::generate() },
        ];
        let mut requests: Vec<_> = kinds.into_iter().map(|kind| Request::new(here, actor, kind)).collect();
        let wanted = scope(&requests);
        assert_eq!((wanted.conversations.len(), wanted.participants.len(), wanted.users.len()), (1, 2, 2));
        assert_eq!(wanted.messages.len(), 1);
        requests[0].again = true;
        assert_eq!(scope(&requests).messages.len(), 2, "a retry asks whether its message is there");
    }
}
