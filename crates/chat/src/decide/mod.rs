//! What a batch of changes does, decided while the store holds the conversations' locks. Pure: the same requests
//! and rows give the same writes, so the store may ask again.
//!
//! Requests are walked in order of arrival, each against what the ones before it left: a removal forbids the
//! removed one's next message, two sends with one `client_id` are one. A refused request changes nothing and
//! harms no neighbour. Each durable change takes the conversation's next seq, so a batch leaves no hole.

mod draft;
mod members;
mod messages;
mod notify;
mod state;

use protocol::{ConversationPatch, Limits, SystemChange, Timestamp, UserId};
use store::{Locked, LockedParticipant, Writes};

pub(crate) use self::notify::{id as notification_id, may_be_told};

use self::draft::Draft;
use crate::{
    ChatError,
    change::{Kind, Outcome, Request},
    policy::{self, Refusal},
};

type Decided = Result<Outcome, ChatError>;

/// What the batch writes, and what becomes of each request, in their order.
pub(crate) fn decide<'a>(
    requests: impl IntoIterator<Item = &'a Request>,
    limits: &Limits,
    now: Timestamp,
    locked: &Locked,
) -> (Writes, Vec<Outcome>) {
    let mut draft = Draft::new(locked, limits, now);
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
        Kind::Send(new) => messages::send(draft, request, new),
        Kind::Edit { message, content, mentions } => messages::edit(draft, request, *message, content, mentions),
        Kind::Delete { message } => messages::delete(draft, request, *message),
        Kind::Pin { message, pinned } => messages::pin(draft, request, *message, *pinned),
        Kind::React { message, emoji, add } => messages::react(draft, request, *message, emoji, *add),
        Kind::AddParticipants { users } => members::add(draft, request, users),
        Kind::RemoveParticipant { user } if *user == request.actor => members::leave(draft, request),
        Kind::RemoveParticipant { user } => members::remove(draft, request, *user),
        Kind::Join => members::join(draft, request),
        Kind::SetRole { user, role } => members::set_role(draft, request, *user, *role),
        Kind::Update { patch } => update(draft, request, patch),
        Kind::DeleteConversation => close(draft, request),
    }
}

fn update(draft: &mut Draft<'_>, request: &Request, patch: &ConversationPatch) -> Decided {
    let actor = actor(draft, request)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::update(conversation, &actor)?;
    if let Some(archived) = patch.archived {
        return archive(draft, request, archived);
    }
    let patch = ConversationPatch {
        title: patch.title.clone().filter(|title| conversation.title.as_ref() != Some(title)),
        description: patch.description.clone().filter(|text| *text != conversation.description),
        avatar_url: patch.avatar_url.clone().filter(|url| *url != conversation.avatar_url),
        posting: patch.posting.filter(|posting| *posting != conversation.posting),
        slow_mode_seconds: patch.slow_mode_seconds.filter(|pause| *pause != conversation.slow_mode_seconds),
        ..patch.clone()
    };
    if patch == ConversationPatch::default() {
        return Ok(Outcome::Quiet);
    }
    let seq = draft.insert_system(request, SystemChange::ConversationUpdated { changes: patch.clone() })?;
    draft.patch(request.conversation, patch, seq)?;
    Ok(Outcome::Inserted(request.message_id))
}

fn archive(draft: &mut Draft<'_>, request: &Request, archived: bool) -> Decided {
    if draft.conversation(request.conversation)?.archived_at.is_some() == archived {
        return Ok(Outcome::Quiet);
    }
    let system = if archived { SystemChange::ConversationArchived } else { SystemChange::ConversationUnarchived };
    draft.insert_system(request, system)?;
    draft.archive(request.conversation, archived)?;
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

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod notify_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
