//! The stream of events of a device that has no socket: read, and opened again with the last id. It says by REST.

use std::{sync::Arc, time::Duration};

use protocol::should_reconnect;
use reqwest::{Client, Response};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    Order,
    hears::Ask,
    pending::Message,
    session::{Orders, Session},
    sse_stream::Cutter,
};
use crate::{
    frame::Data,
    rest::{Rest, root},
    run::Run,
};

/// A stream that broke without a word.
const BROKEN: u16 = 1006;
/// A stream that the device left, since it was asked to.
const MOVED: u16 = 1000;
/// How often a message is tried before nobody knows what became of it.
const TRIES: u32 = 200;

enum End {
    Closed(u16),
    Broken(Duration),
    Finished,
    /// The server asked it to connect elsewhere.
    Moved,
}

/// Opens the stream, again and again, until nobody orders any more or the server sends it away.
pub(super) async fn run(mut session: Session, mut orders: Orders) {
    let http = match session.run.dialer.streams(session.person.index as usize) {
        Ok(http) => http,
        Err(error) => {
            session.failed("connect: no client", format!("{error:#}"));
            session.ended(BROKEN, true);
            return session.dismissed(&mut orders);
        }
    };
    let mut last_id: Option<String> = None;
    loop {
        session.dials();
        let opened = open(&session, &http, last_id.as_deref()).await;
        let mut response = match opened {
            Ok(response) => response,
            Err((status, line)) => {
                session.failed(&status.map_or("connect".into(), |status| format!("connect: http {status}")), line);
                if matches!(status, Some(401 | 403)) {
                    session.ended(4500, true);
                    return session.dismissed(&mut orders);
                }
                sleep(session.backoff()).await;
                continue;
            }
        };
        let mut cutter = Cutter::default();
        let mut heard_at = Instant::now();
        let mut moves_at = None;
        let end = 'talk: loop {
            tokio::select! {
                chunk = response.chunk() => {
                    heard_at = Instant::now();
                    let Ok(Some(chunk)) = chunk else { break 'talk End::Closed(BROKEN) };
                    cutter.feed(&chunk);
                    while let Some(item) = cutter.next() {
                        last_id = item.id.or(last_id);
                        if item.event == "close" {
                            let code = serde_json::from_str::<Data<'_>>(&item.data).ok().and_then(|data| data.code);
                            break 'talk End::Closed(code.unwrap_or(BROKEN));
                        }
                        if !item.data.is_empty() && let Ask::Move(after) = session.frame(&item.data) {
                            moves_at = Some(Instant::now() + after);
                        }
                    }
                    // Nobody takes frames here: what a socket would ask, REST is asked.
                    session.out.clear();
                    // A page may ask for the next one.
                    while let Some((id, after)) = session.fetches.pop() {
                        fetch(&mut session, id, after).await;
                    }
                }
                order = orders.recv(), if session.live => match order {
                    None => break 'talk End::Finished,
                    Some(Order::Break { away }) => break 'talk End::Broken(away),
                    Some(Order::Send { room, intended, permit }) => {
                        let message = session.written(room, intended, permit);
                        let (run, token) = (Arc::clone(&session.run), Arc::clone(&session.person.token));
                        tokio::spawn(say(run, token, intended, message));
                    }
                    Some(Order::Tell { .. }) => {}
                },
                () = sleep_until(moves_at.unwrap_or(heard_at)), if moves_at.is_some() => break 'talk End::Moved,
                () = sleep_until(heard_at + session.patience) => {
                    session.run.meter.error("silence");
                    break 'talk End::Closed(BROKEN);
                }
            }
        };
        drop(response);
        match end {
            End::Finished => return,
            End::Broken(away) => {
                session.ended(BROKEN, false);
                sleep(away).await;
            }
            End::Moved => session.ended(MOVED, false),
            // A server that closes without a reason is come back to, but not at once.
            End::Closed(code) if should_reconnect(code) => {
                session.ended(code, false);
                sleep(session.backoff()).await;
            }
            End::Closed(code) => {
                *session.run.last_error.lock() = format!("the server closed a stream for good with {code}");
                session.ended(code, true);
                return session.dismissed(&mut orders);
            }
        }
    }
}

async fn open(session: &Session, http: &Client, last_id: Option<&str>) -> Result<Response, (Option<u16>, String)> {
    let base = session.run.dialer.gateway(session.turn());
    let mut request = http.get(format!("{base}v1/events")).bearer_auth(&session.person.token);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let not = |why: String| format!("cannot open a stream of events at {base}: {why}");
    match timeout(session.run.dialer.patience(), request.send()).await {
        Ok(Ok(response)) if response.status() == 200 => Ok(response),
        Ok(Ok(response)) => {
            Err((Some(response.status().as_u16()), not(format!("answered with {}", response.status()))))
        }
        Ok(Err(error)) => Err((None, not(root(&error)))),
        Err(_) => Err((None, not("no answer in time".into()))),
    }
}

/// Sends a message by REST until it is answered. It notes the answer itself: the session may be busy, or away.
async fn say(run: Arc<Run>, token: Arc<str>, intended: u64, message: Message) {
    for _ in 0..TRIES {
        match run.rest.send(&token, message.room.id, &message.client_id, &message.content).await {
            Ok(stored) => return run.acknowledged(&message.room, message.key, intended, stored.seq),
            Err(refused) => {
                run.meter.error(&*refused.code);
                if !refused.passing || !run.retries {
                    break;
                }
                sleep(refused.retry_after.unwrap_or(Duration::from_millis(200))).await;
            }
        }
    }
    run.over(1);
}

async fn fetch(session: &mut Session, id: protocol::ConversationId, after: u64) {
    let path = format!("/v1/conversations/{id}/changes?after={after}");
    let call = || session.run.rest.get::<Box<serde_json::value::RawValue>>(&path, &session.person.token);
    match Rest::patiently(session.run.patience, call).await {
        Ok(text) => match serde_json::from_str::<Data<'_>>(text.get()) {
            Ok(data) => {
                if let Some(page) = data.page() {
                    session.page(&page, true);
                }
            }
            Err(_) => session.run.meter.error("a page that cannot be read"),
        },
        Err(refused) => session.run.meter.error(refused.code),
    }
}
