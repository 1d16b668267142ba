//! What a connection can suffer below the protocols.

use std::time::Duration;

/// One of the two streams of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flow {
    /// They pass at once.
    #[default]
    Pass,
    /// They pass later, in order: each read after `base` and up to `jitter` more, drawn from `seed`.
    Delay {
        /// At least so long.
        base: Duration,
        /// At most so much longer.
        jitter: Duration,
        /// Of the draws, together with the number of the connection and the direction.
        seed: u64,
    },
    /// They pass slowly. 0 counts as 1.
    Throttle {
        /// At most so many.
        bytes_per_second: u32,
    },
    /// They are read and thrown away. A connection that lost bytes stays dead after that; one that is made
    /// meanwhile is accepted and never reaches the server.
    Swallow,
    /// They are not read, so that the sender's buffers fill; nothing is lost, and all of it passes afterwards. What
    /// a frozen peer looks like, or a network that comes back before anybody gave up.
    Stall,
}

/// Both directions of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// What clients send.
    pub to_server: Flow,
    /// What the server answers.
    pub to_client: Flow,
}

impl Faults {
    /// One direction suffers this, the other passes.
    pub fn one(direction: Direction, flow: Flow) -> Self {
        match direction {
            Direction::ToServer => Self { to_server: flow, to_client: Flow::Pass },
            Direction::ToClient => Self { to_server: Flow::Pass, to_client: flow },
        }
    }

    pub(super) fn of(self, direction: Direction) -> Flow {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}
