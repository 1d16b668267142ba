//! For benchmarks: a load that the server carries, then one that it does not, then the first again, over the same
//! sockets. Messages that are refused are given up: what comes is what was to come (an open loop of Poisson arrivals),
//! whatever the server says to it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::{
    Counts, Target,
    cli::Scenario,
    meter::Kind,
    pairs::connected,
    plan::{Pace, Plan},
    report::model::Latency,
    room::stage,
    stage::{Crowd, Sender, Stage},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Surge {
    /// Distinguishes this run's users.
    pub run: String,
    /// Direct conversations; both people write.
    pub pairs: usize,
    /// Messages per second that the server carries.
    pub carried: f64,
    /// Messages per second that it does not.
    pub too_much: f64,
    /// How long each of the two loads that it carries is measured.
    pub calm: Duration,
    /// How long too much comes.
    pub surge: Duration,
    /// How long it may take until everything is as before.
    pub recovery: Duration,
}

/// One part of the run.
#[derive(Debug, Clone)]
pub struct Part {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Refusals, and whatever else went wrong, by code.
    pub refused: BTreeMap<String, u64>,
    /// Intended time to acknowledgement, milliseconds at p50 and p99.
    pub ack_ms: [f64; 2],
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the server carries, before.
    pub before: Part,
    /// More.
    pub during: Part,
    /// As before, once the time for recovery is over.
    pub after: Part,
    /// Faults.
    pub findings: Counts,
}

/// Runs it; `begins` is called when too much is about to come, `ends` when it is over.
pub async fn run(target: &Target, surge: &Surge, begins: impl FnOnce(), ends: impl FnOnce()) -> Result<Outcome> {
    ensure!(surge.pairs > 0, "there must be a pair");
    let pace = Pace::Open { rate: surge.carried };
    let scenario = Scenario::Pairs { pairs: surge.pairs };
    let plan = Plan { retries: false, ..Plan::for_benchmark(target, &surge.run, scenario, pace) };
    let mut stage = stage(target, plan)?;
    let (crowd, senders) = connected(&stage, surge.pairs).await?;

    let before = part(&mut stage, &crowd, &senders, surge.carried, surge.calm).await?;
    begins();
    let during = part(&mut stage, &crowd, &senders, surge.too_much, surge.surge).await?;
    ends();
    part(&mut stage, &crowd, &senders, surge.carried, surge.recovery).await?;
    let after = part(&mut stage, &crowd, &senders, surge.carried, surge.calm).await?;
    stage.settle(&crowd).await;
    Ok(Outcome { before, during, after, findings: stage.run.ledger.verdict().faults })
}

/// Sends at this rate for so long: what was answered meanwhile. What is answered later counts for the next part.
async fn part(stage: &mut Stage, crowd: &Crowd, senders: &[Sender], rate: f64, time: Duration) -> Result<Part> {
    stage.plan.pace = Pace::Open { rate };
    stage.plan.time = time;
    let before = stage.run.meter.errors();
    stage.send(crowd, senders.to_vec()).await?;
    let timed = stage.run.meter.collect();
    let since = |(code, count): (String, u64)| {
        let new = count - before.get(&code).copied().unwrap_or_default();
        (new > 0).then_some((code, new))
    };
    let refused = stage.run.meter.errors().into_iter().filter_map(since).collect();
    let acks = timed.get(&Kind::Ack);
    let ack_ms = acks.map(Latency::of).map(|latency| [latency.p50, latency.p99]).unwrap_or_default();
    Ok(Part { acknowledged: acks.map_or(0, Histogram::len), refused, ack_ms })
}
