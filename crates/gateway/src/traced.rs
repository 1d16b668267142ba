//! What traces show of a command, and of an event on its way from the bus to sockets. Nothing, and at no cost, where none
//! is recorded.

use protocol::{ConversationId, NodeId, Seq};
use traces::{Context, TARGET};
use tracing::{Span, field, info_span};

use crate::link::Link;

/// Most connections of one event that have a span each: a room of thousands makes no trace of thousands.
const WRITES_MAX: i64 = 16;

/// The span of a command, a trace of its own: a socket lives for hours. With a link to the trace in which the socket was
/// opened, if the client told of one.
pub(crate) fn command(link: &Link, kind: &'static str) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "command",
        otel.kind = "server",
        kind,
        connection.id = %link.id,
        user.id = %link.user(),
        outcome = field::Empty,
    );
    if let Some(opened) = link.opened_in.as_deref() {
        traces::links(&span, *opened);
    }
    span
}

/// An event in a trace that is recorded, on this node. Its span lasts from its arrival until it was handed to everybody,
/// an event that waits for the one before it included.
#[derive(Debug)]
pub(crate) struct Delivery {
    span: Span,
    context: Context,
    connections: i64,
}

impl Delivery {
    /// Below the change's span, on whichever node that was. None where this node records nothing.
    pub(crate) fn begin(from: Context, id: ConversationId, seq: Seq, node: Option<NodeId>) -> Option<Box<Self>> {
        let span = info_span!(
            target: TARGET,
            parent: None,
            "deliver",
            otel.kind = "consumer",
            conversation.id = %id,
            seq = seq as i64,
            node.id = node.map(field::display),
            connections = field::Empty,
        );
        traces::continues(&span, from);
        let context = Context::of(&span)?;
        Some(Box::new(Self { span, context, connections: 0 }))
    }

    /// It goes to this connection: the span of its being written, of the first ones.
    pub(crate) fn to(&mut self, link: &Link) -> Option<Span> {
        self.connections += 1;
        if self.connections > WRITES_MAX {
            return None;
        }
        let span = info_span!(
            target: TARGET,
            // A parent in `tracing` would last for as long as its slowest child.
            parent: None,
            "socket.write",
            connection.id = %link.id,
            user.id = %link.user(),
            written = field::Empty,
        );
        traces::continues(&span, self.context);
        Some(span)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.span.record("connections", self.connections);
    }
}
