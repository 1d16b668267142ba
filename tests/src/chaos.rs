//! Chaos with real processes: people use a cluster while faults come at seeded moments; then everything settles, and
//! the [auditor](crate::audit) compares what they did and saw with the store.
//!
//! Promises that a run ends in bounded time, that one seed draws what is done and which faults come in which order
//! (their timing is the machine's), and that everything a violation needs for its diagnosis is kept. A run is made of
//! rounds: each has people and conversations of its own on the same cluster, so that memory and audits stay small
//! however long it goes on.

mod actor;
mod deeds;
mod device;
mod faults;
mod look;
mod people;
mod probe;
mod report;
mod round;
mod stage;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;

pub use self::{faults::Fault, report::Report};

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Draws everything that is drawn.
    pub seed: u64,
    /// For so long, settling and audits included; at least one round.
    pub duration: Duration,
    /// One round's work, before it settles.
    pub round: Duration,
    /// People in a round.
    pub people: usize,
    /// Their sockets, at least one each.
    pub devices: usize,
    /// So many of them have an event stream too.
    pub streams: usize,
    /// What all of them together do in a second.
    pub pace: f64,
    /// Which faults there are; each comes before any comes again.
    pub faults: Vec<Fault>,
    /// Between two faults, at least; up to twice this.
    pub calm: Duration,
    /// A protection that is off in every node.
    pub weaken: Option<&'static str>,
    /// After the last fault everything is whole within this.
    pub settle: Duration,
    /// And then everybody is told and shown to be there who is, and nobody else, within this.
    pub presence: Duration,
    /// Where logs are kept when something is wrong.
    pub keep: PathBuf,
}

impl Plan {
    /// A moderate load, all faults.
    pub fn new(seed: u64, duration: Duration) -> Self {
        Self {
            seed,
            duration,
            round: duration.min(Duration::from_mins(2)),
            people: 12,
            devices: 25,
            streams: 6,
            pace: 50.0,
            faults: Fault::ALL.to_vec(),
            calm: Duration::from_millis(1_500),
            weaken: None,
            settle: Duration::from_secs(30),
            // A hint that was lost is made up for by the look every 30 s; then there are a pause (5 s) and a lease (3
            // s).
            presence: Duration::from_secs(45),
            keep: crate::node::binary()
                .ok()
                .and_then(|binary| Some(binary.parent()?.parent()?.to_owned()))
                .unwrap_or_else(std::env::temp_dir)
                .join("soak")
                .join(seed.to_string()),
        }
    }
}

/// Runs a plan to its end; stops after the first round with violations. Errors are of the machinery: something did not
/// start, or did not come back.
pub async fn run(plan: &Plan) -> Result<Report> {
    let start = Instant::now();
    let mut stage = stage::Stage::set(plan).await.context("the cluster did not start")?;
    let mut report = Report::new(plan.seed);
    loop {
        let number = report.rounds;
        let ran = round::run(plan, number, &mut stage, &mut report).await;
        if ran.is_err() || !report.violations.is_empty() {
            report.kept = Some(stage.keep_logs(&plan.keep)?);
        }
        ran.with_context(|| format!("round {number} of seed {}; logs are in {}", plan.seed, plan.keep.display()))?;
        report.took = start.elapsed();
        // Another round, if there is time for most of it.
        if !report.violations.is_empty() || report.took + plan.round / 2 >= plan.duration {
            return Ok(report);
        }
    }
}
