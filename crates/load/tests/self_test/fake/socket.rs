//! Its WebSocket: `connected`, `hello` with or without `resume`, `message.send`; other commands are answered with `{}`.

use std::sync::Arc;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use protocol::{ConversationId, UserId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Link, Out, Shared, caller, deliver, deliver::Answer, user};

pub(super) async fn upgrade(State(world): State<Shared>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    match caller(&world, &headers).await {
        Ok(user) => upgrade.on_upgrade(move |socket| talk(world, user, socket)),
        Err(refused) => refused.into_response(),
    }
}

pub(super) fn connected(world: &Shared, who: UserId) -> Value {
    let limits = world.lock().content_chars.map_or(json!({}), |most| json!({"content_chars": most}));
    let data = json!({
        "connection_id": protocol::ConnectionId::generate(), "user": user(who), "epoch": "e", "user_seq": 0,
        "announcement_seq": 0, "heartbeat_interval_ms": 25_000, "limits": limits,
    });
    json!({"type": "connected", "data": data})
}

/// The answer to `hello`: pages of what was missed, then the heads; from then on events flow to the link.
pub(super) fn hello(world: &Shared, who: UserId, frame: &Value) -> (u64, mpsc::UnboundedReceiver<Out>, Vec<Value>) {
    let mut world = world.lock();
    if world.forget && world.forgotten.is_empty() {
        world.forgotten.push(who);
    }
    let mine: Vec<ConversationId> = world
        .rooms
        .iter()
        .filter(|(_, room)| room.members.contains(&who) && !world.forgotten.contains(&who))
        .map(|(id, _)| *id)
        .collect();
    let mut frames = Vec::new();
    let mut heads = serde_json::Map::new();
    for id in mine {
        let room = &world.rooms[&id];
        match frame["resume"]["cursors"][id.to_string()].as_u64() {
            Some(cursor) => frames.push(deliver::page(id, room, cursor)),
            None => drop(heads.insert(id.to_string(), json!(room.messages.len()))),
        }
    }
    let data = json!({"heads": heads, "receipts": [], "announcement_seq": 0});
    frames.push(json!({"type": "reply", "ref": frame["ref"], "ok": true, "data": data}));
    let (out, inbox) = mpsc::unbounded_channel();
    world.next_link += 1;
    let number = world.next_link;
    world.links.push(Link { number, user: who, out, held: None });
    (number, inbox, frames)
}

async fn talk(world: Shared, who: UserId, mut socket: WebSocket) {
    let close_with = {
        let mut world = world.lock();
        let passing = world.close_first > 0;
        world.close_first -= usize::from(passing);
        if passing { Some(4000) } else { world.close_with }
    };
    if let Some(code) = close_with {
        let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
        return;
    }
    let _ = socket.send(Message::text(connected(&world, who).to_string())).await;
    let mut number = 0;
    let (_kept, mut inbox) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            out = inbox.recv() => match out {
                Some(Out::Frame(frame)) => {
                    if socket.send(Message::text(frame.to_string())).await.is_err() {
                        break;
                    }
                }
                Some(Out::Close(code)) => {
                    let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
                    // Dropped with something unread it would be a reset, which overtakes the close.
                    while socket.recv().await.is_some_and(|came| came.is_ok()) {}
                    break;
                }
                Some(Out::Break) | None => break,
            },
            came = socket.recv() => {
                let Some(Ok(message)) = came else { break };
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text).unwrap();
                let reply = match frame["type"].as_str().unwrap() {
                    "hello" if world.lock().deaf => continue,
                    "hello" => {
                        let (link, events, frames) = hello(&world, who, &frame);
                        (number, inbox) = (link, events);
                        for frame in frames {
                            let _ = socket.send(Message::text(frame.to_string())).await;
                        }
                        continue;
                    }
                    "changes.get" => {
                        let mut world = world.lock();
                        let (id, after) = (frame["conversation_id"].as_str().unwrap().parse().unwrap(), &frame["after"]);
                        if world.refused.insert(who) {
                            let error = json!({"code": "overloaded", "message": "later"});
                            json!({"type": "reply", "ref": frame["ref"], "ok": false, "error": error})
                        } else {
                            world.refused.remove(&who);
                            let page = deliver::page(id, &world.rooms[&id], after.as_u64().unwrap());
                            json!({"type": "reply", "ref": frame["ref"], "ok": true, "data": page})
                        }
                    }
                    "message.send" => {
                        let id = frame["conversation_id"].as_str().unwrap().parse().unwrap();
                        let (client_id, content) = (frame["client_id"].as_str().unwrap(), frame["content"].as_str().unwrap());
                        let slow = world.lock().slow;
                        tokio::time::sleep(slow).await;
                        match deliver::send(&world, who, id, client_id, content) {
                            Answer::Stored(stored) => {
                                json!({"type": "reply", "ref": frame["ref"], "ok": true, "data": stored})
                            }
                            Answer::Refused => json!({
                                "type": "reply", "ref": frame["ref"], "ok": false,
                                "error": {"code": "not_allowed", "message": "no"},
                            }),
                            Answer::Later => json!({
                                "type": "reply", "ref": frame["ref"], "ok": false,
                                "error": {"code": "overloaded", "message": "later", "retry_after_ms": 50},
                            }),
                            Answer::Silent => continue,
                            Answer::Broken => break,
                        }
                    }
                    _ => json!({"type": "reply", "ref": frame["ref"], "ok": true, "data": {}}),
                };
                let _ = socket.send(Message::text(reply.to_string())).await;
            }
        }
    }
    Arc::clone(&world).lock().links.retain(|link| link.number != number);
}
