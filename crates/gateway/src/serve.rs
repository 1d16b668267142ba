//! The life of a socket around its connection: who it is, everything it follows, and the farewell.
//!
//! Promise: whatever happens in between, what was registered is taken back, and the client is told by a close code
//! what to do next.

use std::{sync::Arc, time::Duration};

use chat::{Caller, ChatError};
use protocol::{BadCommand, CloseCode, Command, ConnectionId, ErrorCode, Hello, Timestamp};
use tokio::time::{Instant, timeout, timeout_at};
use traces::Context;

use crate::{
    close::{FAREWELL, close_code},
    connection::Connection,
    dispatch,
    journal::Ended,
    link::Link,
    node::Node,
    outbox::{Outbox, OutboxLimits},
    sse::{BadPosition, Position},
    transport::{End, Inbound, Transport},
};

/// Frames that a socket without credentials may send before it must have said `hello`.
const HELLO_FRAMES_MAX: usize = 10;

/// How a connection begins.
pub(crate) enum Opening {
    /// The client's first command, or its silence, decides.
    Silent {
        /// It promised to say `hello`: there is more time for it, on however slow a network.
        says_hello: bool,
    },
    /// It has said `hello`.
    Hello(Option<String>, Hello),
    /// It says nothing, ever: it goes on from here at once.
    Stream(Option<Result<Position, BadPosition>>),
}

/// Serves a client to its end. Without a caller it has proved nothing yet, and must say `hello`. `trace` is the one in
/// which it asked for the connection, if it said.
///
/// Most connections are idle for most of their lives, and a task is as large as the largest of its steps: what a
/// connection needs to begin stands in a box of its own, which goes when it has begun.
pub(crate) fn serve<T: Transport>(
    node: Arc<Node>,
    transport: T,
    caller: Option<Caller>,
    opening: Opening,
    trace: Option<Context>,
) -> impl Future<Output = ()> + Send + 'static {
    let beginning = Box::pin(begin(node, transport, caller, opening, trace));
    async move {
        let session = beginning.await;
        if let Some(session) = session {
            session.run().await;
        }
    }
}

/// A connection that has begun, and what is registered for it: the second is taken back when the first is gone.
struct Session<T> {
    connection: Connection<T>,
    open: Open,
}

impl<T: Transport> Session<T> {
    async fn run(mut self: Box<Self>) {
        let end = self.connection.run().await;
        self.open.end(end);
    }
}

/// Up to where only its socket counts. None when it has ended before that.
async fn begin<T: Transport>(
    node: Arc<Node>,
    mut transport: T,
    caller: Option<Caller>,
    opening: Opening,
    trace: Option<Context>,
) -> Option<Box<Session<T>>> {
    let (caller, opening) = match caller {
        Some(caller) => (caller, opening),
        None => match hello(&node, &mut transport).await {
            Ok((caller, reference, hello)) => (caller, Opening::Hello(reference, hello)),
            Err(end) => {
                node.metrics.refused_upgrades.with_label_values(&["hello"]).inc();
                farewell(&mut transport, end).await;
                return None;
            }
        },
    };
    let expires_at = deadline_of(&node, caller.expires_at);
    let limits = OutboxLimits { bytes: node.config.outbox_bytes, events: node.config.outbox_events };
    let link = Link::new(ConnectionId(node.env().id()), Arc::new(caller), Outbox::new(limits), expires_at);
    let link = link.opened_in(trace);
    let link = Arc::new(if transport.resumes_by_id() { link.marked() } else { link });
    if !node.hub.feeds.register(&link, node.chat.limits().user_connections) {
        node.metrics.refused_upgrades.with_label_values(&["user_connections"]).inc();
        farewell(&mut transport, End::Close(CloseCode::RateLimited)).await;
        return None;
    }
    let mut open = Open::new(&node, &link);
    tracing::debug!(connection.id = %link.id, user.id = %link.user(), "connected");
    match node.start(&link).await {
        Ok(started) => {
            let connection = Connection::begin(node, link, transport, started, opening);
            Some(Box::new(Session { connection, open }))
        }
        Err(error) => {
            log_failure(&link, &error);
            let end = End::Close(close_code(&error));
            farewell(&mut transport, end).await;
            open.end(end);
            None
        }
    }
}

/// A registered connection. Dropped, it is taken out of everything, also when its task ends in a panic.
struct Open {
    node: Arc<Node>,
    link: Arc<Link>,
    end: End,
}

impl Open {
    fn new(node: &Arc<Node>, link: &Arc<Link>) -> Self {
        node.hub.orgs.join(link.org());
        node.presence.came(link);
        node.metrics.opened.inc();
        node.metrics.connections.inc();
        let (node, link) = (Arc::clone(node), Arc::clone(link));
        Self { node, link, end: End::Close(CloseCode::Internal) }
    }

    /// Why it is over, which it is about to be.
    fn end(&mut self, end: End) {
        self.end = end;
        tracing::debug!(connection.id = %self.link.id, user.id = %self.link.user(), end = %end.label(), "disconnected");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let places = self.node.places(&self.link);
        self.node.end(&self.link);
        self.node.ended.note(
            &self.node.config,
            Ended {
                id: self.link.id,
                user: self.link.user(),
                is_stream: self.link.mark.is_some(),
                opened: self.link.opened,
                at: Instant::now(),
                end: self.end.label(),
                settled: self.link.outbox.settled(),
                fetches: self.link.fetches(),
                places,
            },
        );
        let metrics = &self.node.metrics;
        metrics.connections.dec();
        metrics.connection_seconds.observe(self.link.opened.elapsed().as_secs_f64());
        metrics.closed.with_label_values(&[&self.end.label()]).inc();
        metrics.ephemeral_dropped.inc_by(self.link.outbox.dropped());
    }
}

/// Waits for a `hello` with a token.
async fn hello(node: &Node, transport: &mut impl Transport) -> Result<(Caller, Option<String>, Hello), End> {
    let deadline = Instant::now() + node.config.hello_timeout;
    for _ in 0..HELLO_FRAMES_MAX {
        let inbound = timeout_at(deadline, transport.receive()).await;
        let text = match inbound.map_err(|_| End::Close(CloseCode::NotAuthenticated))?? {
            Inbound::Text(text) => text,
            Inbound::Alive => continue,
        };
        let answer = match Command::decode(&text) {
            Ok((reference, Command::Hello(Hello { token: Some(token), resume }))) => {
                match node.chat.authenticate_connection(&token).await {
                    Ok(caller) => return Ok((caller, reference, Hello { token: None, resume })),
                    Err(error) => {
                        let frame = dispatch::refused(reference, &error);
                        // The socket ends either way.
                        let _ = timeout(FAREWELL, transport.send(frame.into())).await;
                        return Err(End::Close(close_code(&error)));
                    }
                }
            }
            Ok((reference, _)) => {
                let error = ChatError::new(ErrorCode::NotAuthenticated, "say hello with a token first");
                dispatch::refused(reference, &error)
            }
            Err(BadCommand { reference, error }) => dispatch::bad(reference, error),
        };
        let sent = timeout_at(deadline, transport.send(answer.into())).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(End::Gone);
        }
    }
    Err(End::Close(CloseCode::NotAuthenticated))
}

/// When a token's end comes, on the runtime's clock.
pub(crate) fn deadline_of(node: &Node, at: Timestamp) -> Instant {
    let left = at.get() - node.env().now().get();
    // A token that lives for years must not overflow the clock.
    let left = Duration::try_from(left).unwrap_or_default().min(Duration::from_hours(24 * 365));
    Instant::now() + left
}

/// Says why, where there is something to say.
pub(crate) async fn farewell(transport: &mut impl Transport, end: End) {
    if let End::Close(code) = end {
        transport.close(code).await;
    }
}

pub(crate) fn log_failure(link: &Link, error: &ChatError) {
    let id = link.id;
    if error.code == ErrorCode::Internal {
        tracing::error!(connection.id = %id, error = error as &dyn std::error::Error, "a connection could not start");
    } else {
        tracing::debug!(connection.id = %id, %error, "a connection could not start");
    }
}
