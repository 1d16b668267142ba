//! Drives a server that speaks as the limit server does (see [`crate::server`]) through the shapes of the benchmark,
//! and checks every delivery.
//!
//! [`Load`] says what to run and [`run`] runs it: each member gets each message of its room once, whole and under the
//! same number as everybody else, or it is counted in [`Faults`]. [`hold`] opens sockets that do nothing. [`Started`]
//! is a limit server as a process of its own, with its CPU time and memory. Nothing here is spared for speed: the
//! driver costs more than the server it drives, so what counts is the server's CPU time, not what goes through per
//! second.

mod clock;
mod dial;
mod dialect;
mod fds;
mod idle;
mod ledger;
mod meter;
mod pin;
mod process;
mod run;
mod socket;
mod text;
mod track;

use std::time::Duration;

pub use self::{
    dialect::Dialect,
    idle::{Held, Idle, hold},
    ledger::Faults,
    pin::{cores, pin},
    process::{Memory, Started, cpu_seconds, memory},
    run::{Outcome, run},
    text::SHORTEST,
};

/// Who sends when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// In each room so many members send, each as soon as one of its own messages under way has come back to it.
    Closed {
        /// Of each room.
        senders: usize,
        /// Messages under way of each sender.
        in_flight: usize,
    },
    /// Anybody sends at any time: so many messages per second altogether, at the times of a Poisson process. Latency
    /// counts from the intended time.
    Open {
        /// Messages per second.
        rate: f64,
    },
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Rooms.
    pub rooms: usize,
    /// Number of the first one. Servers that remember what was said in a room go on counting there.
    pub first: usize,
    /// Sockets in each room; each is in one.
    pub members: usize,
    /// Who sends when.
    pub pace: Pace,
    /// Bytes of a text, [`SHORTEST`] at least.
    pub size: usize,
    /// How long to send.
    pub time: Duration,
    /// How long to wait for a socket to open, and for the last deliveries.
    pub patience: Duration,
    /// How the server wants to be spoken to.
    pub dialect: Dialect,
}

impl Load {
    const PATIENCE: Duration = Duration::from_secs(20);

    /// C1: one room, 8 senders with 2 messages under way each.
    pub fn fan_out(members: usize, time: Duration) -> Self {
        Self::of(1, 0, members, Pace::Closed { senders: members.min(8), in_flight: 2 }, time)
    }

    /// C2: rooms of two who both send.
    pub fn pairs(pairs: usize, time: Duration) -> Self {
        Self::of(pairs, 10_000, 2, Pace::Closed { senders: 2, in_flight: 1 }, time)
    }

    /// C3: so many messages per second over rooms of ten, whatever comes back.
    pub fn steady(rooms: usize, rate: f64, time: Duration) -> Self {
        Self::of(rooms, 20_000, 10, Pace::Open { rate }, time)
    }

    fn of(rooms: usize, first: usize, members: usize, pace: Pace, time: Duration) -> Self {
        let (patience, dialect) = (Self::PATIENCE, Dialect::Plain);
        Self { rooms, first, members, pace, size: 128, time, patience, dialect }
    }

    /// The same, to a server that wants to be spoken to in this way.
    #[must_use]
    pub fn spoken(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Sockets altogether.
    pub fn sockets(&self) -> usize {
        self.rooms * self.members
    }
}
