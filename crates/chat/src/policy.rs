//! Who may do what. Pure functions over what was read: `decide` calls them with rows read under the lock, reads
//! call [`reading`] with an unlocked look. They say why not; they write nothing.

use protocol::{
    ConversationKind, ErrorCode, Message, MessageKind, OrgId, Posting, REACTION_EMOJI_MAX, Role, Timestamp, UserId,
};
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
    /// One of the two has blocked the other.
    Blocked,
    /// Slow mode: the next message may come after so many milliseconds.
    SlowMode(u64),
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
    /// The message is too old to be edited.
    EditWindowPassed,
    /// As many messages are pinned as may be: so many.
    PinsFull(u32),
    /// The message has as many different emoji as it may have.
    EmojiFull,
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
            Refusal::Blocked => (ErrorCode::Blocked, "one of you has blocked the other"),
            Refusal::SlowMode(millis) => {
                let message = format!("slow mode: wait {} s before the next message", millis.div_ceil(1_000));
                return Self::new(ErrorCode::SlowMode, message).retry_after(millis);
            }
            Refusal::Archived => (ErrorCode::Archived, "the conversation is archived"),
            Refusal::Forbidden => (ErrorCode::Forbidden, "you may not do this"),
            Refusal::WrongKind => (ErrorCode::WrongKind, "not possible in a conversation of this kind"),
            Refusal::LastOwner => (ErrorCode::LastOwner, "the last owner must make somebody else an owner first"),
            Refusal::MessageDeleted => (ErrorCode::MessageDeleted, "the message is deleted"),
            Refusal::EditWindowPassed => (ErrorCode::EditWindowPassed, "the message is too old to be edited"),
            Refusal::PinsFull(most) => {
                let message = format!("a conversation has at most {most} pinned messages");
                return Self::new(ErrorCode::LimitReached, message);
            }
            Refusal::EmojiFull => {
                let message = format!("a message has at most {REACTION_EMOJI_MAX} different emoji");
                return Self::new(ErrorCode::LimitReached, message);
            }
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

/// Sending, now.
pub(crate) fn send(conversation: &LockedConversation, actor: &LockedParticipant, now: Timestamp) -> Verdict {
    open(conversation)?;
    if conversation.posting == Posting::Admins && actor.role < Role::Admin {
        return Err(Refusal::PostingRestricted);
    }
    slow_mode(conversation, actor, now)
}

/// In slow mode a member waits between two messages; admins do not.
fn slow_mode(conversation: &LockedConversation, actor: &LockedParticipant, now: Timestamp) -> Verdict {
    let pause = i64::from(conversation.slow_mode_seconds) * 1_000;
    let Some(last) = actor.last_sent_at.filter(|_| actor.role < Role::Admin) else { return Ok(()) };
    // Another node's clock may be ahead of this one's: nobody waits longer than the pause for that.
    let left = (last.unix_millis() + pause - now.unix_millis()).min(pause);
    if left > 0 { Err(Refusal::SlowMode(left.unsigned_abs())) } else { Ok(()) }
}

/// Mentioning everybody: admins, where there are any.
pub(crate) fn mention_everybody(conversation: &LockedConversation, actor: &LockedParticipant) -> Verdict {
    if conversation.kind == ConversationKind::Direct { Err(Refusal::Forbidden) } else { at_least(actor, Role::Admin) }
}

/// Whether anything may be said here at all.
fn open(conversation: &LockedConversation) -> Verdict {
    if conversation.archived_at.is_some() {
        Err(Refusal::Archived)
    } else if conversation.blocked {
        Err(Refusal::Blocked)
    } else {
        Ok(())
    }
}

/// Whether the participant may see the message at all.
pub(crate) fn sees(actor: &LockedParticipant, message: &Message) -> bool {
    message.seq > actor.access_since_seq
}

/// Editing a message that the actor sees: one's own text, within `window` seconds (0: for ever). Where one has blocked
/// the other an edit would be a new message: what was written may be deleted.
pub(crate) fn edit(
    conversation: &LockedConversation,
    actor: UserId,
    message: &Message,
    now: Timestamp,
    window: u64,
) -> Verdict {
    let age = now.unix_millis().saturating_sub(message.created_at.unix_millis());
    if message.kind == MessageKind::System || message.sender.id != actor {
        Err(Refusal::Forbidden)
    } else if message.deleted_at.is_some() {
        Err(Refusal::MessageDeleted)
    } else if let Err(silent) = open(conversation) {
        Err(silent)
    } else if window > 0 && u64::try_from(age).is_ok_and(|age| age > window.saturating_mul(1_000)) {
        Err(Refusal::EditWindowPassed)
    } else {
        Ok(())
    }
}

/// Reacting to a message that the actor sees, or taking it back: to texts, whoever may post.
pub(crate) fn react(conversation: &LockedConversation, message: &Message) -> Verdict {
    if message.kind == MessageKind::System {
        Err(Refusal::Forbidden)
    } else if message.deleted_at.is_some() {
        Err(Refusal::MessageDeleted)
    } else {
        open(conversation)
    }
}

/// Pinning a text that the actor sees, or unpinning it: between two people both, else admins.
pub(crate) fn pin(conversation: &LockedConversation, actor: &LockedParticipant, message: &Message) -> Verdict {
    if conversation.kind != ConversationKind::Direct {
        at_least(actor, Role::Admin)?;
    }
    if message.kind == MessageKind::System {
        Err(Refusal::Forbidden)
    } else if message.deleted_at.is_some() {
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

/// Changing title, description, picture or policy, archiving: admins.
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
