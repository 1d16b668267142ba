//! For benchmarks: many conversations, and so many messages per second altogether, whatever comes back (an open loop of
//! Poisson arrivals; latency counts from the intended time). Every delivery is checked, and something of the
//! benchmark's own is measured meanwhile.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    Target,
    cli::Scenario,
    device::Line,
    ledger,
    plan::Pace,
    room::{Outcome, measure, stage},
    scenario::dealt,
    stage::Sender,
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Steady {
    /// Distinguishes this run's users.
    pub run: String,
    /// Conversations.
    pub rooms: usize,
    /// Members of each, each with one socket and in no other conversation.
    pub members: usize,
    /// Messages per second, of anybody.
    pub rate: f64,
    /// Characters of a message.
    pub size: usize,
    /// How long to send.
    pub time: Duration,
}

/// Runs it. `sample` is called at the start and the end of the measured part; the difference is reported.
pub async fn run(target: &Target, steady: &Steady, sample: impl FnMut() -> f64) -> Result<Outcome> {
    ensure!(steady.rooms > 0 && steady.members > 1, "there must be a conversation, of two at least");
    ensure!(steady.rate.is_finite() && steady.rate > 0.0, "a rate must be above 0");
    let users = steady.rooms * steady.members;
    let scenario = Scenario::Rooms { rooms: steady.rooms, members: steady.members, users: Some(users) };
    let mut stage = stage(target, &steady.run, scenario, Pace::Open { rate: steady.rate })?;
    stage.plan.time = steady.time;
    stage.plan.size = steady.size;
    let people = stage.people(users).await?;
    let (rooms, of) = dealt(&stage, &people, steady.rooms, steady.members).await?;
    let mine = |n: usize| -> Vec<Arc<ledger::Room>> { of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect() };
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    let senders = (0..users).map(|device| Sender { device, rooms: mine(device) }).collect();
    measure(&stage, &crowd, senders, sample).await
}
