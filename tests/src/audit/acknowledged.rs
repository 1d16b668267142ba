//! Acknowledged means stored, and one send is one message.

use std::collections::{HashMap, HashSet};

use protocol::{ConversationId, MessageId, MessageKind, UserId};

use super::{Deed, Happened, Kind, Log, Truth, Violation, token};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    stored(log, truth, found);
    once(log, truth, found);
}

fn stored(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for act in &log.acts {
        let Some(said) = act.acknowledged() else { continue };
        let history = truth.conversations.get(&said.conversation_id);
        let Some(kept) = history.and_then(|history| history.messages.get(&said.seq)) else {
            let what = format!("{:?} was acknowledged at place {}, where nothing is stored", act.deed, said.seq);
            found.push(violation(Kind::Lost, what, act.user, said.conversation_id, said.id).at(act.until));
            continue;
        };
        if kept.id != said.id {
            let what = format!("place {} was acknowledged for one message and holds {}", said.seq, kept.id);
            found.push(violation(Kind::Diverged, what, act.user, said.conversation_id, said.id).at(act.until));
        } else if kept.changed_seq < said.changed_seq {
            let what = format!("the change {} of {:?} was acknowledged and is not stored", said.changed_seq, act.deed);
            found.push(violation(Kind::Lost, what, act.user, said.conversation_id, said.id).at(act.until));
        } else if let Deed::Send { content, .. } = &act.deed
            && (kept.sender.id != act.user
                || kept.deleted_at.is_none() && token(&kept.content) != token(content)
                || kept.edited_at.is_none() && kept.deleted_at.is_none() && kept.content != *content)
        {
            let what = format!("{content:?} was acknowledged, and {:?} is stored in its place", kept.content);
            found.push(violation(Kind::Lost, what, act.user, said.conversation_id, said.id).at(act.until));
        }
    }
}

/// A token in two messages, stored or heard of (one of them may be deleted by now); a `client_id` in two messages.
fn once(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    let mut ids: HashMap<(ConversationId, String), HashSet<MessageId>> = HashMap::new();
    let mut names: HashMap<(ConversationId, UserId, String), HashSet<MessageId>> = HashMap::new();
    for (id, history) in &truth.conversations {
        for message in history.messages.values().filter(|message| message.kind != MessageKind::System) {
            if message.deleted_at.is_none() {
                ids.entry((*id, token(&message.content).to_owned())).or_default().insert(message.id);
            }
            if let Some(name) = &message.client_id {
                names.entry((*id, message.sender.id, name.clone())).or_default().insert(message.id);
            }
        }
    }
    for entry in log.devices.iter().flat_map(|device| &device.entries) {
        let Happened::Heard(frame) = &entry.what else { continue };
        if frame["type"] != "message.created" || frame["data"]["kind"] == "system" {
            continue;
        }
        let (conversation, id) = (frame["conversation_id"].as_str(), frame["data"]["id"].as_str());
        let (conversation, id) = (conversation.and_then(|id| id.parse().ok()), id.and_then(|id| id.parse().ok()));
        if let (Some(conversation), Some(id), Some(content)) = (conversation, id, frame["data"]["content"].as_str()) {
            ids.entry((conversation, token(content).to_owned())).or_default().insert(id);
        }
    }
    // Only texts of the log's own making have a token.
    let sent = log.acts.iter().filter_map(|act| match &act.deed {
        Deed::Send { conversation, content, .. } => Some(((*conversation, token(content)), act.user)),
        _ => None,
    });
    let sent: HashMap<(ConversationId, &str), UserId> = sent.collect();
    let mut told = HashSet::new();
    for ((conversation, token), ids) in ids.iter().filter(|(_, ids)| ids.len() > 1) {
        let Some(user) = sent.get(&(*conversation, token.as_str())) else { continue };
        let Some(id) = ids.iter().max() else { continue };
        told.extend(ids);
        let what = format!("one send, {token:?}, made {} messages: {ids:?}", ids.len());
        found.push(violation(Kind::Doubled, what, *user, *conversation, *id));
    }
    for ((conversation, user, name), ids) in names.iter().filter(|(_, ids)| ids.len() > 1 && told.is_disjoint(ids)) {
        let Some(id) = ids.iter().max() else { continue };
        let what = format!("the client_id {name:?} is that of {} messages: {ids:?}", ids.len());
        found.push(violation(Kind::Doubled, what, *user, *conversation, *id));
    }
}

fn violation(kind: Kind, what: String, user: UserId, conversation: ConversationId, message: MessageId) -> Violation {
    Violation::new(kind, what).user(user).of(conversation).message(message)
}
