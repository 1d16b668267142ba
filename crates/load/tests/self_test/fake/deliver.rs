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

/// What a message is answered with.
pub(super) enum Answer {
    Stored(Value),
    /// Not allowed.
    Refused,
    /// Not now.
    Later,
    /// Nothing.
    Silent,
    /// Nothing, and the connection ends.
    Broken,
}

/// Stores and delivers.
pub(super) fn send(world: &Shared, sender: UserId, id: ConversationId, client_id: &str, content: &str) -> Answer {
    let world = &mut *world.lock();
    if world.refuse {
        return Answer::Refused;
    }
    if world.silent.contains(client_id) {
        return Answer::Silent;
    }
    if let Some(known) = world.by_client_id.get(&(sender, client_id.to_owned())) {
        return Answer::Stored(known.clone());
    }
    let Some(room) = world.rooms.get_mut(&id) else { return Answer::Refused };
    world.messages += 1;
    if world.tires > 0 && world.messages.is_multiple_of(world.tires) && world.turned_away.insert(client_id.to_owned()) {
        return Answer::Later;
    }
    let wrong = if world.messages.is_multiple_of(10) && !world.to_do.is_empty() {
        world.done += 1;
        Some(world.to_do.remove(0))
    } else {
        None
    };
    let place = room.messages.len() as u64 + u64::from(wrong != Some(Wrong::SamePlace));
    let stored = message(id, place, sender, client_id, "text", content);
    world.by_client_id.insert((sender, client_id.to_owned()), stored.clone());
    match wrong {
        Some(Wrong::SamePlace) => return Answer::Stored(stored),
        Some(Wrong::Unstored | Wrong::BreakUnstored) => {
            room.messages.push(message(id, place, sender, client_id, "system", ""));
        }
        _ => room.messages.push(stored.clone()),
    }
    let members = room.members.clone();
    let victim = members.iter().copied().find(|member| *member != sender);
    let told: Vec<_> = (0..world.links.len())
        .filter(|link| {
            members.contains(&world.links[*link].user) && !world.forgotten.contains(&world.links[*link].user)
        })
        .collect();
    for link in told {
        let hit = wrong == Some(Wrong::DivergeAll) || Some(world.links[link].user) == victim;
        deliver(world, link, &stored, wrong.filter(|_| hit));
    }
    match wrong {
        Some(Wrong::LoseAnswer) => {
            world.links.iter().filter(|link| link.user == sender).for_each(|link| drop(link.out.send(Out::Break)));
            world.links.retain(|link| link.user != sender);
            Answer::Broken
        }
        Some(Wrong::Silent) => {
            world.silent.insert(client_id.to_owned());
            Answer::Silent
        }
        _ => Answer::Stored(stored),
    }
}

fn deliver(world: &mut World, link: usize, stored: &Value, wrong: Option<Wrong>) {
    let (user, here) = (world.links[link].user, &stored["conversation_id"]);
    let another_home = || {
        let mut rooms = world.rooms.iter().filter(|(_, room)| room.members.contains(&user));
        rooms.find(|(id, _)| json!(id) != *here).map(|(id, room)| (*id, room.messages.len() as u64 + 1))
    };
    let home = if wrong == Some(Wrong::MisrouteHome) { another_home() } else { None };
    let link = &mut world.links[link];
    let say = |frame: Value| drop(link.out.send(Out::Frame(frame)));
    match wrong {
        Some(Wrong::Lose | Wrong::Silent) => {}
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
        Some(Wrong::MisrouteHome) => {
            say(event(stored));
            let (id, seq) = home.expect("everybody has two conversations");
            let mut elsewhere = event(stored);
            (elsewhere["conversation_id"], elsewhere["seq"], elsewhere["data"]["seq"]) =
                (json!(id), json!(seq), json!(seq));
            say(elsewhere);
        }
        Some(Wrong::Diverge | Wrong::DivergeAll) => {
            // Another message, whole, that others do not see: one that was sent before, under a new number.
            let mut other = stored.clone();
            other["content"] = json!(another(stored["content"].as_str().unwrap(), stored["seq"].as_u64().unwrap()));
            say(event(&other));
        }
        Some(Wrong::Corrupt) => {
            let mut changed = stored.clone();
            changed["content"] = json!(format!("{}!", stored["content"].as_str().unwrap()));
            say(event(&changed));
        }
        Some(Wrong::Break | Wrong::BreakUnstored) => drop(link.out.send(Out::Break)),
        Some(Wrong::Contradict) => {
            let mut changed = event(stored);
            changed["seq"] = json!(stored["seq"].as_u64().unwrap() + 1);
            say(changed);
        }
        Some(Wrong::Resync) => {
            let data = json!({"conversation_id": here, "reason": "behind"});
            say(json!({"type": "resync_required", "data": data}));
        }
        Some(Wrong::SendAway) => drop(link.out.send(Out::Close(4500))),
        Some(Wrong::LoseAnswer | Wrong::Unstored | Wrong::SamePlace) | None => say(event(stored)),
    }
    if let Some(held) = link.held.take() {
        say(held);
    }
}

/// A text with another number, and the checksum that fits it.
fn another(content: &str, seq: u64) -> String {
    let body = content.splitn(3, ' ').nth(2).unwrap();
    let mut words: Vec<_> = body.split(' ').map(str::to_owned).collect();
    words[3] = (900_000 + seq).to_string();
    let body = words.join(" ");
    format!("sl1 {:08x} {body}", crc32fast::hash(body.as_bytes()))
}
