//! One socket: reads frames, starts its commands, writes its outbox, keeps its timers.
//!
//! The connection's own task waits for its socket alone; commands and replays are tasks that put what they have into
//! the outbox.
//!
//! Promise: everything that the outbox takes is written, or the connection ends with a close code that says what
//! to do next. Commands of one connection reach the domain in the order they were sent.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use chat::ChatError;
use protocol::{
    AuthRenew, BadCommand, CloseCode, Command, Connected, ErrorCode, Event, EventType, Hello, HelloReply, Resume,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    close::{FAREWELL, close_code},
    dispatch,
    follow::{Live, Started},
    link::Link,
    node::Node,
    outbox::{Class, Taken, Waiting},
    rate::{Rate, TooFast},
    serve::{Opening, deadline_of, farewell, log_failure},
    transport::{Batch, End, Inbound, Transport},
};

/// A client that says nothing at first, and did not promise to, goes live after this.
const FIRST_COMMAND: Duration = Duration::from_secs(1);
/// Commands of one connection under way at once; beyond it its socket is not read. Fewer where outboxes are small: each
/// brings a reply, and mostly an event.
const IN_FLIGHT_MAX: usize = 32;
/// So many frames of an outbox for each command under way.
const FRAMES_PER_COMMAND: usize = 8;
/// Markers of one connection under way at once, beside those: each waits for a write that it shares with others. Beyond
/// it they are refused.
const MARKERS_MAX: usize = 256;
/// By then those that wait were written.
const MARKERS_WAIT_MS: u64 = 1_000;
/// Bytes written with one flush.
const WRITE_BATCH: usize = 64 * 1024;

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
            read_last: false,
        };
        connection.greet(&started);
        connection.open(started, opening);
        connection
    }

    fn open(&mut self, started: Started, opening: Opening) {
        match opening {
            Opening::Silent { says_hello } => {
                let patience = if says_hello { self.node.config.hello_timeout } else { FIRST_COMMAND };
                self.first_command_by = Instant::now() + patience;
                self.started = Some(started);
            }
            Opening::Hello(reference, hello) => {
                self.started = Some(started);
                self.hello(reference, hello);
            }
            Opening::Stream(last) => {
                let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
                self.node.spawn_for_connection(async move {
                    let live = node.stream(&link, started, last).await;
                    tell(&node, &link, live, |reply| Some(dispatch::done(None, reply))).await;
                });
            }
        }
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

    fn greet(&self, started: &Started) {
        let data = Connected {
            connection_id: self.link.id,
            user: self.link.caller.user.clone(),
            epoch: started.memberships.epoch.clone(),
            user_seq: started.memberships.user_seq,
            announcement_seq: started.announcement_seq,
            heartbeat_interval_ms: self.node.config.heartbeat.as_millis() as u64,
            limits: self.node.chat.limits().clone(),
        };
        self.push_event(&Event::plain(EventType::Connected, data), Class::Durable);
    }

    async fn step(&mut self, timer: Pin<&mut Sleep>) -> std::result::Result<(), End> {
        match self.next(timer).await {
            Next::Timer => self.tick(),
            Next::Write => self.write().await,
            Next::Read(inbound) => self.read(inbound?).await,
        }
    }

    /// Waits for what is to be done. In an order of our own, so that a simulation repeats itself; fair all the same, since
    /// reading and writing take turns when both could go on.
    async fn next(&mut self, mut timer: Pin<&mut Sleep>) -> Next {
        let due = self.next_timer();
        // One timer for all its life: to make one takes and gives back a place in the runtime's wheel, each time it is woken.
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
            if now >= self.silent_after() && reads(&self.link) {
                return Err(End::Close(CloseCode::HeartbeatTimeout));
            }
            self.next_heartbeat = now + self.node.config.heartbeat;
            self.ping_due = true;
            self.push_event(&Event::plain(EventType::Heartbeat, serde_json::json!({})), Class::Ephemeral);
        }
        Ok(())
    }

    /// Two missed heartbeats, and a little for the way. Whoever can say nothing is never silent: there only a write
    /// that nobody takes shows a dead client.
    fn silent_after(&self) -> Instant {
        let heard = if self.link.mark.is_some() { Instant::now() } else { self.last_inbound };
        heard + self.node.config.heartbeat * 2
    }

    // ---- reading

    async fn read(&mut self, inbound: Inbound) -> std::result::Result<(), End> {
        self.last_inbound = Instant::now();
        self.read_last = true;
        match inbound {
            Inbound::Text(text) => self.command(&text).await,
            Inbound::Alive => Ok(()),
        }
    }

    async fn command(&mut self, text: &str) -> std::result::Result<(), End> {
        let decoded = Command::decode(text);
        if let Err(too_fast) = self.rate.take(Instant::now()) {
            let TooFast::Wait(wait) = too_fast else {
                return Err(End::Close(CloseCode::RateLimited));
            };
            let reference = decoded.map_or_else(|bad| bad.reference, |(reference, _)| reference);
            let error = ChatError::new(ErrorCode::RateLimited, "too many commands; slow down")
                .retry_after((wait.as_millis() as u64).max(1));
            self.push(dispatch::refused(reference, &error));
            return Ok(());
        }
        match decoded {
            Err(BadCommand { reference, error }) => {
                dispatch::count(&self.node.metrics, "none", error.code.as_str());
                self.push(dispatch::bad(reference, error));
            }
            Ok((reference, Command::Hello(hello))) => self.hello(reference, hello),
            Ok((reference, Command::AuthRenew(AuthRenew { token }))) => self.renew(reference, token),
            Ok((reference, command)) => {
                self.go_live();
                if is_marker(&command) && self.link.markers() >= MARKERS_MAX {
                    dispatch::count(&self.node.metrics, dispatch::name(&command), ErrorCode::RateLimited.as_str());
                    let error = ChatError::new(ErrorCode::RateLimited, "too many markers are under way")
                        .retry_after(MARKERS_WAIT_MS);
                    self.push(dispatch::refused(reference, &error));
                    return Ok(());
                }
                let mut work = Box::pin(work(Arc::clone(&self.node), Arc::clone(&self.link), reference, command));
                // Polled once right here, so that commands reach the writer's queue in the order they came; then in
                // a task of its own: while this one waits for a slow socket, nothing that holds a connection to the
                // database may wait with it.
                if futures_util::poll!(&mut work).is_pending() {
                    self.node.spawn_for_connection(work);
                }
            }
        }
        Ok(())
    }

    fn hello(&mut self, reference: Option<String>, hello: Hello) {
        let Some(started) = self.started.take() else {
            let error = ChatError::new(ErrorCode::Invalid, "hello comes first, and once");
            return self.push(dispatch::refused(reference, &error));
        };
        if hello.resume.as_ref().is_some_and(|resume| resume.cursors.len() > RESUME_CURSORS_MAX) {
            self.started = Some(started);
            let error = ChatError::field(
                "resume.cursors",
                format!("must name at most {RESUME_CURSORS_MAX} conversations; name the most recent"),
            );
            return self.push(dispatch::refused(reference, &error));
        }
        self.start_flow(started, Some(Asked { reference, resume: hello.resume }));
    }

    /// The client did not say `hello`: what was held goes out.
    fn go_live(&mut self) {
        if let Some(started) = self.started.take() {
            self.start_flow(started, None);
        }
    }

    /// Replays what was missed, if asked to, and lets events flow, in a task of its own.
    fn start_flow(&self, started: Started, asked: Option<Asked>) {
        let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
        self.node.spawn_for_connection(async move {
            let (reference, resume) = match asked {
                Some(Asked { reference, resume }) => (Some(reference), resume),
                None => (None, None),
            };
            let live = match resume {
                Some(resume) => node.resume(&link, started, &resume).await,
                None => node.go_live(&link, started).await,
            };
            tell(&node, &link, live, |reply| reference.map(|reference| dispatch::done(reference, reply))).await;
        });
    }

    fn renew(&self, reference: Option<String>, token: String) {
        if self.link.renewing.swap(true, Ordering::AcqRel) {
            let error = ChatError::new(ErrorCode::Invalid, "a renewal is under way already");
            return self.push(dispatch::refused(reference, &error));
        }
        let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
        self.node.spawn_for_connection(async move {
            let reply = match node.chat.authenticate_connection(&token).await {
                Ok(caller) if caller.user.id == link.user() && caller.session == link.caller.session => {
                    *link.expires_at.lock() = deadline_of(&node, caller.expires_at);
                    dispatch::done(reference, serde_json::json!({ "expires_at": caller.expires_at }))
                }
                Ok(_) => {
                    let error = ChatError::field("token", "belongs to another user or session");
                    dispatch::refused(reference, &error)
                }
                Err(error) => dispatch::refused(reference, &error),
            };
            link.renewing.store(false, Ordering::Release);
            link.outbox.push(reply, Class::Durable);
        });
    }

    // ---- writing

    fn push(&self, frame: Utf8Bytes) {
        self.link.outbox.push(frame, Class::Durable);
    }

    fn push_event(&self, event: &impl serde::Serialize, class: Class) {
        if let Ok(frame) = serde_json::to_string(event) {
            self.link.outbox.push(frame.into(), class);
        }
    }

    /// Writes what waits with one flush. A reader that is too slow, or silent, ends it.
    async fn write(&mut self) -> std::result::Result<(), End> {
        // Read first: what it stands for is in the outbox by now.
        let stamp = self.link.mark.as_ref().and_then(|mark| mark.stamp(&self.link));
        let Taken { frames, close, is_all } = self.link.outbox.take(WRITE_BATCH);
        let id = stamp.filter(|_| is_all).map(|stamp| stamp.to_string());
        self.read_last = false;
        let ping = std::mem::take(&mut self.ping_due);
        let (count, bytes) = (frames.len() as u64, frames.iter().map(|frame| frame.len() as u64).sum());
        let silent_after = self.silent_after();
        let mut writing = pin!(self.transport.send(Batch { frames, ping, id }));
        // Nearly always the kernel has room for it.
        let written = match futures_util::poll!(writing.as_mut()) {
            Poll::Ready(written) => written,
            Poll::Pending => {
                let silent_after = silent_after.max(Instant::now() + self.node.config.heartbeat);
                tokio::select! {
                    biased;
                    written = &mut writing => written,
                    code = self.link.outbox.closed() => {
                        // What was put in before the end is still owed, but not to who does not read.
                        if code == CloseCode::SlowConsumer {
                            return Err(End::Close(code));
                        }
                        match timeout(FAREWELL, writing).await {
                            Ok(written) => written,
                            Err(_) => return Err(End::Close(code)),
                        }
                    }
                    () = sleep_until(silent_after) => return Err(End::Close(CloseCode::HeartbeatTimeout)),
                }
            }
        };
        let is_roomy = self.link.outbox.written();
        self.node.metrics.frames_sent.inc_by(count);
        self.node.metrics.bytes_sent.inc_by(bytes);
        if !is_roomy || is_busy(&self.link) {
            // It takes what we say, and cannot be heard just now.
            self.last_inbound = Instant::now();
        }
        match (written, close) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(code)) => Err(End::Close(code)),
            (Err(end), _) => Err(end),
        }
    }
}

/// Tells what events flow from, in the frame that `answer` makes of it; ends the connection when they cannot.
async fn tell(
    node: &Node,
    link: &Arc<Link>,
    live: chat::Result<Live>,
    answer: impl FnOnce(&HelloReply) -> Option<Utf8Bytes>,
) {
    match live {
        Ok(Live { mut reply, rest }) => {
            {
                // Held: the news of the feed that a conversation is lost goes out before this answer, which then does not
                // name it, or after it. Who leaves one for that takes the lock before telling.
                let following = link.following.lock();
                reply.heads.retain(|id, _| following.contains(*id));
                if let Some(frame) = answer(&reply) {
                    link.outbox.push(frame, Class::Durable);
                }
            }
            if let Err(error) = node.told_heads(link, &reply).await {
                log_failure(link, &error);
                return link.outbox.close(close_code(&error));
            }
            node.tell_rest(link, &rest).await;
        }
        Err(error) => {
            log_failure(link, &error);
            link.outbox.close(close_code(&error));
        }
    }
}

/// What a connection does next.
enum Next {
    Timer,
    Write,
    Read(std::result::Result<Inbound, End>),
}

/// A `hello` that waits for its answer.
struct Asked {
    reference: Option<String>,
    resume: Option<Resume>,
}

/// Conversations that a resume may name.
const RESUME_CURSORS_MAX: usize = 1_000;

fn is_marker(command: &Command) -> bool {
    matches!(command, Command::ReceiptRead(_) | Command::ReceiptDelivered(_))
}

/// Whether the next command is read: what those before it bring must fit into the outbox. A client that says a lot at once
/// waits; it is not cut off for answers that it would have read.
fn reads(link: &Link) -> bool {
    !is_busy(link) && link.outbox.is_roomy()
}

/// Whether as many commands are under way as may be.
fn is_busy(link: &Link) -> bool {
    link.in_flight() >= (link.outbox.events_max() / FRAMES_PER_COMMAND).clamp(1, IN_FLIGHT_MAX)
}

/// Does one command and puts its reply into the outbox.
async fn work(node: Arc<Node>, link: Arc<Link>, reference: Option<String>, command: Command) {
    let counted = link.begin_command(is_marker(&command));
    let reads_much = matches!(command, Command::ChangesGet(_) | Command::PresenceWatch(_));
    // Who is unwatched must not come back by a watch that was asked for before it.
    let in_turn = reads_much || matches!(command, Command::PresenceUnwatch(_));
    let turn = if in_turn { Some(link.reads.lock().await) } else { None };
    if reads_much && !link.outbox.room().await {
        return;
    }
    let (reply, watched) = dispatch::run(&node, &link, reference, command).await;
    // Before the reply: it wakes the connection, which then may read on.
    drop(counted);
    link.outbox.push(reply, Class::Durable);
    if let Some(list) = watched {
        node.watch_answered(&link, &list);
    }
    drop(turn);
}
