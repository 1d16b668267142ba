//! Who may do what. Pure functions over what was read: `decide` calls them with rows read under the lock, reads
//! call [`reading`] with an unlocked look. They say why not; they write nothing.

use protocol::{ConversationKind, ErrorCode, Message, MessageKind, OrgId, Posting, Role, UserId};
use store::{Access, LockedConversation, LockedParticipant};

use crate::ChatError;

/// Why something may not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such conversation, or none that the actor may know of.
    NotFound,
    /// No such message, or none that the actor may know of.
    NoSuchMessage,
    /// Nobody of that id takes part.
    NoSuchParticipant,
    /// A public room that the actor has not joined.
    NotAParticipant,
    /// Only admins may post.
    PostingRestricted,
    /// Archived.
    Archived,
    /// The actor's role does not allow it.
    Forbidden,
    /// Not possible in a conversation of this kind.
    WrongKind,
    /// The last owner must hand over first.
    LastOwner,
    /// The message is a tombstone.
    MessageDeleted,
    /// The actor was disabled.
    Disabled,
}

impl From<Refusal> for ChatError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::NotFound => return Self::not_found("conversation"),
            Refusal::NoSuchMessage => return Self::not_found("message"),
            Refusal::NoSuchParticipant => return Self::not_found("participant"),
            Refusal::NotAParticipant => (ErrorCode::NotAParticipant, "join this room first"),
            Refusal::PostingRestricted => (ErrorCode::PostingRestricted, "only admins may post in this conversation"),
            Refusal::Archived => (ErrorCode::Archived, "the conversation is archived"),
            Refusal::Forbidden => (ErrorCode::Forbidden, "you may not do this"),
            Refusal::WrongKind => (ErrorCode::WrongKind, "not possible in a conversation of this kind"),
            Refusal::LastOwner => (ErrorCode::LastOwner, "the last owner must make somebody else an owner first"),
            Refusal::MessageDeleted => (ErrorCode::MessageDeleted, "the message is deleted"),
            Refusal::Disabled => (ErrorCode::UserDisabled, "this user is disabled"),
        };
        Self::new(code, message)
    }
}

type Verdict = Result<(), Refusal>;

/// Where more than this many take part, coming and going by one's own will is quiet, as in public rooms.
const QUIET_ABOVE: u64 = 1_000;

/// The actor's row, when they take part in a conversation that is there for them; else what they are told.
pub(crate) fn taking_part<'a>(
    conversation: &LockedConversation,
    org: OrgId,
    row: Option<&'a LockedParticipant>,
) -> Result<&'a LockedParticipant, Refusal> {
    if conversation.org_id != org || conversation.deleted_at.is_some() {
        return Err(Refusal::NotFound);
    }
    match row.filter(|row| row.active) {
        Some(row) => Ok(row),
        None => Err(outside(conversation.kind)),
    }
}

/// Whether a viewer may read messages, receipts and participants. `access` is none for an outsider of the org, a
/// deleted conversation and one that does not exist.
pub(crate) fn reading(access: Option<&Access>) -> Verdict {
    match access {
        None => Err(Refusal::NotFound),
        Some(Access { participant: Some(row), .. }) if row.active => Ok(()),
        Some(access) => Err(outside(access.kind)),
    }
}

fn outside(kind: ConversationKind) -> Refusal {
    if kind == ConversationKind::Public { Refusal::NotAParticipant } else { Refusal::NotFound }
}

/// Sending.
pub(crate) fn send(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    if conversation.archived_at.is_some() {
        Err(Refusal::Archived)
    } else if conversation.posting == Posting::Admins && actor.role < Role::Admin {
        Err(Refusal::PostingRestricted)
    } else {
        Ok(())
    }
}

/// Whether the participant may see the message at all.
pub(crate) fn sees(actor: &LockedParticipant, message: &Message) -> bool {
    message.seq > actor.access_since_seq
}

/// Editing a message that the actor sees: one's own text.
pub(crate) fn edit(conversation: &LockedConversation, actor: UserId, message: &Message, deleted: bool) -> Verdict {
    if message.kind == MessageKind::System || message.sender.id != actor {
        Err(Refusal::Forbidden)
    } else if deleted {
        Err(Refusal::MessageDeleted)
    } else if conversation.archived_at.is_some() {
        Err(Refusal::Archived)
    } else {
        Ok(())
    }
}

/// Deleting a message that the actor sees: one's own text, or any text for admins; between two people only one's
/// own. Archived or not: people must be able to take back what they wrote.
pub(crate) fn delete(
    conversation: &LockedConversation,
    actor: UserId,
    row: &LockedParticipant,
    message: &Message,
) -> Verdict {
    let own = message.sender.id == actor;
    let moderates = row.role >= Role::Admin && conversation.kind != ConversationKind::Direct;
    if message.kind != MessageKind::System && (own || moderates) { Ok(()) } else { Err(Refusal::Forbidden) }
}

/// Adding people: admins of a group. Nobody is added to a public room, people join it.
pub(crate) fn add(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    match conversation.kind {
        ConversationKind::Group => at_least(actor, Role::Admin),
        ConversationKind::Direct | ConversationKind::Public => Err(Refusal::WrongKind),
    }
}

/// Removing somebody else: admins remove members, owners anybody.
pub(crate) fn remove(conversation: &LockedConversation, actor: &LockedParticipant, target: Role) -> Verdict {
    not_direct(conversation)?;
    at_least(actor, if target == Role::Member { Role::Admin } else { Role::Owner })
}

/// Leaving. The last owner leaves only an empty conversation.
pub(crate) fn leave(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    not_direct(conversation)?;
    let last_owner = actor.role == Role::Owner && conversation.owner_count <= 1;
    if last_owner && conversation.participant_count > 1 { Err(Refusal::LastOwner) } else { Ok(()) }
}

/// Joining, for somebody of the org who does not take part.
pub(crate) fn join(conversation: &LockedConversation, org: OrgId) -> Verdict {
    if conversation.org_id == org && conversation.deleted_at.is_none() && conversation.kind == ConversationKind::Public
    {
        Ok(())
    } else {
        Err(Refusal::NotFound)
    }
}

/// Changing roles: owners.
pub(crate) fn set_role(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    not_direct(conversation)?;
    at_least(actor, Role::Owner)
}

/// Whether an active participant may get this role: the last owner stays one.
pub(crate) fn keeps_an_owner(conversation: &LockedConversation, target: &LockedParticipant, role: Role) -> Verdict {
    let last_owner = target.role == Role::Owner && conversation.owner_count <= 1;
    if last_owner && role != Role::Owner { Err(Refusal::LastOwner) } else { Ok(()) }
}

/// Changing title, description, picture or policy: admins.
pub(crate) fn update(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    not_direct(conversation)?;
    at_least(actor, Role::Admin)
}

/// Closing the conversation for all: owners.
pub(crate) fn delete_conversation(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    not_direct(conversation)?;
    at_least(actor, Role::Owner)
}

/// Whether coming and going by one's own will takes no seq and writes no message here.
pub(crate) fn quiet(conversation: &LockedConversation) -> bool {
    conversation.kind == ConversationKind::Public || conversation.participant_count > QUIET_ABOVE
}

fn not_direct(conversation: &LockedConversation) -> Verdict {
    if conversation.kind == ConversationKind::Direct { Err(Refusal::WrongKind) } else { Ok(()) }
}

fn at_least(actor: &LockedParticipant, role: Role) -> Verdict {
    if actor.role >= role { Ok(()) } else { Err(Refusal::Forbidden) }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
