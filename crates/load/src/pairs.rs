//! For benchmarks: direct conversations, both sides writing as fast as they are answered (a closed loop). Every
//! delivery is checked, and something of the benchmark's own is measured meanwhile.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    Target,
    cli::Scenario,
    device::Line,
    plan::{Pace, Plan},
    room::{Outcome, measure, stage},
    stage::{Crowd, Sender, Stage},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// Distinguishes this run's users.
    pub run: String,
    /// Conversations, each of two users with one socket each.
    pub pairs: usize,
    /// Messages that each user has under way at once.
    pub in_flight: usize,
    /// Characters of a message.
    pub size: usize,
    /// How long to send.
    pub time: Duration,
}

/// Runs it. `sample` is called at the start and the end of the measured part; the difference is reported.
pub async fn run(target: &Target, pairs: &Pairs, sample: impl FnMut() -> f64) -> Result<Outcome> {
    ensure!(pairs.pairs > 0 && pairs.in_flight > 0, "there must be a pair, and a message under way");
    let scenario = Scenario::Pairs { pairs: pairs.pairs };
    let pace = Pace::Closed { in_flight: pairs.in_flight as u32 };
    let plan = Plan::for_benchmark(target, &pairs.run, scenario, pace);
    let stage = stage(target, Plan { time: pairs.time, size: pairs.size, ..plan })?;
    let (crowd, senders) = connected(&stage, pairs.pairs).await?;
    measure(&stage, &crowd, senders, sample).await
}

/// So many pairs, live; everybody writes.
pub(crate) async fn connected(stage: &Stage, pairs: usize) -> Result<(Crowd, Vec<Sender>)> {
    let people = stage.people(2 * pairs).await?;
    let couples: Vec<_> = people.as_chunks::<2>().0.to_vec();
    let rooms = stage.pairs(&couples).await?;
    let crowd = stage.connect(&people, Line::Socket, |n| vec![Arc::clone(&rooms[n / 2])]).await?;
    let senders = (0..people.len()).map(|n| Sender { device: n, rooms: vec![Arc::clone(&rooms[n / 2])] }).collect();
    Ok((crowd, senders))
}
