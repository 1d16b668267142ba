//! A server that speaks as much of the protocol as a load tester needs, and does wrong exactly what it is told to.
//!
//! Conversations live in memory. Of every tenth message its next wrong deed is done to one member that did not send it.

mod deliver;
mod events;
mod socket;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use jsonwebtoken::{DecodingKey, Validation};
use parking_lot::Mutex;
use protocol::{ConversationId, UserId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(crate) const SECRET: &str = "a secret of the self-test, 32 bytes+";

/// What it does wrong to one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Lose,
    Double,
    Reorder,
    Misroute,
    Diverge,
    Corrupt,
    /// Stores it and breaks the sender's connection before the answer.
    LoseAnswer,
    /// Breaks a receiver's connection; it must resume.
    Break,
}

pub(crate) type Shared = Arc<Mutex<World>>;

#[derive(Default)]
pub(crate) struct World {
    users: HashMap<String, UserId>,
    rooms: HashMap<ConversationId, Room>,
    links: Vec<Link>,
    next_link: u64,
    pub(crate) to_do: Vec<Wrong>,
    pub(crate) done: usize,
    messages: u64,
    /// REST answers nothing, for ever.
    pub(crate) mute: bool,
    /// Each socket is closed with this code at once.
    pub(crate) close_with: Option<u16>,
}

#[derive(Default)]
struct Room {
    members: Vec<UserId>,
    messages: Vec<Value>,
    by_client_id: HashMap<(UserId, String), usize>,
}

/// An open socket or stream.
struct Link {
    number: u64,
    user: UserId,
    out: mpsc::UnboundedSender<Out>,
    /// Kept back until its next delivery.
    held: Option<Value>,
}

enum Out {
    Frame(Value),
    Break,
}

/// Starts it on a port of its own; its base URL.
pub(crate) async fn start(to_do: Vec<Wrong>) -> (String, Shared) {
    let world = Shared::new(Mutex::new(World { to_do, ..World::default() }));
    let app = Router::new()
        .route("/v1/me", get(me))
        .route("/v1/unread", get(|| async { Json(json!({"messages": 0})) }))
        .route("/v1/conversations", get(|| async { Json(json!({"items": [], "next_cursor": null})) }).post(create))
        .route("/v1/conversations/{id}/messages", get(|| async { Json(json!({"items": []})) }).post(send))
        .route("/v1/conversations/{id}/changes", get(changes))
        .route("/v1/conversations/{id}/join", post(join))
        .route("/v1/ws", get(socket::upgrade))
        .route("/v1/events", get(events::stream))
        .with_state(Arc::clone(&world));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, world)
}

type Refused = (StatusCode, Json<Value>);

fn refused(status: u16, code: &str) -> Refused {
    let problem = json!({"type": "about:blank", "title": "-", "status": status, "detail": "no", "code": code});
    (StatusCode::from_u16(status).unwrap(), Json(problem))
}

/// Who calls: made on first sight.
async fn caller(world: &Shared, headers: &HeaderMap) -> Result<UserId, Refused> {
    let mute = world.lock().mute;
    if mute {
        std::future::pending::<()>().await;
    }
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let claims = token.and_then(|token| jsonwebtoken::decode::<Value>(token, &key, &Validation::default()).ok());
    let claims = claims.ok_or_else(|| refused(401, "not_authenticated"))?;
    let sub = claims.claims["sub"].as_str().unwrap().to_owned();
    Ok(*world.lock().users.entry(sub).or_insert_with(UserId::generate))
}

async fn me(State(world): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    Ok(Json(user(caller(&world, &headers).await?)))
}

fn user(id: UserId) -> Value {
    json!({
        "id": id, "org_id": protocol::OrgId::generate(), "username": "u", "display_name": "u", "avatar_url": null,
        "status_text": null, "role": "member", "guest": false, "disabled_at": null,
        "created_at": "2026-01-01T00:00:00.000Z",
    })
}

async fn create(
    State(world): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let owner = caller(&world, &headers).await?;
    let others: Vec<UserId> = serde_json::from_value(body["participant_ids"].clone()).unwrap();
    let id = ConversationId::generate();
    let mut room = Room { members: [vec![owner], others].concat(), ..Room::default() };
    // As Starling does: the first change is that it was made.
    room.messages.push(deliver::message(id, 1, owner, "", "system", ""));
    world.lock().rooms.insert(id, room);
    Ok(Json(conversation(id, 1)))
}

fn conversation(id: ConversationId, last_seq: u64) -> Value {
    let time = "2026-01-01T00:00:00.000Z";
    json!({
        "id": id, "kind": "group", "title": "t", "description": null, "avatar_url": null, "subject": null,
        "other": null, "other_presence": null, "other_delivered_seq": null, "other_read_seq": null, "role": "member",
        "posting": "everyone", "history": "all", "slow_mode_seconds": 0, "notify": "all", "participant_count": 2,
        "last_seq": last_seq, "last_message": null, "last_activity_at": time, "last_number": 0, "unread_count": 0,
        "mention_count": 0, "mention_seqs": [], "read_seq": 0, "read_number": 0, "muted_until": null, "pinned_at": null,
        "archived_at": null, "created_at": time,
    })
}

async fn send(
    State(world): State<Shared>,
    Path(id): Path<ConversationId>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let sender = caller(&world, &headers).await?;
    let (client_id, content) = (body["client_id"].as_str().unwrap(), body["content"].as_str().unwrap());
    deliver::send(&world, sender, id, client_id, content)
        .map(|(stored, _)| Json(stored))
        .ok_or(refused(404, "not_found"))
}

async fn join(
    State(world): State<Shared>,
    Path(id): Path<ConversationId>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let who = caller(&world, &headers).await?;
    let mut world = world.lock();
    let Some(room) = world.rooms.get_mut(&id) else { return Err(refused(404, "not_found")) };
    room.members.push(who);
    let conversation = conversation(id, room.messages.len() as u64);
    let told = json!({"type": "conversation.created", "user_seq": 1, "data": conversation});
    world.links.iter().filter(|link| link.user == who).for_each(|link| drop(link.out.send(Out::Frame(told.clone()))));
    Ok(Json(conversation))
}

async fn changes(
    State(world): State<Shared>,
    Path(id): Path<ConversationId>,
    Query(query): Query<HashMap<String, u64>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    caller(&world, &headers).await?;
    let world = world.lock();
    let room = world.rooms.get(&id).ok_or(refused(404, "not_found"))?;
    Ok(Json(deliver::page(id, room, query["after"])))
}
