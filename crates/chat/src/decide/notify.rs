//! Who is notified of what a batch does: of a mention by name, of a reply, of being added. Pure, over the settings and
//! blocks that were read under the lock. Says nothing of plain messages and of `@all`: those are derived by readers.

use protocol::{MessageId, NotificationId, NotificationKind, Notify, Timestamp, UserId};
use sha2::{Digest, Sha256};
use store::{Locked, StoredMention, WriteNotification};
use uuid::Builder;

use super::draft::Draft;
use crate::change::{NewMessage, Request};

/// Of a new message: those it mentions, the one it replies to, the one who began its thread; each at most once, and a
/// mention before a reply.
pub(super) fn of_message(draft: &mut Draft<'_>, request: &Request, new: &NewMessage, mentions: &[StoredMention]) {
    let sender_of = |id: Option<MessageId>| id.and_then(|id| draft.message(id)).map(|message| message.sender.id);
    let replied = [sender_of(new.reply_to), sender_of(new.thread_root)];
    let mentioned = mentions.iter().filter_map(|mention| mention.user);
    let wanted = mentioned
        .map(|user| (user, NotificationKind::Mention))
        .chain(replied.into_iter().flatten().map(|user| (user, NotificationKind::Reply)));
    let mut told: Vec<(UserId, NotificationKind)> = Vec::new();
    for (user, kind) in wanted {
        let twice = told.iter().any(|(other, _)| *other == user);
        if !twice && !new.focused.contains(&user) && wants_messages(draft, request, user) {
            told.push((user, kind));
        }
    }
    for (user, kind) in told {
        draft.notify(notification(request, user, kind, draft.now));
    }
}

/// Of being added. The conversation's own settings are new and say nothing yet.
pub(super) fn of_added(draft: &mut Draft<'_>, request: &Request, added: &[UserId]) {
    for user in added {
        if may_be_told(draft.locked, *user, request.actor, draft.now) {
            draft.notify(notification(request, *user, NotificationKind::Added, draft.now));
        }
    }
}

/// Whether a participant wants to hear of messages here.
fn wants_messages(draft: &Draft<'_>, request: &Request, user: UserId) -> bool {
    let row = draft.participant(request.conversation, user).filter(|row| row.active);
    row.is_some_and(|row| row.notify != Notify::None && row.muted_until.is_none_or(|until| until <= draft.now))
        && may_be_told(draft.locked, user, request.actor, draft.now)
}

/// Whether a user wants to hear of anything that the actor does. Nobody hears of what they did themselves.
pub(crate) fn may_be_told(locked: &Locked, user: UserId, actor: UserId, now: Timestamp) -> bool {
    let wants = locked.preferences.get(&user).is_none_or(|preferences| {
        preferences.notify != Notify::None && preferences.muted_until.is_none_or(|until| until <= now)
    });
    let enabled = locked.users.get(&user).is_some_and(|user| user.disabled_at.is_none());
    user != actor && wants && enabled && !locked.blocks.contains(&(user, actor))
}

fn notification(request: &Request, user: UserId, kind: NotificationKind, at: Timestamp) -> WriteNotification {
    WriteNotification {
        id: id(request.message_id, user, at),
        user_id: user,
        kind,
        conversation_id: request.conversation,
        message_id: request.message_id,
        actor_id: request.actor,
        at,
    }
}

/// The same for the same message and user: deciding again decides the same. A UUIDv7 as all ids are, whose random part
/// is as random as the message's.
pub(crate) fn id(message: MessageId, user: UserId, at: Timestamp) -> NotificationId {
    let hash = Sha256::new().chain_update(message.0.as_bytes()).chain_update(user.0.as_bytes()).finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(at.unix_millis()).unwrap_or_default();
    NotificationId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}
