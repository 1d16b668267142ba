//! Starling beside the limit server, in interleaved rounds of one run: the shapes C1 (fan-out), C2 (pairs), C3 (steady)
//! and idle sockets, all deliveries checked on both sides.
//!
//! Starling stores each message in Postgres before it delivers it, through Redis; the limit server does neither. Each
//! is kept on the first core, and the load, Postgres and Redis on the others; with one core alone nothing is pinned.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::{
    limit::{self, Dialect, Faults, Load, Started, hold, pin},
    table::Samples,
};
use load::{idle, pairs, room, steady};

use crate::{
    Plan, processes,
    stack::{Apart, Stack},
};

/// One figure of both.
#[derive(Default)]
pub(crate) struct Both {
    pub(crate) limit: Samples,
    pub(crate) starling: Samples,
    /// Of each round.
    pub(crate) ratio: Samples,
}

impl Both {
    fn add(&mut self, limit: f64, starling: f64) {
        self.limit.add(limit);
        self.starling.add(starling);
        self.ratio.add(starling / limit);
    }
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) idle_bytes: Both,
    /// The kernel's share, where it tells.
    pub(crate) idle_kernel_bytes: Both,
    pub(crate) fan_out: Both,
    pub(crate) pairs: Both,
    pub(crate) steady: Both,
    pub(crate) steady_p99: Both,
}

/// What one round found of one server.
pub(crate) struct Round {
    pub(crate) idle_bytes: f64,
    idle_kernel_bytes: Option<f64>,
    /// CPU-µs per delivery, and of the next two per message.
    pub(crate) fan_out: f64,
    pub(crate) pairs: f64,
    pub(crate) steady: f64,
    /// Milliseconds.
    pub(crate) steady_p99: f64,
}

const RATE: f64 = 1_000.0;

/// Measures; the core that the servers are kept on, if there is one for them.
pub(crate) async fn measure(plan: &Plan) -> Result<(Figures, Option<usize>)> {
    let (apart, all) = Apart::of_this_machine()?;
    let server = apart.as_ref().and_then(|apart| apart.servers.first()).copied();
    let mut figures = Figures::default();
    for number in 0..plan.rounds {
        let limit = of_limit(plan, server).await.context("measuring the limit server")?;
        let starling = of_starling(plan, apart.as_ref(), number).await.context("measuring Starling")?;
        figures.idle_bytes.add(limit.idle_bytes, starling.idle_bytes);
        if let (Some(limit), Some(starling)) = (limit.idle_kernel_bytes, starling.idle_kernel_bytes) {
            figures.idle_kernel_bytes.add(limit, starling);
        }
        figures.fan_out.add(limit.fan_out, starling.fan_out);
        figures.pairs.add(limit.pairs, starling.pairs);
        figures.steady.add(limit.steady, starling.steady);
        figures.steady_p99.add(limit.steady_p99, starling.steady_p99);
    }
    // What is measured after this is not kept anywhere.
    pin(std::process::id(), &all)?;
    Ok((figures, server))
}

async fn of_limit(plan: &Plan, core: Option<usize>) -> Result<Round> {
    let server = Started::start(&std::env::current_exe()?.with_file_name("limit-server"))?;
    if let Some(core) = core {
        pin(server.id(), &[core])?;
    }
    let (round, faults) = of_spoken(plan, server, Dialect::Plain).await?;
    ensure!(faults.iter().all(Faults::is_clean), "deliveries were wrong: {faults:?}");
    Ok(round)
}

/// A server that promises what the limit server does, and what was wrong with C1, C2 and C3.
pub(crate) async fn of_spoken(plan: &Plan, server: Started, dialect: Dialect) -> Result<(Round, [Faults; 3])> {
    let idle = |sockets| limit::Idle { sockets, rooms: 5, patience: Duration::from_secs(30), dialect };
    // A first few, so that what the process allocates once is not counted.
    let warm = hold(server.address(), &idle(20)).await?;
    let (before, kernel_before) = (limit::memory(server.id())?.pss, processes::kernel_bytes());
    let held = hold(server.address(), &idle(plan.idle)).await?;
    let bytes = limit::memory(server.id())?.pss.saturating_sub(before);
    let idle_kernel_bytes = kernel_since(kernel_before, plan);
    held.close().await?;
    warm.close().await?;

    let run = async |load: Load| {
        limit::run(server.address(), &load.spoken(dialect), || limit::cpu_seconds(server.id())).await
    };
    let fan_out = run(Load::fan_out(plan.fan_out, plan.time)).await?;
    let pairs = run(Load::pairs(plan.pairs, plan.time)).await?;
    let steady = run(Load::steady(100, RATE, plan.time)).await?;
    ensure!(server.end()?, "the server did not end well");
    let faults = [fan_out.faults, pairs.faults, steady.faults];
    let round = Round {
        idle_bytes: bytes as f64 / plan.idle as f64,
        idle_kernel_bytes,
        fan_out: fan_out.sampled * 1e6 / fan_out.delivered as f64,
        pairs: pairs.sampled * 1e6 / pairs.sent as f64,
        steady: steady.sampled * 1e6 / steady.sent as f64,
        steady_p99: steady.deliveries.value_at_quantile(0.99) as f64 / 1e3,
    };
    Ok((round, faults))
}

/// What an idle socket takes in the kernel. Both of its ends are on this machine, and each takes half.
fn kernel_since(before: Option<f64>, plan: &Plan) -> Option<f64> {
    Some((processes::kernel_bytes()? - before?) / (2 * plan.idle) as f64)
}

pub(crate) async fn of_starling(plan: &Plan, apart: Option<&Apart>, number: usize) -> Result<Round> {
    let stack = Stack::start(1, apart).await?;
    let (target, pids) = (&stack.target, &stack.pids);
    let warm = idle::Idle { run: format!("warm-{number}"), sockets: 20, conversations: 5 };
    let warm = idle::open(target, &warm).await?;
    let (before, kernel_before) = (processes::settled_pss(pids).await?, processes::kernel_bytes());
    let wanted = idle::Idle { run: format!("idle-{number}"), sockets: plan.idle, conversations: 5 };
    let open = idle::open(target, &wanted).await?;
    let bytes = processes::settled_pss(pids).await?.saturating_sub(before);
    let idle_kernel_bytes = kernel_since(kernel_before, plan);
    drop((warm, open));
    processes::quiet(pids).await?;

    let cpu = || processes::cpu_seconds(pids).unwrap_or(f64::NAN);
    let clean = |outcome: room::Outcome| {
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        ensure!(outcome.delivered > 0, "nothing was delivered: {outcome:?}");
        Ok(outcome)
    };
    let (size, time) = (128, plan.time);
    let wanted = room::Room {
        run: format!("room-{number}"),
        members: plan.fan_out,
        senders: plan.fan_out.min(8),
        in_flight: 2,
        size,
        time,
    };
    let fan_out = clean(room::run(target, &wanted, cpu).await?)?;
    let wanted = pairs::Pairs { run: format!("pairs-{number}"), pairs: plan.pairs, in_flight: 1, size, time };
    let pairs = clean(pairs::run(target, &wanted, cpu).await?)?;
    let wanted = steady::Steady { run: format!("steady-{number}"), rooms: 100, members: 10, rate: RATE, size, time };
    let steady = clean(steady::run(target, &wanted, cpu).await?)?;
    Ok(Round {
        idle_bytes: bytes as f64 / plan.idle as f64,
        idle_kernel_bytes,
        fan_out: fan_out.sampled * 1e6 / fan_out.delivered as f64,
        pairs: pairs.sampled * 1e6 / pairs.acknowledged as f64,
        steady: steady.sampled * 1e6 / steady.acknowledged as f64,
        steady_p99: steady.delivery_ms[1],
    })
}
