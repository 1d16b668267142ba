//! What a change of a conversation asks for, what has to be locked and read to decide it, and what came of it.
//! Data only: [`crate::decide`] decides, [`crate::writer`] commits.

use std::sync::Arc;

use protocol::{Attachment, ConversationId, ConversationPatch, Message, MessageId, ReactionChange, Role, UserId};
use store::{IdSet, Scope};

use crate::{ChatError, Set, Told, mentions::Mentions};

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
    Send(Box<NewMessage>),
    /// New text of one's own message.
    Edit {
        /// Which.
        message: MessageId,
        /// The new text.
        content: String,
        /// Whom it mentions.
        mentions: Mentions,
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

/// A message to send.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewMessage {
    /// Its text.
    pub(crate) content: String,
    /// What the sender calls it.
    pub(crate) client_id: Option<String>,
    /// What it replies to.
    pub(crate) reply_to: Option<MessageId>,
    /// The message whose thread it belongs to.
    pub(crate) thread_root: Option<MessageId>,
    /// Whom it mentions.
    pub(crate) mentions: Mentions,
    /// Files that go with it.
    pub(crate) attachments: Vec<Attachment>,
    /// Those of whom it may notify who had the conversation on their screen just now: they are not notified.
    pub(crate) focused: Vec<UserId>,
    /// See [`crate::fingerprint`].
    pub(crate) fingerprint: Vec<u8>,
}

impl Request {
    /// A request that was not tried yet. The message that it makes, if it makes one, has this id, however often it is
    /// tried.
    pub(crate) fn with_id(message_id: MessageId, conversation: ConversationId, actor: UserId, kind: Kind) -> Self {
        Self { conversation, actor, message_id, again: false, kind }
    }

    #[cfg(test)]
    pub(crate) fn new(conversation: ConversationId, actor: UserId, kind: Kind) -> Self {
        Self::with_id(MessageId::generate(), conversation, actor, kind)
    }
}

impl Kind {
    /// Every name.
    pub(crate) const NAMES: [&str; 11] = [
        "send",
        "edit",
        "delete",
        "pin",
        "react",
        "add_participants",
        "remove_participant",
        "join",
        "set_role",
        "update",
        "delete_conversation",
    ];

    /// For metrics; one of [`Kind::NAMES`].
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
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
    let (mut conversations, mut participants) = (IdSet::default(), IdSet::default());
    let (mut messages, mut users) = (IdSet::default(), IdSet::default());
    let (mut client_ids, mut reactions) = (Set::default(), Set::default());
    let mut notifies = false;
    for request in requests {
        let here = request.conversation;
        conversations.insert(here);
        participants.insert((here, request.actor));
        users.insert(request.actor);
        if request.again {
            messages.insert(request.message_id);
        }
        match &request.kind {
            Kind::Send(new) => {
                client_ids.extend(new.client_id.iter().map(|id| (here, request.actor, id.clone())));
                messages.extend(new.reply_to);
                messages.extend(new.thread_root);
                let mentioned = new.mentions.users();
                notifies |= new.reply_to.is_some() || new.thread_root.is_some() || !mentioned.is_empty();
                participants.extend(mentioned.iter().map(|user| (here, *user)));
                users.extend(mentioned);
            }
            Kind::Edit { message, mentions, .. } => {
                messages.insert(*message);
                let mentioned = mentions.users();
                participants.extend(mentioned.iter().map(|user| (here, *user)));
                users.extend(mentioned);
            }
            Kind::Delete { message } | Kind::Pin { message, .. } => {
                messages.insert(*message);
            }
            Kind::React { message, emoji, .. } => {
                messages.insert(*message);
                reactions.insert((*message, request.actor, emoji.clone()));
            }
            Kind::AddParticipants { users: added } => {
                participants.extend(added.iter().map(|user| (here, *user)));
                users.extend(added);
                notifies = true;
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
        notifies,
    }
}

/// What was decided about one request; true once the batch is committed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A message with this id was inserted.
    Inserted(MessageId),
    /// A message was changed.
    Updated(Box<Updated>),
    /// An earlier request of the same batch did it, and this message shows it.
    InBatch(MessageId),
    /// It was done before, and this message shows it.
    Found(Box<Message>),
    /// Done without a message that tells of it, or nothing had to be done.
    Quiet,
    /// Not done.
    Refused(Box<ChatError>),
}

/// A change of a message.
#[derive(Debug)]
pub(crate) struct Updated {
    /// The message as this change leaves it, as far as that can be told without the store: what counts where a later
    /// change of the same batch touched it too. Each of the two still is an event of its own.
    pub(crate) message: Message,
    /// The reaction that came or went.
    pub(crate) reaction: Option<Reacted>,
}

/// A reaction that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reacted {
    /// Whose and which.
    pub(crate) change: ReactionChange,
    /// It came.
    pub(crate) added: bool,
}

/// What a committed request gives its caller.
#[derive(Debug)]
pub(crate) struct Done {
    /// The message that it made, changed or found; shared with who publishes it.
    pub(crate) message: Option<Arc<Told>>,
    /// The message came into being by this very request.
    pub(crate) new: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_may_notify_says_so_and_names_who_is_mentioned() {
        let (here, actor, other) = (ConversationId::generate(), UserId::generate(), UserId::generate());
        let send = |new: NewMessage| scope(&[Request::new(here, actor, Kind::Send(Box::new(new)))]);
        assert!(!send(NewMessage::default()).notifies, "a plain message reads nobody's settings");
        let range = protocol::MentionRange { offset: 0, length: 1, user_id: Some(other) };
        let mentioning = send(NewMessage { mentions: Mentions::Named(vec![range]), ..NewMessage::default() });
        assert!(mentioning.notifies && mentioning.participants.contains(&(here, other)));
        assert!(mentioning.users.contains(&other));
        let root = MessageId::generate();
        let threaded = send(NewMessage { thread_root: Some(root), ..NewMessage::default() });
        assert!(threaded.notifies && threaded.messages == [root]);
        let everybody = protocol::MentionRange { user_id: None, ..range };
        assert!(!send(NewMessage { mentions: Mentions::Named(vec![everybody]), ..NewMessage::default() }).notifies);
    }
}
