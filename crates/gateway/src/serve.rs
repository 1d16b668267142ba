//! The life of a socket around its connection: who it is, everything it follows, and the farewell.
//!
//! Promise: whatever happens in between, what was registered is taken back, and the client is told by a close code
//! what to do next.

use std::{sync::Arc, time::Duration};

use chat::{Caller, ChatError};
use protocol::{BadCommand, CloseCode, Command, ConnectionId, ErrorCode, Hello, Timestamp};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    close::{FAREWELL, close_code},
    connection::Connection,
    dispatch,
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

/// Serves a client that has proved nothing yet, from its first frame to its end.
pub(crate) async fn serve_stranger(node: Arc<Node>, mut transport: impl Transport) {
    match hello(&node, &mut transport).await {
        Ok((caller, reference, hello)) => serve(node, transport, caller, Opening::Hello(reference, hello)).await,
        Err(end) => {
            node.metrics.refused_upgrades.with_label_values(&["hello"]).inc();
            farewell(&mut transport, end).await;
        }
    }
}

/// Serves a client to its end.
pub(crate) async fn serve(node: Arc<Node>, mut transport: impl Transport, caller: Caller, opening: Opening) {
    let expires_at = deadline_of(&node, caller.expires_at);
    let limits = OutboxLimits { bytes: node.config.outbox_bytes, events: node.config.outbox_events };
    let link = Link::new(ConnectionId(node.env().id()), Arc::new(caller), Outbox::new(limits), expires_at);
    let link = Arc::new(if transport.resumes_by_id() { link.marked() } else { link });
    if !node.hub.feeds.register(&link, node.chat.limits().user_connections) {
        node.metrics.refused_upgrades.with_label_values(&["user_connections"]).inc();
        return farewell(&mut transport, End::Close(CloseCode::RateLimited)).await;
    }
    let mut open = Open::new(&node, &link);
    tracing::debug!(connection.id = %link.id, user.id = %link.user(), "connected");
    let end = match node.start(&link).await {
        Ok(started) => {
            node.saw_epoch(&started.memberships.epoch);
            Connection::new(&node, &link, transport).run(started, opening).await
        }
        Err(error) => {
            log_failure(&link, &error);
            farewell(&mut transport, End::Close(close_code(&error))).await;
            End::Close(close_code(&error))
        }
    };
    open.end = end;
    tracing::debug!(connection.id = %link.id, user.id = %link.user(), end = %end.label(), "disconnected");
}

/// A registered connection. Dropped, it is taken out of everything, also when its task ends in a panic.
struct Open<'a> {
    node: &'a Arc<Node>,
    link: &'a Arc<Link>,
    since: Instant,
    end: End,
}

impl<'a> Open<'a> {
    fn new(node: &'a Arc<Node>, link: &'a Arc<Link>) -> Self {
        node.hub.orgs.join(link.org());
        node.presence.came(link);
        node.metrics.opened.inc();
        node.metrics.connections.inc();
        Self { node, link, since: Instant::now(), end: End::Close(CloseCode::Internal) }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.node.end(self.link);
        let metrics = &self.node.metrics;
        metrics.connections.dec();
        metrics.connection_seconds.observe(self.since.elapsed().as_secs_f64());
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
                match node.chat.authenticate(&token).await {
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
