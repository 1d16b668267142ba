//! The socket of a device: opened, talked on, opened again.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use futures_util::{Sink, SinkExt, StreamExt, future::poll_fn, stream::SplitSink};
use protocol::should_reconnect;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    Order,
    hears::Ask,
    session::{Orders, Session},
};
use crate::socket::Socket;

/// A connection that broke without a close.
const BROKEN: u16 = 1006;
/// A connection that the device left, since it was asked to.
const MOVED: u16 = 1000;
/// How often what is due again is looked for, while something waits.
const TICK: Duration = Duration::from_millis(100);
/// Frames that wait to be written before more orders are taken.
const WAITING: usize = 256;

/// Why a socket ended.
enum End {
    Closed(u16),
    /// The server asked it to connect elsewhere.
    Moved,
    /// As ordered: away for this time.
    Broken(Duration),
    /// Nobody orders any more.
    Finished,
}

/// Connects, again and again, until nobody orders any more or the server sends it away.
pub(super) async fn run(mut session: Session, mut orders: Orders) {
    loop {
        session.dials();
        let (person, turn) = (session.person.index as usize, session.turn());
        let opened = session.run.dialer.open(person, turn, &session.person.token).await;
        match opened {
            Err(not) => {
                session.failed(&not.code, not.line);
                sleep(session.backoff()).await;
            }
            Ok(socket) => match talk(&mut session, &mut orders, socket).await {
                End::Finished => return,
                End::Moved => session.ended(MOVED, false),
                End::Broken(away) => {
                    session.ended(BROKEN, false);
                    sleep(away).await;
                }
                // A server that closes without a reason is come back to, but not at once.
                End::Closed(code) if should_reconnect(code) => {
                    session.ended(code, false);
                    sleep(session.backoff()).await;
                }
                End::Closed(code) => {
                    *session.run.last_error.lock() = format!("the server closed a socket for good with {code}");
                    session.ended(code, true);
                    return session.dismissed(&mut orders);
                }
            },
        }
    }
}

async fn talk(session: &mut Session, orders: &mut Orders, socket: Socket) -> End {
    let (mut sink, mut stream) = socket.split();
    let mut dirty = false;
    let mut heard_at = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Set anew only when it rings: a timer per frame would cost more than reading it.
    let silence = sleep(session.patience);
    tokio::pin!(silence);
    let mut moves_at = None;
    loop {
        tokio::select! {
            item = stream.next() => {
                heard_at = Instant::now();
                match item {
                    Some(Ok(Message::Text(text))) => {
                        if let Ask::Move(after) = session.frame(&text) {
                            moves_at = Some(Instant::now() + after);
                        }
                        session.ask();
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return End::Closed(frame.map_or(BROKEN, |frame| frame.code.into()));
                    }
                    // A pong waits to be written.
                    Some(Ok(_)) => dirty = true,
                    Some(Err(_)) | None => return End::Closed(BROKEN),
                }
            }
            pushed = push(&mut sink, &mut session.out, &mut dirty), if dirty || !session.out.is_empty() => {
                if pushed.is_err() {
                    return End::Closed(BROKEN);
                }
            }
            order = orders.recv(), if session.live && session.out.len() < WAITING => match order {
                None => return End::Finished,
                Some(Order::Break { away }) => return End::Broken(away),
                Some(order) => session.order(order),
            },
            _ = ticks.tick(), if session.live && session.waits() => session.tick(),
            () = sleep_until(moves_at.unwrap_or(heard_at)), if moves_at.is_some() => {
                let _ = tokio::time::timeout(Duration::from_millis(200), sink.close()).await;
                return End::Moved;
            }
            () = &mut silence => {
                let due = heard_at + session.patience;
                if due <= Instant::now() {
                    session.run.meter.error("silence");
                    return End::Closed(BROKEN);
                }
                silence.as_mut().reset(due);
            }
        }
    }
}

/// Writes what waits. May be dropped at any point: a frame is either still in `out` or with the socket.
async fn push(
    sink: &mut SplitSink<Socket, Message>,
    out: &mut VecDeque<String>,
    dirty: &mut bool,
) -> Result<(), tungstenite::Error> {
    while !out.is_empty() {
        poll_fn(|context| Pin::new(&mut *sink).poll_ready(context)).await?;
        if let Some(frame) = out.pop_front() {
            Pin::new(&mut *sink).start_send(Message::text(frame))?;
            *dirty = true;
        }
    }
    sink.flush().await?;
    *dirty = false;
    Ok(())
}
