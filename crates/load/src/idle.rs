//! For benchmarks: sockets that do nothing, held as long as the benchmark wants them.

use std::sync::Arc;

use anyhow::Result;

use crate::{
    Target,
    cli::Scenario,
    device::Line,
    plan::{Pace, Plan},
    room::stage,
    scenario::dealt,
    stage::Crowd,
};

/// What to open.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Distinguishes this run's users and conversations.
    pub run: String,
    /// Sockets, each of its own user.
    pub sockets: usize,
    /// Conversations that each user takes part in (groups of 10 are formed).
    pub conversations: usize,
}

/// Open sockets; dropped, they close.
#[derive(Debug)]
pub struct Open {
    crowd: Crowd,
}

impl Open {
    /// How many are live now.
    pub fn live(&self) -> usize {
        self.crowd.iter().filter(|device| device.is_live()).count()
    }
}

/// Opens the sockets; returns when all are live.
pub async fn open(target: &Target, idle: &Idle) -> Result<Open> {
    let scenario = Scenario::Idle { sockets: idle.sockets, conversations: idle.conversations };
    let stage = stage(target, Plan::for_benchmark(target, &idle.run, scenario, Pace::Closed { in_flight: 1 }))?;
    let people = stage.people(idle.sockets).await?;
    let members = idle.sockets.min(10);
    let count = (idle.sockets * idle.conversations).div_ceil(members.max(1));
    let (rooms, of) = dealt(&stage, &people, count, members).await?;
    let mine = |n: usize| of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect();
    Ok(Open { crowd: stage.connect(&people, Line::Socket, mine).await? })
}
