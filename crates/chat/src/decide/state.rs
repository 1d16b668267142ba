//! A message's state after a change, worked out from the state before it. What the store reads back after the commit is
//! what counts; this is for a message that changes more than once within one batch, each time as an event of its own.

use protocol::{Mention, Message, REACTION_USERS_SHOWN, Reaction, Sender, User, UserId};
use store::{IdMap, MessageUpdate, StoredMention, UpdateMessage};

/// Lays the change over the message. `users` has those who are mentioned, unless they were mentioned before.
pub(super) fn apply(message: &mut Message, change: &UpdateMessage, users: &IdMap<UserId, User>) {
    message.changed_seq = change.changed_seq;
    match &change.update {
        MessageUpdate::Edit { content, mentions } => {
            message.content.clone_from(content);
            message.mentions = mentions.iter().filter_map(|mention| shown(mention, users, &message.mentions)).collect();
            message.edited_at = Some(change.at);
        }
        MessageUpdate::Delete => {
            message.content.clear();
            message.mentions.clear();
            message.attachments.clear();
            message.reactions.clear();
            message.pinned_at = None;
            message.deleted_at = Some(change.at);
        }
        MessageUpdate::Pin(pinned) => message.pinned_at = pinned.then_some(change.at),
        MessageUpdate::React { user, emoji } => react(&mut message.reactions, *user, emoji),
        MessageUpdate::Unreact { user, emoji } => unreact(&mut message.reactions, *user, emoji),
    }
}

/// A mention with the name that is shown for it.
fn shown(mention: &StoredMention, users: &IdMap<UserId, User>, before: &[Mention]) -> Option<Mention> {
    let user = match mention.user {
        None => None,
        Some(id) => Some(users.get(&id).map(Sender::from).or_else(|| {
            let mut before = before.iter().filter_map(|mention| mention.user.as_ref());
            before.find(|user| user.id == id).cloned()
        })?),
    };
    Some(Mention { offset: mention.offset, length: mention.length, user })
}

fn react(reactions: &mut Vec<Reaction>, user: UserId, emoji: &str) {
    let at = reactions.iter().position(|reaction| reaction.emoji == emoji).unwrap_or_else(|| {
        reactions.push(Reaction { emoji: emoji.to_owned(), count: 0, user_ids: Vec::new(), mine: None });
        reactions.len() - 1
    });
    let reaction = &mut reactions[at];
    reaction.count += 1;
    if reaction.user_ids.len() < REACTION_USERS_SHOWN {
        reaction.user_ids.push(user);
    }
}

fn unreact(reactions: &mut Vec<Reaction>, user: UserId, emoji: &str) {
    if let Some(reaction) = reactions.iter_mut().find(|reaction| reaction.emoji == emoji) {
        reaction.count = reaction.count.saturating_sub(1);
        reaction.user_ids.retain(|id| *id != user);
    }
    reactions.retain(|reaction| reaction.count > 0);
}
