//! What a batch of changes does, decided while the store holds the conversations' locks. Pure: the same requests
//! and rows give the same writes, so the store may ask again.
//!
//! Requests are walked in order of arrival, each against what the ones before it left: a removal forbids the
//! removed one's next message, two sends with one `client_id` are one. A refused request changes nothing and
//! harms no neighbour. Each durable change takes the conversation's next seq, so a batch leaves no hole.

mod draft;

use protocol::{ConversationPatch, ErrorCode, MessageId, Role, SystemChange, Timestamp, UserId};
use store::{Locked, LockedParticipant, MessageUpdate, Writes};

use self::draft::{Draft, Sent};
use crate::{
    ChatError,
    change::{Kind, Outcome, Request},
    policy::{self, Refusal},
};

type Decided = Result<Outcome, ChatError>;

/// What the batch writes, and what becomes of each request, in their order.
pub(crate) fn decide<'a>(
    requests: impl IntoIterator<Item = &'a Request>,
    now: Timestamp,
    locked: &Locked,
) -> (Writes, Vec<Outcome>) {
    let mut draft = Draft::new(locked, now);
    let outcomes = requests
        .into_iter()
        .map(|request| one(&mut draft, request).unwrap_or_else(|error| Outcome::Refused(Box::new(error))))
        .collect();
    (draft.finish(), outcomes)
}

fn one(draft: &mut Draft<'_>, request: &Request) -> Decided {
    if request.again
        && let Some(done) = draft.locked.messages.get(&request.message_id)
    {
        // The first try was committed, only its answer was lost.
        return Ok(Outcome::Found(Box::new(done.clone())));
    }
    match &request.kind {
        Kind::Send { content, client_id, reply_to, fingerprint } => {
            send(draft, request, content, client_id.as_ref(), *reply_to, fingerprint)
        }
        Kind::Edit { message, content } => edit(draft, request, *message, content),
        Kind::Delete { message } => delete(draft, request, *message),
        Kind::Pin { .. } | Kind::React { .. } => Err(ChatError::new(ErrorCode::Internal, "not there yet")),
        Kind::AddParticipants { users } => add(draft, request, users),
        Kind::RemoveParticipant { user } if *user == request.actor => leave(draft, request),
        Kind::RemoveParticipant { user } => remove(draft, request, *user),
        Kind::Join => join(draft, request),
        Kind::SetRole { user, role } => set_role(draft, request, *user, *role),
        Kind::Update { patch } => update(draft, request, patch),
        Kind::DeleteConversation => close(draft, request),
    }
}

fn send(
    draft: &mut Draft<'_>,
    request: &Request,
    content: &str,
    client_id: Option<&String>,
    reply_to: Option<MessageId>,
    fingerprint: &[u8],
) -> Decided {
    let actor = actor(draft, request)?;
    // Before the right to post: a retry is not a new message, and gets the first one's answer.
    let key = client_id.map(|id| (request.conversation, request.actor, id.clone()));
    if let Some(key) = &key {
        if let Some(first) = draft.locked.by_client_id.get(key) {
            same(fingerprint, &first.fingerprint)?;
            return Ok(Outcome::Found(Box::new(first.message.clone())));
        }
        if let Some(first) = draft.sent.get(key) {
            same(fingerprint, &first.fingerprint)?;
            return Ok(Outcome::InBatch(first.message));
        }
    }
    policy::send(draft.conversation(request.conversation)?, &actor)?;
    if let Some(target) = reply_to {
        let quoted = draft.locked.messages.get(&target);
        let quoted = quoted.filter(|m| m.conversation_id == request.conversation && policy::sees(&actor, m));
        let quoted = quoted.filter(|m| m.kind != protocol::MessageKind::System);
        let Some(quoted) = quoted else {
            return Err(ChatError::field("reply_to_id", "is not a message of this conversation"));
        };
        if draft.is_deleted(quoted) {
            return Err(Refusal::MessageDeleted.into());
        }
    }
    draft.insert_text(request, content, client_id, reply_to, fingerprint)?;
    if let Some(key) = key {
        draft.sent.insert(key, Sent { message: request.message_id, fingerprint: fingerprint.to_vec() });
    }
    Ok(Outcome::Inserted(request.message_id))
}

fn same(now: &[u8], then: &[u8]) -> Result<(), ChatError> {
    if now == then {
        return Ok(());
    }
    Err(ChatError::new(ErrorCode::IdempotencyConflict, "this client_id was used before with another message"))
}

fn edit(draft: &mut Draft<'_>, request: &Request, id: MessageId, content: &str) -> Decided {
    let message = visible(draft, request, id)?.0;
    policy::edit(draft.conversation(request.conversation)?, request.actor, message, draft.is_deleted(message))?;
    let update = MessageUpdate::Edit { content: content.to_owned(), mentions: Vec::new() };
    Ok(Outcome::Updated(Box::new(draft.change_message(request.conversation, id, update)?)))
}

fn delete(draft: &mut Draft<'_>, request: &Request, id: MessageId) -> Decided {
    let (message, actor) = visible(draft, request, id)?;
    policy::delete(draft.conversation(request.conversation)?, request.actor, &actor, message)?;
    if draft.deleted_here(id) {
        return Ok(Outcome::InBatch(id));
    }
    if message.deleted_at.is_some() {
        return Ok(Outcome::Found(Box::new(message.clone())));
    }
    Ok(Outcome::Updated(Box::new(draft.change_message(request.conversation, id, MessageUpdate::Delete)?)))
}

fn add(draft: &mut Draft<'_>, request: &Request, users: &[UserId]) -> Decided {
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
        if !takes_part && added.iter().all(|other| other.id != *id) {
            added.push(user.into());
        }
    }
    if added.is_empty() {
        return Ok(Outcome::Quiet);
    }
    let ids: Vec<_> = added.iter().map(|user| user.id).collect();
    let seq = draft.insert_system(request, SystemChange::ParticipantAdded { users: added })?;
    for user in ids {
        draft.join(request.conversation, user, Role::Member, seq, false)?;
    }
    Ok(Outcome::Inserted(request.message_id))
}

fn join(draft: &mut Draft<'_>, request: &Request) -> Decided {
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

fn leave(draft: &mut Draft<'_>, request: &Request) -> Decided {
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

fn remove(draft: &mut Draft<'_>, request: &Request, user: UserId) -> Decided {
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

fn set_role(draft: &mut Draft<'_>, request: &Request, user: UserId, role: Role) -> Decided {
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

fn update(draft: &mut Draft<'_>, request: &Request, patch: &ConversationPatch) -> Decided {
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::update(conversation, &actor)?;
    let patch = ConversationPatch {
        title: patch.title.clone().filter(|title| conversation.title.as_ref() != Some(title)),
        posting: patch.posting.filter(|posting| *posting != conversation.posting),
        ..patch.clone()
    };
    if patch == ConversationPatch::default() {
        return Ok(Outcome::Quiet);
    }
    let seq = draft.insert_system(request, SystemChange::ConversationUpdated { changes: patch.clone() })?;
    draft.patch(request.conversation, patch, seq)?;
    Ok(Outcome::Inserted(request.message_id))
}

fn close(draft: &mut Draft<'_>, request: &Request) -> Decided {
    let actor = actor(draft, request)?;
    policy::delete_conversation(draft.conversation(request.conversation)?, &actor)?;
    let seq = draft.insert_system(request, SystemChange::ConversationDeleted)?;
    draft.close(request.conversation, seq)?;
    Ok(Outcome::Inserted(request.message_id))
}

/// The actor's row, when they take part.
fn actor(draft: &Draft<'_>, request: &Request) -> Result<LockedParticipant, Refusal> {
    let org = org(draft, request.actor)?;
    let row = draft.participant(request.conversation, request.actor);
    policy::taking_part(draft.conversation(request.conversation)?, org, row).cloned()
}

fn org(draft: &Draft<'_>, user: UserId) -> Result<protocol::OrgId, Refusal> {
    let user = draft.locked.users.get(&user).ok_or(Refusal::NotFound)?;
    if user.disabled_at.is_some() { Err(Refusal::Disabled) } else { Ok(user.org_id) }
}

/// A message that the actor sees, as it was before the batch, and the actor's row.
fn visible<'a>(
    draft: &Draft<'a>,
    request: &Request,
    id: MessageId,
) -> Result<(&'a protocol::Message, LockedParticipant), Refusal> {
    let actor = actor(draft, request).map_err(|refusal| match refusal {
        Refusal::NotFound => Refusal::NoSuchMessage,
        other => other,
    })?;
    let message = draft.locked.messages.get(&id).filter(|m| m.conversation_id == request.conversation);
    let message = message.filter(|m| policy::sees(&actor, m)).ok_or(Refusal::NoSuchMessage)?;
    Ok((message, actor))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
