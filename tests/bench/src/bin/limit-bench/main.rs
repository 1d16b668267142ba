//! `limit-bench [quick]`: the limit server alone, through C1, C2, C3 and M1, in interleaved rounds. Prints a Markdown
//! table.
//!
//! The server is pinned to the first core and the load to the others; with one core alone nothing is pinned, and the
//! table says so. A run in which one delivery was wrong fails. `limit-server` is taken from this program's own folder.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::{
    limit::{Dialect, Idle, Load, Outcome, Started, cores, cpu_seconds, hold, memory, pin, run},
    table::Samples,
};

/// How much to measure.
struct Plan {
    rounds: usize,
    time: Duration,
    idle: usize,
}

/// What came of it.
#[derive(Default)]
struct Figures {
    idle_pss: Samples,
    idle_rss: Samples,
    fan_out_cpu: Samples,
    fan_out_rate: Samples,
    pairs_cpu: Samples,
    pairs_rate: Samples,
    steady_cpu: Samples,
    steady_p50: Samples,
    steady_p99: Samples,
}

fn main() -> Result<()> {
    let plan = match std::env::args().nth(1).as_deref() {
        None => Plan { rounds: 5, time: Duration::from_secs(5), idle: 5_000 },
        Some("quick") => Plan { rounds: 3, time: Duration::from_secs(2), idle: 2_000 },
        Some(other) => anyhow::bail!("`{other}` is neither `quick` nor nothing"),
    };
    let cores = cores()?;
    let place = match cores.as_slice() {
        [server, load @ ..] if !load.is_empty() => {
            // Before the runtime has threads, which stay where this one is.
            pin(std::process::id(), load)?;
            Some(*server)
        }
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.len().saturating_sub(1).max(1))
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let figures = runtime.block_on(measure(&plan, place))?;
    print(&plan, place, &figures);
    Ok(())
}

async fn measure(plan: &Plan, place: Option<usize>) -> Result<Figures> {
    let program = std::env::current_exe()?.with_file_name("limit-server");
    let mut figures = Figures::default();
    for _ in 0..plan.rounds {
        let server = Started::start(&program)?;
        if let Some(core) = place {
            pin(server.id(), &[core])?;
        }
        weigh(&server, plan, &mut figures).await?;

        let outcome = one(&server, &Load::fan_out(500, plan.time)).await?;
        figures.fan_out_cpu.add(outcome.sampled * 1e6 / outcome.delivered as f64);
        figures.fan_out_rate.add(outcome.delivered as f64 / outcome.seconds);
        let outcome = one(&server, &Load::pairs(500, plan.time)).await?;
        figures.pairs_cpu.add(outcome.sampled * 1e6 / outcome.sent as f64);
        figures.pairs_rate.add(outcome.sent as f64 / outcome.seconds);
        let outcome = one(&server, &Load::steady(100, 1_000.0, plan.time)).await?;
        figures.steady_cpu.add(outcome.sampled * 1e6 / outcome.sent as f64);
        figures.steady_p50.add(outcome.deliveries.value_at_quantile(0.5) as f64 / 1e3);
        figures.steady_p99.add(outcome.deliveries.value_at_quantile(0.99) as f64 / 1e3);
        ensure!(server.end()?, "the server did not end well");
    }
    Ok(figures)
}

async fn one(server: &Started, load: &Load) -> Result<Outcome> {
    let outcome = run(server.address(), load, || cpu_seconds(server.id())).await?;
    ensure!(outcome.faults.is_clean(), "deliveries were wrong: {:?} in {load:?}", outcome.faults);
    Ok(outcome)
}

/// What an idle socket takes in the server.
async fn weigh(server: &Started, plan: &Plan, figures: &mut Figures) -> Result<()> {
    let idle = |sockets| Idle { sockets, rooms: 5, patience: Duration::from_secs(30), dialect: Dialect::Plain };
    // A first few, so that what the process allocates once is not counted.
    let warm = hold(server.address(), &idle(20)).await?;
    let before = memory(server.id())?;
    let held = hold(server.address(), &idle(plan.idle)).await?;
    let after = memory(server.id())?;
    figures.idle_pss.add(after.pss.saturating_sub(before.pss) as f64 / plan.idle as f64);
    figures.idle_rss.add(after.rss.saturating_sub(before.rss) as f64 / plan.idle as f64);
    held.close().await?;
    warm.close().await
}

fn print(plan: &Plan, place: Option<usize>, figures: &Figures) {
    let Plan { rounds, time, idle } = plan;
    let pinned = place.map_or("nothing is pinned".to_owned(), |core| format!("the server pinned to core {core}"));
    println!("{rounds} rounds of {time:?}, median (least–most), {pinned}\n");
    println!("| the limit server | |\n|---|---|");
    for (name, samples) in [
        (format!("bytes (PSS) per idle socket in 5 rooms, of {idle}"), &figures.idle_pss),
        ("bytes (RSS) per idle socket".to_owned(), &figures.idle_rss),
        ("C1, fan-out 1×500: CPU-µs per delivery".to_owned(), &figures.fan_out_cpu),
        ("C1: deliveries per second".to_owned(), &figures.fan_out_rate),
        ("C2, pairs 500×2: CPU-µs per message".to_owned(), &figures.pairs_cpu),
        ("C2: messages per second".to_owned(), &figures.pairs_rate),
        ("C3, steady 1,000/s in 100×10: CPU-µs per message".to_owned(), &figures.steady_cpu),
        ("C3: ms to delivery at p50".to_owned(), &figures.steady_p50),
        ("C3: ms to delivery at p99".to_owned(), &figures.steady_p99),
    ] {
        println!("| {name} | {samples} |");
    }
}
