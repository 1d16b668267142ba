//! One socket: reads frames, starts its commands, writes its outbox, keeps its timers.
//!
//! The connection's own task waits for its socket alone; commands and replays are tasks that put what they have into
//! the outbox.
//!
//! Promise: everything that the outbox takes is written, or the connection ends with a close code that says what
//! to do next. Commands of one connection reach the domain in the order they were sent.

mod commands;
mod start;
mod writing;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use protocol::{CloseCode, Event, EventType};
use tokio::time::{Instant, Sleep, sleep_until};

use self::commands::{is_busy, reads};
use crate::{
    follow::Started,
    link::Link,
    node::Node,
    outbox::{Class, Waiting},
    rate::Rate,
    serve::{Opening, farewell},
    transport::{End, Inbound, Transport},
};

/// A client that answers so many heartbeats with nothing at all is gone.
const UNANSWERED: u32 = 2;

/// An authenticated socket and what is under way on it.
pub(crate) struct Connection<T> {
    node: Arc<Node>,
    link: Arc<Link>,
    transport: T,
    rate: Rate,
    /// Where the start found everything, until the client's first command or its time for it is over.
    started: Option<Started>,
    first_command_by: Instant,
    next_heartbeat: Instant,
    /// The next write carries a WebSocket ping.
    ping_due: bool,
    last_inbound: Instant,
    /// Heartbeats since then. Counted, not told by the time: a node that stood still for some of them has not listened,
    /// and what the client said meanwhile is still to be read.
    unanswered: u32,
    /// Something was read since the last write: of two that are ready, it is the other one's turn.
    read_last: bool,
}

impl<T: Transport> Connection<T> {
    /// Greets the client, and waits for its first command or goes on by what it said already.
    pub(crate) fn begin(node: Arc<Node>, link: Arc<Link>, transport: T, started: Started, opening: Opening) -> Self {
        let (now, limits, heartbeat) = (Instant::now(), node.chat.limits(), node.config.heartbeat);
        let rate = Rate::new(limits.command_rate, limits.command_burst, now);
        let mut connection = Self {
            node,
            link,
            transport,
            rate,
            started: None,
            first_command_by: now,
            next_heartbeat: now + heartbeat,
            ping_due: false,
            last_inbound: now,
            unanswered: 0,
            read_last: false,
        };
        connection.greet(&started);
        connection.open(started, opening);
        connection
    }

    /// Serves it to its end; why it ended.
    pub(crate) async fn run(&mut self) -> End {
        let mut timer = pin!(sleep_until(self.next_timer()));
        let end = loop {
            if let Err(end) = self.step(timer.as_mut()).await {
                break end;
            }
        };
        farewell(&mut self.transport, end).await;
        end
    }

    async fn step(&mut self, timer: Pin<&mut Sleep>) -> std::result::Result<(), End> {
        match self.next(timer).await {
            Next::Timer => self.tick(),
            Next::Write => self.write().await,
            Next::Read(inbound) => self.read(inbound?).await,
        }
    }

    /// Waits for what is to be done. In an order of our own, so that a simulation repeats itself; fair all the same,
    /// since reading and writing take turns when both could go on.
    async fn next(&mut self, mut timer: Pin<&mut Sleep>) -> Next {
        let due = self.next_timer();
        // One timer for all its life: to make one takes and gives back a place in the runtime's wheel, each time it is
        // woken.
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        let Self { link, transport, read_last, .. } = self;
        let mut receiving = pin!(transport.receive());
        poll_fn(|context| {
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Next::Timer);
            }
            let Waiting { writes, is_roomy } = link.outbox.poll(context);
            if writes && *read_last {
                return Poll::Ready(Next::Write);
            }
            if is_roomy
                && !is_busy(link)
                && let Poll::Ready(inbound) = receiving.as_mut().poll(context)
            {
                return Poll::Ready(Next::Read(inbound));
            }
            if writes { Poll::Ready(Next::Write) } else { Poll::Pending }
        })
        .await
    }

    fn next_timer(&self) -> Instant {
        let timer = self.next_heartbeat.min(*self.link.expires_at.lock());
        if self.started.is_some() { timer.min(self.first_command_by) } else { timer }
    }

    fn tick(&mut self) -> std::result::Result<(), End> {
        let now = Instant::now();
        if now >= *self.link.expires_at.lock() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if self.started.is_some() && now >= self.first_command_by {
            self.go_live();
        }
        if now >= self.next_heartbeat {
            // While commands pile up the socket is not read: that is our silence, not the client's.
            if self.unanswered >= UNANSWERED && !self.is_mute() && reads(&self.link) {
                return Err(End::Close(CloseCode::HeartbeatTimeout));
            }
            self.unanswered = self.unanswered.saturating_add(1);
            self.next_heartbeat = now + self.node.config.heartbeat;
            self.ping_due = true;
            self.push_event(&Event::plain(EventType::Heartbeat, serde_json::json!({})), Class::Ephemeral);
        }
        Ok(())
    }

    /// Whoever can say nothing (on a stream of events) is never silent: there only a write that nobody takes shows a dead
    /// client.
    fn is_mute(&self) -> bool {
        self.link.mark.is_some()
    }

    fn silent_after(&self) -> Instant {
        let heard = if self.is_mute() { Instant::now() } else { self.last_inbound };
        heard + self.node.config.heartbeat * UNANSWERED
    }

    async fn read(&mut self, inbound: Inbound) -> std::result::Result<(), End> {
        (self.last_inbound, self.unanswered) = (Instant::now(), 0);
        self.read_last = true;
        match inbound {
            Inbound::Text(text) => {
                self.node.metrics.received.inc();
                self.node.metrics.bytes_received.inc_by(text.len() as u64);
                self.command(&text).await
            }
            Inbound::Alive => Ok(()),
        }
    }
}

/// What a connection does next.
enum Next {
    Timer,
    Write,
    Read(std::result::Result<Inbound, End>),
}
