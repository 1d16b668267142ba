//! Acknowledged changes show in the present state: texts, deletions, reactions, pins, read markers, memberships.
//!
//! Each is a register with a key. It is judged when the last deed on it was acknowledged and nothing else on it can
//! have come after: no answer was lost, and no two overlapped.

use std::{collections::HashMap, hash::Hash};

use protocol::Message;

use super::{Act, Deed, Kind, Log, Truth, Violation};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    let messages = truth.conversations.values().flat_map(|history| history.messages.values());
    let messages: HashMap<_, &Message> = messages.map(|message| (message.id, message)).collect();
    let lost = |act: &Act, what: String| {
        let violation = Violation::new(Kind::Lost, what).user(act.user).of(act.deed.conversation()).at(act.until);
        match act.deed.message() {
            Some(message) => violation.message(message),
            None => violation,
        }
    };

    for act in log.acts.iter().filter(|act| act.is_done()) {
        if let Deed::Delete { message, .. } = &act.deed
            && messages.get(message).is_some_and(|message| message.deleted_at.is_none())
        {
            found.push(lost(act, "a deletion was acknowledged, and the message is there".into()));
        }
    }
    let texts = last(log, |deed| match deed {
        Deed::Edit { message, .. } | Deed::Delete { message, .. } => Some(*message),
        _ => None,
    });
    for act in texts {
        let Deed::Edit { message, content, .. } = &act.deed else { continue };
        if let Some(kept) = messages.get(message).filter(|kept| kept.deleted_at.is_none() && kept.content != *content) {
            found.push(lost(act, format!("the text {content:?} was acknowledged, {:?} is stored", kept.content)));
        }
    }
    let reactions = last(log, |deed| match deed {
        Deed::React { message, emoji, .. } => Some((*message, emoji.clone())),
        _ => None,
    });
    for act in reactions {
        let Deed::React { message, emoji, on, .. } = &act.deed else { continue };
        let Some(kept) = messages.get(message).filter(|kept| kept.deleted_at.is_none()) else { continue };
        let shown = kept.reactions.iter().find(|reaction| reaction.emoji == *emoji);
        // The first 50 are named.
        let full = shown.is_some_and(|reaction| reaction.count > reaction.user_ids.len() as u64);
        if !full && shown.is_some_and(|reaction| reaction.user_ids.contains(&act.user)) != *on {
            found
                .push(lost(act, format!("{emoji} {} was acknowledged, and is not so", if *on { "on" } else { "off" })));
        }
    }
    let pins = last(log, |deed| match deed {
        Deed::Pin { message, .. } => Some(*message),
        _ => None,
    });
    for act in pins {
        let Deed::Pin { message, on, .. } = &act.deed else { continue };
        let kept = messages.get(message).filter(|kept| kept.deleted_at.is_none());
        if kept.is_some_and(|kept| kept.pinned_at.is_some() != *on) {
            found.push(lost(act, format!("pinned: {on} was acknowledged, and is not so")));
        }
    }
    for act in log.acts.iter().filter(|act| act.is_done()) {
        let Deed::Read { conversation, seq } = &act.deed else { continue };
        let (Some(theirs), Some(history)) = (truth.users.get(&act.user), truth.conversations.get(conversation)) else {
            continue;
        };
        let own =
            |receipt: &&protocol::Receipt| receipt.user_id == act.user && receipt.conversation_id == *conversation;
        // "Read up to here" means up to the last message at or before it.
        let place = history.messages.range(..=seq).next_back().map_or(0, |(place, _)| *place);
        if let Some(kept) = theirs.receipts.iter().find(own).filter(|kept| kept.read_seq < place) {
            found.push(lost(act, format!("read up to {place} was acknowledged, {} is stored", kept.read_seq)));
        }
    }
    let members = last(log, |deed| match deed {
        Deed::Member { conversation, who, .. } => Some((*conversation, *who)),
        _ => None,
    });
    for act in members {
        let Deed::Member { conversation, who, on } = &act.deed else { continue };
        let Some(theirs) = truth.users.get(who) else { continue };
        let is_there = truth.conversations.get(conversation).is_some_and(|history| !history.is_deleted());
        if is_there && theirs.memberships.contains_key(conversation) != *on {
            found.push(lost(act, format!("{who} in it: {on} was acknowledged, and is not so")));
        }
    }
}

/// The last deed on each key, where that is certain. Reactions are the user's own, so the user is part of their key.
fn last<K: Hash + Eq>(log: &Log, key: impl Fn(&Deed) -> Option<K>) -> Vec<&Act> {
    let mut keys: HashMap<_, Vec<&Act>> = HashMap::new();
    for act in &log.acts {
        let own = matches!(act.deed, Deed::React { .. }).then_some(act.user);
        if let Some(key) = key(&act.deed) {
            keys.entry((key, own)).or_default().push(act);
        }
    }
    let certain = |acts: Vec<&'_ Act>| -> Option<usize> {
        let at = acts.iter().enumerate().max_by_key(|(_, act)| act.at)?.0;
        let others = acts.iter().enumerate().filter(|(other, _)| *other != at);
        let all_before = others.map(|(_, act)| act).all(|act| !act.is_unknown() && act.until <= acts[at].at);
        (acts[at].is_done() && all_before).then_some(at)
    };
    keys.into_values().filter_map(|acts| Some(acts[certain(acts.clone())?])).collect()
}
