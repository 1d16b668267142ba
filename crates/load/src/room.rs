//! For benchmarks: one conversation with many members, some of whom send as fast as they are answered (a closed loop).
//! Every delivery to every member is checked, and something of the benchmark's own is measured meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use protocol::ConversationKind;
use serde::Serialize;

use crate::{
    Counts, Target,
    cli::Scenario,
    device::Line,
    fds,
    meter::Kind,
    people::{People, Tokens},
    plan::{Pace, Plan},
    report::model::Latency,
    rest::Rest,
    run::{Parts, Run},
    socket::Dialer,
    stage::{Crowd, Sender, Stage},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Room {
    /// Distinguishes this run's users.
    pub run: String,
    /// Members, each with one socket.
    pub members: usize,
    /// How many of them send.
    pub senders: usize,
    /// Messages that each sender has under way at once.
    pub in_flight: usize,
    /// Characters of a message.
    pub size: usize,
    /// How long to send.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Commands that were refused, by whatever code.
    pub refused: u64,
    /// Events that members received.
    pub delivered: u64,
    /// Events that they should have received.
    pub expected: u64,
    /// Faults.
    pub findings: Counts,
    /// Seconds from the first send to the last delivery.
    pub seconds: f64,
    /// Send (in an open loop: its intended time) to acknowledgement, milliseconds at p50 and p99.
    pub ack_ms: [f64; 2],
    /// Send (in an open loop: its intended time) to each delivery, milliseconds at p50 and p99.
    pub delivery_ms: [f64; 2],
    /// Send (in an open loop: its intended time) to the last member, milliseconds at p50 and p99.
    pub last_ms: [f64; 2],
    /// What `sample` gave for the measured part (CPU seconds of the servers, for instance).
    pub sampled: f64,
}

/// Runs it. `sample` is called at the start and the end of the measured part; the difference is reported.
pub async fn run(target: &Target, room: &Room, sample: impl FnMut() -> f64) -> Result<Outcome> {
    ensure!(room.senders <= room.members && room.senders > 0, "senders must be 1 to the number of members");
    let scenario = Scenario::Room { members: room.members, senders: room.senders };
    let pace = Pace::Closed { in_flight: room.in_flight as u32 };
    let plan = Plan::for_benchmark(target, &room.run, scenario, pace);
    let stage = stage(target, Plan { time: room.time, size: room.size, ..plan })?;
    let people = stage.people(room.members).await?;
    let place = stage.one_room(ConversationKind::Group, &people).await?;
    let crowd = stage.connect(&people, Line::Socket, |_| vec![Arc::clone(&place)]).await?;
    let senders = (0..room.senders).map(|device| Sender { device, rooms: vec![Arc::clone(&place)] }).collect();
    measure(&stage, &crowd, senders, sample).await
}

/// Lets these send, waits for all that should come of it, and tells what did.
pub(crate) async fn measure(
    stage: &Stage,
    crowd: &Crowd,
    senders: Vec<Sender>,
    mut sample: impl FnMut() -> f64,
) -> Result<Outcome> {
    let (before, started) = (sample(), Instant::now());
    stage.send(crowd, senders).await?;
    stage.settle(crowd).await;
    let (seconds, sampled) = (started.elapsed().as_secs_f64(), sample() - before);
    let verdict = stage.run.ledger.verdict();
    let timed = stage.run.meter.collect();
    let of = |kind| timed.get(&kind).map(Latency::of).map(|latency| [latency.p50, latency.p99]).unwrap_or_default();
    Ok(Outcome {
        acknowledged: verdict.acknowledged,
        refused: stage.run.meter.errors().values().sum(),
        delivered: verdict.delivered,
        expected: verdict.expected,
        findings: verdict.faults,
        seconds,
        ack_ms: of(Kind::Ack),
        delivery_ms: of(Kind::Delivery),
        last_ms: of(Kind::Last),
        sampled,
    })
}

/// A stage for a benchmark: its own servers, nothing shown and nothing recorded beside what is timed.
pub(crate) fn stage(target: &Target, plan: Plan) -> Result<Stage> {
    stage_with(target, plan, |dialer| dialer)
}

/// The same, with a say in how gateways are chosen.
pub(crate) fn stage_with(target: &Target, plan: Plan, choose: impl FnOnce(Dialer) -> Dialer) -> Result<Stage> {
    fds::make_room(plan.sockets())?;
    let rest = Rest::new(&plan.api)?;
    let people = People::new(rest.clone(), Tokens::minted(&target.secret), &plan.run);
    let dialer = choose(Dialer::new(&plan.gateways, plan.sockets(), plan.patience)?);
    let run = Run::new(&plan.run, Parts::of(&plan, rest, dialer));
    Ok(Stage { run, plan, people })
}
