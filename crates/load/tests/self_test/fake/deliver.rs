//! Stores a message and delivers it to everybody's links, with what is to be done wrong.

use protocol::{ConversationId, UserId};
use serde_json::{Value, json};

use super::{Out, Room, Shared, World, Wrong};

pub(super) fn message(
    id: ConversationId,
    seq: u64,
    sender: UserId,
    client_id: &str,
    kind: &str,
    content: &str,
) -> Value {
    let sender = json!({"id": sender, "username": "u", "display_name": "u", "avatar_url": null});
    let system = if kind == "system" { json!({"type": "conversation.created", "users": []}) } else { Value::Null };
    json!({
        "id": protocol::MessageId::generate(), "conversation_id": id, "seq": seq, "changed_seq": seq, "number": seq,
        "kind": kind, "sender": sender, "content": content, "system": system, "client_id": client_id, "reply_to": null,
        "thread_root_id": null, "thread": null, "mentions": [], "attachments": [], "reactions": [], "pinned_at": null,
        "edited_at": null, "deleted_at": null, "created_at": "2026-01-01T00:00:00.000Z",
    })
}

fn event(message: &Value) -> Value {
    json!({
        "type": "message.created", "conversation_id": message["conversation_id"], "seq": message["seq"], "data": message,
    })
}

pub(super) fn page(id: ConversationId, room: &Room, after: u64) -> Value {
    let head = room.messages.len() as u64;
    let missed = room.messages.iter().skip(after as usize);
    let changes: Vec<_> = missed.map(|m| json!({"type": "message.created", "seq": m["seq"], "data": m})).collect();
    json!({
        "type": "changes", "conversation_id": id, "from": after, "to": head.max(after), "more": false, "changes": changes,
    })
}

/// Stores and delivers; the stored message, and whether the sender is to be answered.
pub(super) fn send(
    world: &Shared,
    sender: UserId,
    id: ConversationId,
    client_id: &str,
    content: &str,
) -> Option<(Value, bool)> {
    let mut world = world.lock();
    let room = world.rooms.get_mut(&id)?;
    if let Some(known) = room.by_client_id.get(&(sender, client_id.to_owned())) {
        return Some((room.messages[*known].clone(), true));
    }
    let stored = message(id, room.messages.len() as u64 + 1, sender, client_id, "text", content);
    room.by_client_id.insert((sender, client_id.to_owned()), room.messages.len());
    room.messages.push(stored.clone());
    let members = room.members.clone();
    world.messages += 1;
    let wrong = if world.messages.is_multiple_of(10) && !world.to_do.is_empty() {
        world.done += 1;
        Some(world.to_do.remove(0))
    } else {
        None
    };
    let victim = members.iter().copied().find(|member| *member != sender);
    for link in 0..world.links.len() {
        if members.contains(&world.links[link].user) {
            let wrong = wrong.filter(|_| Some(world.links[link].user) == victim);
            deliver(&mut world, link, &stored, wrong);
        }
    }
    if wrong == Some(Wrong::LoseAnswer) {
        world.links.iter().filter(|link| link.user == sender).for_each(|link| drop(link.out.send(Out::Break)));
        world.links.retain(|link| link.user != sender);
        return Some((stored, false));
    }
    Some((stored, true))
}

fn deliver(world: &mut World, link: usize, stored: &Value, wrong: Option<Wrong>) {
    let link = &mut world.links[link];
    let say = |frame: Value| drop(link.out.send(Out::Frame(frame)));
    match wrong {
        Some(Wrong::Lose) => {}
        Some(Wrong::Double) => {
            say(event(stored));
            say(event(stored));
        }
        Some(Wrong::Reorder) => {
            link.held = Some(event(stored));
            return;
        }
        Some(Wrong::Misroute) => {
            say(event(stored));
            let mut elsewhere = event(stored);
            elsewhere["conversation_id"] = json!(ConversationId::generate());
            say(elsewhere);
        }
        Some(Wrong::Diverge) => {
            // Another message, whole, that others do not see: one that was sent before, under a new number.
            let mut other = stored.clone();
            other["content"] = json!(another(stored["content"].as_str().unwrap()));
            say(event(&other));
        }
        Some(Wrong::Corrupt) => {
            let mut changed = stored.clone();
            changed["content"] = json!(format!("{}!", stored["content"].as_str().unwrap()));
            say(event(&changed));
        }
        Some(Wrong::Break) => drop(link.out.send(Out::Break)),
        Some(Wrong::LoseAnswer) | None => say(event(stored)),
    }
    if let Some(held) = link.held.take() {
        say(held);
    }
}

/// A text with another number, and the checksum that fits it.
fn another(content: &str) -> String {
    let body = content.splitn(3, ' ').nth(2).unwrap();
    let mut words: Vec<_> = body.split(' ').map(str::to_owned).collect();
    words[3] = "999999".into();
    let body = words.join(" ");
    format!("sl1 {:08x} {body}", crc32fast::hash(body.as_bytes()))
}
