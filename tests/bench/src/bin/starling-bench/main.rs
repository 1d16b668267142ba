//! `make bench`: the figures that the documents quote, side by side in one run. Prints a Markdown table.
//!
//! Absolute times mean little on a shared machine: what to read are ratios within one run. CPU time comes from
//! `/proc/PID/stat` of the server processes, memory from PSS in `/proc/PID/smaps_rollup`; every single delivery is
//! checked, and a run in which one was wrong fails.

mod processes;
mod ratios;
mod reads;
mod resume;
mod sockets;
mod stack;
mod writer;

use std::time::Duration;

use anyhow::{Context, Result};
use bench::table::Samples;
use starling_tests::seed::Size;

/// Enough for a look.
const SMALL: Size = Size { users: 5_000, conversations: 2_000, messages: 100_000 };

/// How much to measure.
pub(crate) struct Plan {
    /// Runs of each figure, interleaved.
    pub(crate) rounds: usize,
    /// How long each run sends.
    pub(crate) time: Duration,
    /// Idle sockets.
    pub(crate) idle: usize,
    /// Sockets that lose their gateway at once.
    pub(crate) resume: usize,
    /// Members of the one room.
    pub(crate) members: usize,
    /// Members of the one room beside the limit server, and conversations of two.
    pub(crate) fan_out: usize,
    pub(crate) pairs: usize,
    /// Rows that reads are measured on, and requests of each kind and run.
    pub(crate) size: Size,
    pub(crate) requests: usize,
}

impl Plan {
    /// `STARLING_BENCH=quick` measures less; `STARLING_BENCH_ONLY` (`limit`, `resume`, `reads`, `writer`, `sockets`) one part
    /// alone.
    fn chosen() -> Self {
        if std::env::var("STARLING_BENCH").is_ok_and(|value| value == "quick") {
            Self {
                rounds: 1,
                time: Duration::from_secs(2),
                idle: 5_000,
                resume: 2_000,
                members: 50,
                fan_out: 500,
                pairs: 500,
                size: SMALL,
                requests: 100,
            }
        } else {
            Self {
                rounds: 5,
                time: Duration::from_secs(5),
                idle: 10_000,
                resume: 10_000,
                members: 200,
                fan_out: 500,
                pairs: 500,
                size: Size::FULL,
                requests: 400,
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::chosen();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{} rounds of {:?} on {cores} cores, median (least–most)\n", plan.rounds, plan.time);

    let only = std::env::var("STARLING_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wanted("limit") {
        print_ratios(&plan).await?;
    }
    if wanted("resume") {
        print_resume(&plan).await?;
    }
    if wanted("reads") {
        print_reads(&plan).await?;
    }
    if wanted("writer") {
        print_writer(&plan).await?;
    }
    if wanted("sockets") {
        print_sockets(&plan).await?;
    }
    Ok(())
}

/// Starling beside the least that a correct server can do.
async fn print_ratios(plan: &Plan) -> Result<()> {
    let (figures, core) = ratios::measure(plan).await?;
    println!("| stored in Postgres, through Redis | limit server | Starling | ratio |");
    println!("|---|---|---|---|");
    for (name, figure) in [
        ("C1, one conversation of 500: CPU-µs per delivery", &figures.fan_out),
        ("C2, 500 conversations of two: CPU-µs per message", &figures.pairs),
        ("C3, 1,000 messages/s over 100 conversations of 10: CPU-µs per message", &figures.steady),
        ("C3: ms to delivery at p99", &figures.steady_p99),
        ("bytes (PSS) per idle socket in 5 conversations", &figures.idle_bytes),
    ] {
        println!("| {name} | {} | {} | {} |", figure.limit, figure.starling, figure.ratio);
    }
    let place = core.map_or("nothing is pinned".to_owned(), |core| format!("servers are kept on core {core}"));
    println!("\n{} idle sockets; {place}; the limit server neither stores nor publishes anything.\n", plan.idle);
    Ok(())
}

/// A gateway dies, and its clients come to the other one.
async fn print_resume(plan: &Plan) -> Result<()> {
    let (apart, all) = stack::Apart::of_this_machine()?;
    let figures = resume::measure(plan, apart.as_ref()).await.context("measuring resumes")?;
    bench::limit::pin(std::process::id(), &all)?;
    println!("| a gateway with {} sockets in 5 conversations is killed | |", plan.resume);
    println!("|---|---|");
    for (name, figure) in [
        ("R1: transactions in Postgres per client that resumes", &figures.queries),
        ("CPU-µs of the other gateway per resume", &figures.resume_micros),
        ("CPU-µs of the first gateway per plain connect", &figures.connect_micros),
        ("R1: resume ÷ connect", &figures.to_connect),
        ("ms from the loss to when events flow again, p50", &figures.back_p50),
        ("ms from the loss to when events flow again, p99", &figures.back_p99),
        ("who stayed: ms from send to delivery at p99, before", &figures.before_p99),
        ("who stayed: the same over the 12 s in which it happens", &figures.during_p99),
        ("R2: during ÷ before", &figures.to_before),
    ] {
        println!("| {name} | {figure} |");
    }
    println!();
    Ok(())
}

/// Requests at a million messages, beside the bare statement in each.
async fn print_reads(plan: &Plan) -> Result<()> {
    let reads = reads::measure(plan.rounds, plan.requests, plan.size).await.context("measuring reads")?;
    let Size { users, conversations, messages } = plan.size;
    println!("| at {messages} messages, {conversations} conversations, {users} users | REST | bare SQL | ratio |");
    println!("|---|---|---|---|");
    for kind in &reads {
        let [rest, bare] = &kind.ways;
        for (figure, rest, bare) in [
            ("ms at p50", &rest.p50_ms, &bare.p50_ms),
            ("ms at p99", &rest.p99_ms, &bare.p99_ms),
            ("CPU-µs, Postgres included", &rest.cpu_micros, &bare.cpu_micros),
        ] {
            println!("| {}, {figure} | {rest} | {bare} | {:.1} |", kind.name, rest.median() / bare.median());
        }
    }
    println!();
    Ok(())
}

/// The batch writer against one commit per message, and against bare batches.
async fn print_writer(plan: &Plan) -> Result<()> {
    let rates = writer::measure(plan.rounds, plan.time).await.context("measuring the writer")?;
    println!("| durable messages per second, {} senders, Postgres with fsync | |", writer::SENDERS);
    println!("|---|---|");
    println!("| through the batch writer (default: up to 4 lanes, 16 connections) | {} |", rates.batched);
    println!("| messages of one of its transactions | {} |", rates.batch);
    println!("| bare UNNEST batches of the same rows by the same driver | {} |", rates.bare);
    println!("| one commit per message, {} connections | {} |", writer::SENDERS, rates.single);
    println!("| W1: batch writer ÷ bare batches | {} |", rates.to_bare);
    println!("| W2: batch writer ÷ one commit per message | {} |\n", rates.to_single);
    Ok(())
}

/// What sockets and deliveries cost.
async fn print_sockets(plan: &Plan) -> Result<()> {
    let mut columns = Vec::new();
    for nodes in [1, 2] {
        columns.push(sockets::measure(nodes, plan).await.with_context(|| format!("measuring {nodes} nodes"))?);
    }
    println!("| through Redis, stored in Postgres | 1 node | 2 nodes |");
    println!("|---|---|---|");
    row("bytes (PSS) per idle socket in 5 conversations", &columns, |figures| &figures.idle_bytes);
    row("server CPU-µs per delivered message", &columns, |figures| &figures.cpu_micros);
    row("deliveries per second", &columns, |figures| &figures.deliveries);
    row("send to acknowledgement, ms at p50", &columns, |figures| &figures.ack_p50);
    row("send to acknowledgement, ms at p99", &columns, |figures| &figures.ack_p99);
    println!(
        "\n{} idle sockets; one room of {} members, 8 of them sending 128 characters with 2 under way each.",
        plan.idle, plan.members
    );
    Ok(())
}

/// Prints one figure of every column.
fn row(name: &str, columns: &[sockets::Figures], figure: impl Fn(&sockets::Figures) -> &Samples) {
    let cells: Vec<_> = columns.iter().map(|column| figure(column).to_string()).collect();
    println!("| {name} | {} |", cells.join(" | "));
}
