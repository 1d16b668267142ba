//! For benchmarks: many conversations, and so many messages per second altogether, whatever comes back (an open loop of
//! Poisson arrivals; latency counts from the intended time). Every delivery is checked, and something of the
//! benchmark's own is measured meanwhile.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use crate::{
    Counts, Target,
    cli::Scenario,
    device::Line,
    ledger,
    meter::Kind,
    plan::{Pace, Plan},
    report::model::Latency,
    room::{Outcome, measure, stage},
    scenario::dealt,
    stage::{Crowd, Sender, Stage},
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
    let (stage, crowd, senders) = connected(target, steady).await?;
    measure(&stage, &crowd, senders, sample).await
}

/// A run in parts that others decide on, while something happens to the servers.
pub struct Running {
    stage: Arc<Stage>,
    crowd: Crowd,
    sending: JoinHandle<Result<()>>,
}

impl Running {
    /// Connects everybody and begins to send; it ends by [`Self::end`], or after the time that it was given.
    pub async fn start(target: &Target, steady: &Steady) -> Result<Self> {
        let (stage, crowd, senders) = connected(target, steady).await?;
        let stage = Arc::new(stage);
        let sending = tokio::spawn({
            let (stage, crowd) = (Arc::clone(&stage), Arc::clone(&crowd));
            async move { stage.send(&crowd, senders).await }
        });
        Ok(Self { stage, crowd, sending })
    }

    /// Ends a part: from the intended time of a message to each delivery in it, milliseconds at p50 and p99. None:
    /// nothing was delivered.
    pub fn part(&self) -> Option<[f64; 2]> {
        let timed = self.stage.run.meter.collect();
        timed.get(&Kind::Delivery).map(Latency::of).map(|latency| [latency.p50, latency.p99])
    }

    /// Stops, waits for the last deliveries, and tells what was wrong.
    pub async fn end(self) -> Result<Counts> {
        self.stage.run.stop.cancel();
        self.sending.await??;
        self.stage.settle(&self.crowd).await;
        Ok(self.stage.run.ledger.verdict().faults)
    }
}

async fn connected(target: &Target, steady: &Steady) -> Result<(Stage, Crowd, Vec<Sender>)> {
    ensure!(steady.rooms > 0 && steady.members > 1, "there must be a conversation, of two at least");
    ensure!(steady.rate.is_finite() && steady.rate > 0.0, "a rate must be above 0");
    let users = steady.rooms * steady.members;
    let scenario = Scenario::Rooms { rooms: steady.rooms, members: steady.members, users: Some(users) };
    let pace = Pace::Open { rate: steady.rate };
    let plan = Plan::for_benchmark(target, &steady.run, scenario, pace);
    let stage = stage(target, Plan { time: steady.time, size: steady.size, ..plan })?;
    let people = stage.people(users).await?;
    let (rooms, of) = dealt(&stage, &people, steady.rooms, steady.members).await?;
    let mine = |n: usize| -> Vec<Arc<ledger::Room>> { of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect() };
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    let senders = (0..users).map(|device| Sender { device, rooms: mine(device) }).collect();
    Ok((stage, crowd, senders))
}
