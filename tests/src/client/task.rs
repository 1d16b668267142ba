//! The task behind a [`Client`](super::Client): connects, resumes, passes commands and events, and comes back.

use std::{sync::Arc, time::Duration};

use protocol::{Changes, ConversationId, ErrorCode, Reply, Seq, should_reconnect};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::{Frame, MOVED, Order, Shared, Socket, State};

/// Between two attempts to connect, at most; half of it on average.
const BACKOFF: Duration = Duration::from_millis(400);

/// `ref` of the commands with which a conversation that is new to the client is fetched, before its id.
const LOAD: &str = "load:";

fn load(id: ConversationId, after: Seq) -> Value {
    json!({"type": "changes.get", "ref": format!("{LOAD}{id}"), "conversation_id": id, "after": after})
}

/// Owns the socket.
pub(super) struct Task {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    next_ref: u64,
    /// Conversations that are new and not fetched to their end: what one connection did not finish, the next does.
    loading: Vec<ConversationId>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        Self { shared, orders, next_ref: 0, loading: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        loop {
            let (base, token) = loop {
                let changed = self.shared.changed.notified();
                {
                    let state = self.shared.state.lock();
                    if state.wanted {
                        break (state.base.clone(), state.token.clone());
                    }
                }
                changed.await;
            };
            let code = match Socket::with_token(&base, &token).await {
                Ok(socket) => self.serve(socket).await,
                Err(_) => None,
            };
            if let Some(code) = code {
                self.update(|state| {
                    state.live = false;
                    state.closes.push(code);
                });
                if !should_reconnect(code) {
                    return;
                }
            }
            let pause = rand::rng().random_range(Duration::ZERO..BACKOFF);
            sleep(pause).await;
        }
    }

    /// Takes a page of a conversation that is new; returns the command for the next one.
    async fn loaded(&self, id: ConversationId, reply: Reply<Value>) -> Option<Value> {
        match (reply.error, reply.data.map(serde_json::from_value::<Changes>)) {
            (None, Some(Ok(page))) => {
                let next = page.more.then(|| load(id, page.to));
                self.update(|state| state.view.loaded(page));
                next
            }
            (Some(error), _) if error.retry_after_ms.is_some() => {
                sleep(Duration::from_millis(error.retry_after_ms.unwrap_or_default())).await;
                Some(load(id, 0))
            }
            // No longer theirs.
            (Some(error), _) if matches!(error.code, ErrorCode::NotFound | ErrorCode::NotAParticipant) => None,
            other => {
                self.update(|state| state.view.violations.push(format!("`changes.get` of {id}: {other:?}")));
                None
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.changed.notify_waiters();
    }

    /// Serves a socket to its end and returns its close code.
    async fn serve(&mut self, mut socket: Socket) -> Option<u16> {
        let mut waiting: Vec<(String, oneshot::Sender<Reply<Value>>)> = Vec::new();
        let (mut live, mut move_at) = (false, None);
        let unfinished = self.loading.clone();
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                () = sleep_until(move_at.unwrap_or_else(Instant::now)), if move_at.is_some() => {
                    // The server may be gone already; the client leaves either way.
                    let _ = socket.close().await;
                    return Some(MOVED);
                }
                order = self.orders.recv(), if live => match order? {
                    Order::Break => return Some(1006),
                    Order::Command { mut frame, reply } => {
                        self.next_ref += 1;
                        let reference = self.next_ref.to_string();
                        frame["ref"] = reference.as_str().into();
                        waiting.push((reference, reply));
                        if socket.send(&frame).await.is_err() {
                            return Some(1006);
                        }
                        continue;
                    }
                },
            };
            let frame = match frame {
                Frame::Json(frame) => frame,
                Frame::Closed(code) => return Some(code),
                Frame::Broken => return Some(1006),
            };
            if frame["type"] == "reply" {
                let Ok(reply) = serde_json::from_value::<Reply<Value>>(frame.clone()) else {
                    self.update(|state| state.view.violations.push(format!("a malformed reply: {frame}")));
                    continue;
                };
                let reference = reply.reference.clone().unwrap_or_default();
                if reference == "hello" {
                    if !reply.ok {
                        self.update(|state| state.view.violations.push(format!("hello was refused: {frame}")));
                        return Some(1006);
                    }
                    live = true;
                    self.update(|state| {
                        match serde_json::from_value(reply.data.unwrap_or_default()) {
                            Ok(data) => state.view.hello(data),
                            Err(error) => state.view.violations.push(format!("hello's reply: {error}")),
                        }
                        state.live = true;
                        state.connections += 1;
                    });
                    for id in &unfinished {
                        if socket.send(&load(*id, 0)).await.is_err() {
                            return Some(1006);
                        }
                    }
                } else if let Some(id) = reference.strip_prefix(LOAD).and_then(|id| id.parse().ok()) {
                    match self.loaded(id, reply).await {
                        Some(next) if socket.send(&next).await.is_err() => return Some(1006),
                        Some(_) => {}
                        None => self.loading.retain(|loading| *loading != id),
                    }
                } else if let Some(at) = waiting.iter().position(|(waits, _)| *waits == reference) {
                    // Who asked may have given up.
                    let _ = waiting.swap_remove(at).1.send(reply);
                } else {
                    self.update(|state| state.view.violations.push(format!("a reply that nobody waits for: {frame}")));
                }
                continue;
            }
            let connected = frame["type"] == "connected";
            if frame["type"] == "reconnect" {
                let after = Duration::from_millis(frame["data"]["after_ms"].as_u64().unwrap_or(0));
                move_at = Some(Instant::now() + after);
            }
            // Where to resume from is what was known before this connection said anything.
            let resume = self.shared.state.lock().view.resume();
            self.update(|state| state.view.event(frame));
            let new = self.shared.state.lock().view.take_to_load();
            for id in new {
                self.loading.push(id);
                if socket.send(&load(id, 0)).await.is_err() {
                    return Some(1006);
                }
            }
            if connected {
                let hello = match resume {
                    Some(resume) => json!({"type": "hello", "ref": "hello", "resume": resume}),
                    None => json!({"type": "hello", "ref": "hello"}),
                };
                if socket.send(&hello).await.is_err() {
                    return Some(1006);
                }
            }
        }
    }
}
