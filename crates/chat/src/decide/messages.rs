//! Decisions about messages: sending, editing, deleting, pinning, reacting.

use protocol::{MENTIONS_MAX, Message, MessageId, MessageKind, REACTION_EMOJI_MAX, ReactionChange};
use store::{LockedParticipant, MessageUpdate, StoredMention};

use super::{
    Decided, actor,
    draft::{Draft, Sent},
    notify,
};
use crate::{
    ChatError,
    change::{NewMessage, Outcome, Reacted, Request, Updated},
    mentions::{self, Mentions},
    policy::{self, Refusal},
};

pub(super) fn send(draft: &mut Draft<'_>, request: &Request, new: &NewMessage) -> Decided {
    let actor = actor(draft, request)?;
    // Before the right to post: a retry is not a new message, and gets the first one's answer.
    let key = new.client_id.clone().map(|id| (request.conversation, request.actor, id));
    if let Some(key) = &key {
        if let Some(first) = draft.locked.by_client_id.get(key) {
            same(&new.fingerprint, &first.fingerprint)?;
            return Ok(Outcome::Found(Box::new(first.message.clone())));
        }
        if let Some(first) = draft.sent.get(key) {
            same(&new.fingerprint, &first.fingerprint)?;
            return Ok(Outcome::InBatch(first.message));
        }
    }
    policy::send(draft.conversation(request.conversation)?, &actor, draft.now)?;
    if let Some(id) = new.reply_to {
        referred(draft, request, &actor, "reply_to_id", id)?;
    }
    if let Some(id) = new.thread_root {
        let root = referred(draft, request, &actor, "thread_root_id", id)?;
        if root.thread_root_id.is_some() {
            return Err(ChatError::field("thread_root_id", "is itself in a thread"));
        }
    }
    let mentions = mentions(draft, request, &actor, &new.mentions, None)?;
    notify::of_message(draft, request, new, &mentions);
    draft.insert_text(request, new, mentions)?;
    if let Some(key) = key {
        draft.sent.insert(key, Sent { message: request.message_id, fingerprint: new.fingerprint.clone() });
    }
    Ok(Outcome::Inserted(request.message_id))
}

fn same(now: &[u8], then: &[u8]) -> Result<(), ChatError> {
    if now == then {
        return Ok(());
    }
    Err(ChatError::new(protocol::ErrorCode::IdempotencyConflict, "this client_id was used before with another message"))
}

/// A text of this conversation that the actor sees and that is still there.
fn referred<'d>(
    draft: &'d Draft<'_>,
    request: &Request,
    actor: &LockedParticipant,
    field: &str,
    id: MessageId,
) -> Result<&'d Message, ChatError> {
    let message = draft.message(id).filter(|m| m.conversation_id == request.conversation && policy::sees(actor, m));
    let Some(message) = message.filter(|m| m.kind != MessageKind::System) else {
        return Err(ChatError::field(field, "is not a message of this conversation"));
    };
    if message.deleted_at.is_some() { Err(Refusal::MessageDeleted.into()) } else { Ok(message) }
}

/// The mentions that are allowed here; for those that the sender named, all of them or an error. An edit (the message
/// as it is, its new content) may keep those whom the message mentions already, whether they still take part or not.
fn mentions(
    draft: &Draft<'_>,
    request: &Request,
    actor: &LockedParticipant,
    wanted: &Mentions,
    edit: Option<(&Message, &str)>,
) -> Result<Vec<StoredMention>, ChatError> {
    let takes_part = |user| draft.participant(request.conversation, user).is_some_and(|row| row.active);
    let mentioned = |id| {
        let mut before = edit.iter().flat_map(|(message, _)| &message.mentions).filter_map(|m| m.user.as_ref());
        before.any(|user| user.id == id)
    };
    let everybody = policy::mention_everybody(draft.conversation(request.conversation)?, actor);
    match wanted {
        Mentions::Named(ranges) => {
            let mut mentions = Vec::with_capacity(ranges.len());
            for range in ranges {
                match range.user_id {
                    None => everybody?,
                    Some(user) if takes_part(user) || mentioned(user) => {}
                    Some(user) => {
                        return Err(ChatError::field("mentions", format!("names {user}, who does not take part")));
                    }
                }
                mentions.push(StoredMention { offset: range.offset, length: range.length, user: range.user_id });
            }
            Ok(mentions)
        }
        Mentions::Found(found) => {
            let allowed = found.iter().filter_map(|found| {
                let user = if found.everybody && everybody.is_ok() {
                    None
                } else {
                    Some(found.user.filter(|user| takes_part(*user))?)
                };
                Some(StoredMention { offset: found.offset, length: found.length, user })
            });
            let mut mentions: Vec<_> = allowed.collect();
            for kept in edit.map(|(message, content)| mentions::kept(message, content)).unwrap_or_default() {
                if mentions.iter().all(|other| other.offset != kept.offset) {
                    mentions.push(StoredMention { offset: kept.offset, length: kept.length, user: kept.user });
                }
            }
            mentions.sort_by_key(|mention| mention.offset);
            mentions.truncate(MENTIONS_MAX);
            Ok(mentions)
        }
    }
}

pub(super) fn edit(
    draft: &mut Draft<'_>,
    request: &Request,
    id: MessageId,
    content: &str,
    wanted: &Mentions,
) -> Decided {
    let (message, actor) = visible(draft, request, id)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::edit(conversation, request.actor, &message, draft.now, draft.limits.edit_window_seconds)?;
    if content.is_empty() && message.attachments.is_empty() {
        return Err(ChatError::field("content", "must not be empty"));
    }
    let mentions = mentions(draft, request, &actor, wanted, Some((&message, content)))?;
    let before = message.mentions.iter().map(|mention| StoredMention {
        offset: mention.offset,
        length: mention.length,
        user: mention.user.as_ref().map(|user| user.id),
    });
    if message.content == content && before.eq(mentions.iter().copied()) {
        return Ok(unchanged(draft, message));
    }
    let update = MessageUpdate::Edit { content: content.to_owned(), mentions };
    change(draft, message, update, None)
}

pub(super) fn delete(draft: &mut Draft<'_>, request: &Request, id: MessageId) -> Decided {
    let (message, actor) = visible(draft, request, id)?;
    policy::delete(draft.conversation(request.conversation)?, request.actor, &actor, &message)?;
    if message.deleted_at.is_some() {
        return Ok(unchanged(draft, message));
    }
    change(draft, message, MessageUpdate::Delete, None)
}

pub(super) fn pin(draft: &mut Draft<'_>, request: &Request, id: MessageId, pinned: bool) -> Decided {
    let (message, actor) = visible(draft, request, id)?;
    let conversation = draft.conversation(request.conversation)?;
    policy::pin(conversation, &actor, &message)?;
    if message.pinned_at.is_some() == pinned {
        return Ok(unchanged(draft, message));
    }
    if pinned && conversation.pin_count >= draft.limits.pins {
        return Err(Refusal::PinsFull(draft.limits.pins).into());
    }
    change(draft, message, MessageUpdate::Pin(pinned), None)
}

pub(super) fn react(draft: &mut Draft<'_>, request: &Request, id: MessageId, emoji: &str, add: bool) -> Decided {
    let message = visible(draft, request, id)?.0;
    policy::react(draft.conversation(request.conversation)?, &message)?;
    let user = request.actor;
    if draft.reacts(message.id, user, emoji) == add {
        return Ok(unchanged(draft, message));
    }
    let new = message.reactions.iter().all(|reaction| reaction.emoji != emoji);
    if add && new && message.reactions.len() >= REACTION_EMOJI_MAX {
        return Err(Refusal::EmojiFull.into());
    }
    let reacted = Reacted { change: ReactionChange { user_id: user, emoji: emoji.to_owned() }, added: add };
    let emoji = emoji.to_owned();
    let update = if add { MessageUpdate::React { user, emoji } } else { MessageUpdate::Unreact { user, emoji } };
    change(draft, message, update, Some(reacted))
}

fn change(draft: &mut Draft<'_>, message: Message, update: MessageUpdate, reaction: Option<Reacted>) -> Decided {
    let message = draft.change_message(message, update)?;
    Ok(Outcome::Updated(Box::new(Updated { message, reaction })))
}

/// The message is as it should be already.
fn unchanged(draft: &Draft<'_>, message: Message) -> Outcome {
    if draft.changed_here(message.id) { Outcome::InBatch(message.id) } else { Outcome::Found(Box::new(message)) }
}

/// A message that the actor sees, as it is by now, and the actor's row.
fn visible(draft: &Draft<'_>, request: &Request, id: MessageId) -> Result<(Message, LockedParticipant), Refusal> {
    let actor = actor(draft, request).map_err(|refusal| match refusal {
        Refusal::NotFound => Refusal::NoSuchMessage,
        other => other,
    })?;
    let message = draft.message(id).filter(|m| m.conversation_id == request.conversation);
    let message = message.filter(|m| policy::sees(&actor, m)).ok_or(Refusal::NoSuchMessage)?;
    Ok((message.clone(), actor))
}
