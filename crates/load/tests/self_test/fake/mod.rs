//! A server that speaks as much of the protocol as a load tester needs, and does wrong exactly what it is told to.
//!
//! Conversations live in memory. Of every tenth message its next wrong deed is done to one member that did not send it.

mod deliver;
mod events;
mod socket;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

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

use self::deliver::Answer;

pub(crate) const SECRET: &str = "a secret of the self-test, 32 bytes+";

/// What it does wrong to one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Lose,
    Double,
    Reorder,
    Misroute,
    /// As `Misroute`, into another conversation of the receiver.
    MisrouteHome,
    Diverge,
    /// Everybody gets the same other message.
    DivergeAll,
    Corrupt,
    /// Answers with the place of the message before, and delivers it to nobody.
    SamePlace,
    /// Delivers it to the others, and never answers.
    Silent,
    /// Answers with its place, and keeps it nowhere; whoever is connected gets it.
    Unstored,
    /// As `Unstored`, and breaks a receiver's connection: it is not in what comes at the resume.
    BreakUnstored,
    /// Delivers it with the place of another in the frame.
    Contradict,
    /// Does not deliver it: the receiver is told to fetch, and is refused the first time.
    Resync,
    /// Closes a receiver's connection for good.
    SendAway,
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
    pub(crate) messages: u64,
    /// By sender, whatever the conversation.
    by_client_id: HashMap<(UserId, String), Value>,
    /// Messages that are never answered.
    silent: HashSet<String>,
    /// REST answers nothing, for ever.
    pub(crate) mute: bool,
    /// Each socket is closed with this code at once.
    pub(crate) close_with: Option<u16>,
    /// So many sockets are closed at once, for now.
    pub(crate) close_first: usize,
    /// `hello` is not answered.
    pub(crate) deaf: bool,
    /// Each message is refused for good.
    pub(crate) refuse: bool,
    /// Each message of this many is refused for now, the first time that it is said; 0: none.
    pub(crate) tires: u64,
    /// Messages that were refused for now, by their names.
    turned_away: HashSet<String>,
    /// Each message of a socket takes so long.
    pub(crate) slow: Duration,
    /// The longest message that it says it takes.
    pub(crate) content_chars: Option<usize>,
    /// One person's conversations are forgotten: neither named at `hello`, nor delivered.
    pub(crate) forget: bool,
    /// Whoever joins is not told of it on their socket, and gets nothing of the conversation.
    pub(crate) forget_joins: bool,
    forgotten: Vec<UserId>,
    /// Who was refused a page, and is given it the next time.
    refused: HashSet<UserId>,
    /// REST answers 500 to whoever reads back.
    pub(crate) unreadable: bool,
}

#[derive(Default)]
struct Room {
    members: Vec<UserId>,
    messages: Vec<Value>,
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
    Close(u16),
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
        .route("/readyz", get(|| async { "ready" }))
        .route("/metrics", get(|| async { "starling_messages_total 7\n" }))
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
    match deliver::send(&world, sender, id, client_id, content) {
        Answer::Stored(stored) => Ok(Json(stored)),
        Answer::Refused => Err(refused(403, "not_allowed")),
        Answer::Later => Err(refused(503, "overloaded")),
        Answer::Silent | Answer::Broken => Err(refused(503, "unavailable")),
    }
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
    if world.forget_joins {
        world.forgotten.push(who);
        return Ok(Json(conversation));
    }
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
    if world.unreadable {
        return Err(refused(500, "internal"));
    }
    let room = world.rooms.get(&id).ok_or(refused(404, "not_found"))?;
    Ok(Json(deliver::page(id, room, query["after"])))
}
