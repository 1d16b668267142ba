//! The words between a [`Core`](super::Core) and the owner of its socket, and what it keeps of a command.

use std::time::Duration;

use protocol::{ErrorCode, Reply};
use serde_json::Value;

/// Draws a time below another one, for backoff.
pub type Draw = Box<dyn FnMut(Duration) -> Duration + Send>;

/// How often a command is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Once, on the first connection that is live: an ended connection loses it.
    Once,
    /// Until there is an answer that no later one could better, over as many connections as that takes.
    UntilAnswered,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// Done, or refused.
    Reply(Reply<Value>),
    /// The connection ended before the reply came.
    Lost,
}

/// What the owner of the socket is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a socket, then [`Core::opened`] or [`Core::failed`].
    Connect,
    /// Send this frame.
    Send(Value),
    /// End the socket, in order or by breaking it; nothing of it is told any more.
    Leave {
        /// With a close frame.
        in_order: bool,
    },
    /// A command has come to its end.
    Answered {
        /// Which, as [`Core::command`] numbered it.
        number: u64,
        /// How.
        outcome: Answered,
    },
    /// The server sent the client away for good, with this code.
    Stopped(u16),
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits until then.
    Away(Duration),
    Connecting,
    /// A socket is open and `hello` is not answered.
    Open,
    Live,
    Stopped,
}

/// Something that the user wants said.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) number: u64,
    pub(super) frame: Value,
    pub(super) persistence: Persistence,
    /// When it was said on this connection.
    pub(super) said: Option<Duration>,
    pub(super) not_before: Duration,
}

/// Refusals that pass: the same may work a moment later.
pub fn is_passing(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::Timeout | ErrorCode::RateLimited)
}

pub(super) fn passing(code: &Value) -> bool {
    serde_json::from_value(code.clone()).is_ok_and(is_passing)
}
