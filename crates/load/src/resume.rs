//! For benchmarks: many sockets on one gateway that dies, while messages flow; they come back on the others, and every
//! delivery is checked. What is measured at the moments in between is the benchmark's own.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep};

use crate::{
    Counts, Target,
    cli::Scenario,
    device::Line,
    meter::Kind,
    plan::{Pace, Plan},
    report::model::Latency,
    room::stage_with,
    scenario::dealt,
    socket::Dialer,
    stage::{Crowd, Sender, Stage},
};

/// Between two looks at who is back.
const LOOK: Duration = Duration::from_millis(100);
/// By then everybody is back, or it failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// What to run.
#[derive(Debug, Clone)]
pub struct Resume {
    /// Distinguishes this run's users.
    pub run: String,
    /// Sockets, all of which begin at the target's first gateway.
    pub sockets: usize,
    /// Conversations of each user (of ten people).
    pub conversations: usize,
    /// Messages per second, of anybody.
    pub rate: f64,
    /// How long to send; the gateway dies after a third of it.
    pub time: Duration,
}

/// When something is to be looked at, or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Sockets are about to be opened.
    Connecting,
    /// All are live.
    Connected,
    /// The first gateway is to be killed now.
    Dies,
    /// All are live again.
    Back,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Connections that came back.
    pub back: u64,
    /// From the loss of a connection to when its events flow again, milliseconds at p50 and p99.
    pub back_ms: [f64; 2],
    /// Faults.
    pub findings: Counts,
    /// Deliveries, and how many there should have been.
    pub delivered: u64,
    /// Messages times members.
    pub expected: u64,
}

/// Runs it; `at` is called at each moment, and kills the gateway.
pub async fn run(target: &Target, resume: &Resume, mut at: impl AsyncFnMut(Moment) -> Result<()>) -> Result<Outcome> {
    ensure!(target.gateways.len() > 1, "there must be a gateway to come back to");
    let count = resume.sockets;
    let scenario = Scenario::Storm { sockets: count, share: 1.0, waves: 1, within: 0 };
    let pace = Pace::Open { rate: resume.rate };
    let plan = Plan { time: resume.time, ..Plan::for_benchmark(target, &resume.run, scenario, pace) };
    let stage = stage_with(target, plan, Dialer::with_one_home)?;
    let people = stage.people(count).await?;
    let members = count.min(10);
    let (rooms, of) = dealt(&stage, &people, (count * resume.conversations).div_ceil(members), members).await?;
    let mine = |n: usize| -> Vec<_> { of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect() };
    at(Moment::Connecting).await?;
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    at(Moment::Connected).await?;
    let senders = (0..count).map(|device| Sender { device, rooms: mine(device) }).collect();
    let storm = async {
        sleep(resume.time / 3).await;
        at(Moment::Dies).await?;
        let times = back(&stage, &crowd).await?;
        at(Moment::Back).await?;
        Ok::<_, anyhow::Error>(times)
    };
    let (sent, stormed) = tokio::join!(stage.send(&crowd, senders), storm);
    sent?;
    let times = stormed?;
    stage.settle(&crowd).await;
    let verdict = stage.run.ledger.verdict();
    let took = Latency::of(&times);
    Ok(Outcome {
        back: times.len(),
        back_ms: [took.p50, took.p99],
        findings: verdict.faults,
        delivered: verdict.delivered,
        expected: verdict.expected,
    })
}

/// Waits until everybody has come back; how long each was away, microseconds.
async fn back(stage: &Stage, crowd: &Crowd) -> Result<Histogram<u64>> {
    let end = Instant::now() + PATIENCE;
    let mut times: Option<Histogram<u64>> = None;
    loop {
        // What was collected is not there a second time.
        if let Some(more) = stage.run.meter.collect().remove(&Kind::Back) {
            match &mut times {
                Some(times) => times.add(more)?,
                None => times = Some(more),
            }
        }
        let live = crowd.iter().filter(|device| device.is_live()).count();
        match times {
            Some(times) if times.len() >= crowd.len() as u64 && live == crowd.len() => return Ok(times),
            _ if Instant::now() < end => sleep(LOOK).await,
            _ => {
                let why = stage.run.last_error.lock().clone();
                bail!("not everybody came back within {} s, {live} are live: {why}", PATIENCE.as_secs());
            }
        }
    }
}
