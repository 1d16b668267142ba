//! Decisions about who takes part: adding, joining, leaving, removing, roles.

use protocol::{Role, SystemChange, UserId};

use super::{Decided, actor, draft::Draft, notify, org};
use crate::{
    ChatError,
    change::{Outcome, Request},
    policy::{self, Refusal},
};

pub(super) fn add(draft: &mut Draft<'_>, request: &Request, users: &[UserId]) -> Decided {
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::add(conversation, &actor)?;
    let org = conversation.org_id;
    let mut added: Vec<protocol::Sender> = Vec::new();
    for id in users {
        let Some(user) = draft.locked.users.get(id).filter(|user| user.org_id == org) else {
            return Err(ChatError::field("user_ids", format!("names {id}, who does not exist")));
        };
        let takes_part = draft.participant(request.conversation, *id).is_some_and(|row| row.active);
        if !takes_part && user.disabled_at.is_some() {
            return Err(ChatError::field("user_ids", format!("names {id}, who is disabled")));
        }
        if !takes_part && added.iter().all(|other| other.id != *id) {
            added.push(user.into());
        }
    }
    if added.is_empty() {
        return Ok(Outcome::Quiet);
    }
    let ids: Vec<_> = added.iter().map(|user| user.id).collect();
    let seq = draft.insert_system(request, SystemChange::ParticipantAdded { users: added })?;
    for user in &ids {
        draft.join(request.conversation, *user, Role::Member, seq, false)?;
    }
    notify::of_added(draft, request, &ids);
    Ok(Outcome::Inserted(request.message_id))
}

pub(super) fn join(draft: &mut Draft<'_>, request: &Request) -> Decided {
    let org = org(draft, request.actor)?;
    let conversation = draft.conversation(request.conversation)?;
    let row = draft.participant(request.conversation, request.actor);
    if policy::taking_part(conversation, org, row).is_ok() {
        return if conversation.kind == protocol::ConversationKind::Public {
            Ok(Outcome::Quiet)
        } else {
            Err(Refusal::WrongKind.into())
        };
    }
    policy::join(conversation, org)?;
    // A room that everybody left has nobody to look after it: it belongs to the next one who comes.
    let role = if conversation.participant_count == 0 { Role::Owner } else { Role::Member };
    let head = conversation.last_seq;
    draft.join(request.conversation, request.actor, role, head, true)?;
    Ok(Outcome::Quiet)
}

pub(super) fn leave(draft: &mut Draft<'_>, request: &Request) -> Decided {
    let gone = draft.participant(request.conversation, request.actor).is_some_and(|row| !row.active);
    if request.again && gone {
        return Ok(Outcome::Quiet);
    }
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::leave(conversation, &actor)?;
    if policy::quiet(conversation) {
        let head = conversation.last_seq;
        draft.leave(request.conversation, request.actor, head)?;
        return Ok(Outcome::Quiet);
    }
    take_out(draft, request, request.actor)
}

pub(super) fn remove(draft: &mut Draft<'_>, request: &Request, user: UserId) -> Decided {
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    let target = draft.participant(request.conversation, user);
    // Who may remove nobody learns nothing about who takes part.
    policy::remove(conversation, &actor, target.map_or(Role::Member, |row| row.role))?;
    match target {
        None => Err(Refusal::NoSuchParticipant.into()),
        Some(row) if !row.active => Ok(Outcome::Quiet),
        Some(_) => take_out(draft, request, user),
    }
}

fn take_out(draft: &mut Draft<'_>, request: &Request, user: UserId) -> Decided {
    let system = SystemChange::ParticipantRemoved { user: draft.sender(user)? };
    let seq = draft.insert_system(request, system)?;
    draft.leave(request.conversation, user, seq)?;
    Ok(Outcome::Inserted(request.message_id))
}

pub(super) fn set_role(draft: &mut Draft<'_>, request: &Request, user: UserId, role: Role) -> Decided {
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    let target = draft.participant(request.conversation, user).filter(|row| row.active);
    policy::set_role(conversation, &actor)?;
    let target = target.ok_or(Refusal::NoSuchParticipant)?;
    policy::keeps_an_owner(conversation, target, role)?;
    if target.role == role {
        return Ok(Outcome::Quiet);
    }
    let system = SystemChange::ParticipantUpdated { user: draft.sender(user)?, role };
    let seq = draft.insert_system(request, system)?;
    draft.set_role(request.conversation, user, role, seq)?;
    Ok(Outcome::Inserted(request.message_id))
}
