//! `make bench`: the figures that the documents quote, side by side in one run. Prints a Markdown table.
//!
//! Absolute times mean little on a shared machine: what to read are ratios within one run. CPU time comes from
//! `/proc/PID/stat` of the server processes, memory from PSS in `/proc/PID/smaps_rollup`; every single delivery is
//! checked, and a run in which one was wrong fails.

mod background;
mod growth;
mod loaded;
mod peers;
mod plots;
mod processes;
mod ratios;
mod reads;
mod resume;
mod scale;
mod stack;
mod start;
mod writer;

use std::time::Duration;

use anyhow::{Context, Result};
use bench::{
    limit::{Faults, pin},
    table::Samples,
};
use starling_tests::seed::Size;

use self::{
    plots::{Line, Plots},
    stack::Apart,
};

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
    /// Members of the one room beside the limit server, and conversations of two.
    pub(crate) fan_out: usize,
    pub(crate) pairs: usize,
    /// How long twice as much comes as can be carried.
    pub(crate) surge: Duration,
    /// Rows that reads are measured on, and requests of each kind and run.
    pub(crate) size: Size,
    pub(crate) requests: usize,
    pub(crate) growth: Growth,
}

/// How far things grow.
pub(crate) struct Growth {
    /// Idle sockets beside the load.
    pub(crate) sockets: Vec<usize>,
    /// Messages in the database.
    pub(crate) stored: Vec<usize>,
    /// Conversations in the database, with six members and a message each, of people who are not there.
    pub(crate) lying: Vec<usize>,
    /// Members of a conversation.
    pub(crate) members: Vec<usize>,
    /// Conversations of each of so many idle users.
    pub(crate) conversations: Vec<usize>,
    pub(crate) users: usize,
}

impl Plan {
    /// `STARLING_BENCH=quick` measures less; `STARLING_BENCH_ONLY` (`limit`, `loaded`, `resume`, `reads`, `writer`,
    /// `scale`, `growth`, `peers`, `start`) one part alone; `STARLING_BENCH_ROUNDS` says how often.
    fn chosen() -> Result<Self> {
        let mut plan = Self::of_this_size();
        if let Ok(rounds) = std::env::var("STARLING_BENCH_ROUNDS") {
            let rounds = rounds.parse().ok().filter(|rounds| (1..=100).contains(rounds));
            plan.rounds = rounds.context("STARLING_BENCH_ROUNDS is not a number from 1 to 100")?;
        }
        Ok(plan)
    }

    fn of_this_size() -> Self {
        if std::env::var("STARLING_BENCH").is_ok_and(|value| value == "quick") {
            Self {
                rounds: 1,
                time: Duration::from_secs(2),
                idle: 5_000,
                resume: 2_000,
                fan_out: 500,
                pairs: 500,
                surge: Duration::from_secs(10),
                size: SMALL,
                requests: 100,
                growth: Growth {
                    sockets: vec![100, 2_000],
                    stored: vec![10_000, 100_000],
                    lying: vec![1_000, 10_000],
                    members: vec![2, 100, 1_000],
                    conversations: vec![5, 50],
                    users: 500,
                },
            }
        } else {
            Self {
                rounds: 5,
                time: Duration::from_secs(5),
                idle: 10_000,
                resume: 10_000,
                fan_out: 500,
                pairs: 500,
                surge: Duration::from_mins(1),
                size: Size::FULL,
                requests: 400,
                growth: Growth {
                    // As many as the usual limit of 20,000 open files allows.
                    sockets: vec![100, 1_000, 10_000, 18_000],
                    stored: vec![10_000, 100_000, 1_000_000, 5_000_000],
                    lying: vec![1_000, 10_000, 100_000, 1_000_000],
                    members: vec![2, 10, 100, 1_000, 10_000],
                    conversations: vec![5, 50, 200],
                    users: 2_000,
                },
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::chosen()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{} rounds of {:?} on {cores} cores, median (least–most)\n", plan.rounds, plan.time);

    let only = std::env::var("STARLING_BENCH_ONLY").ok();
    let plots = Plots::chosen()?;
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wanted("limit") {
        print_ratios(&plan, &plots).await?;
    }
    if wanted("loaded") {
        print_loaded(&plan).await?;
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
    if wanted("scale") {
        print_scale(&plan, &plots).await?;
    }
    if wanted("growth") {
        print_growth(&plan, &plots).await?;
    }
    if wanted("start") {
        print_start(&plan)?;
    }
    if wanted("peers") {
        print_peers(&plan).await?;
    }
    Ok(())
}

/// One line of a table.
fn print_row<'a>(name: &str, cells: impl IntoIterator<Item = &'a Samples>) {
    let cells: Vec<_> = cells.into_iter().map(Samples::to_string).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// Starling beside the least that a correct server can do.
async fn print_ratios(plan: &Plan, plots: &Plots) -> Result<()> {
    let (figures, core) = ratios::measure(plan).await?;
    println!("| stored in Postgres, through Redis | limit server | Starling | ratio |");
    println!("|---|---|---|---|");
    for (name, figure) in [
        ("C1, one conversation of 500: CPU-µs per delivery", &figures.fan_out),
        ("C2, 500 conversations of two: CPU-µs per message", &figures.pairs),
        ("C3, 1,000 messages/s over 100 conversations of 10: CPU-µs per message", &figures.steady),
        ("C3: ms to delivery at p99", &figures.steady_p99),
        ("bytes (PSS) per idle socket in 5 conversations", &figures.idle_bytes),
        ("bytes of the kernel's objects per idle socket, root alone is told", &figures.idle_kernel_bytes),
    ] {
        println!("| {name} | {} | {} | {} |", figure.limit, figure.starling, figure.ratio);
    }
    let place = core.map_or("nothing is pinned".to_owned(), |core| format!("servers are kept on core {core}"));
    println!("\n{} idle sockets; {place}; the limit server neither stores nor publishes anything.\n", plan.idle);
    plots.bars(
        "ratios",
        "server CPU ÷ the limit server's",
        &[
            ("C1: fan-out to 500", &figures.fan_out.ratio, 3.0),
            ("C2: pairs", &figures.pairs.ratio, 4.0),
            ("C3: steady", &figures.steady.ratio, 2.0),
        ],
    )
}

/// A server with nothing else installed.
fn print_start(plan: &Plan) -> Result<()> {
    let figures = start::measure(plan.rounds)?;
    println!("| `starling serve`, embedded: ms from its start until it is ready | |");
    println!("|---|---|");
    print_row("B1: on an empty folder", [&figures.first]);
    print_row("the next time", [&figures.again]);
    println!();
    Ok(())
}

/// Starling beside the best of others.
async fn print_peers(plan: &Plan) -> Result<()> {
    let figures = peers::measure(plan).await?;
    println!("| stored in Postgres, through Redis, one process each | Socket.IO | Starling | C4: ratio |");
    println!("|---|---|---|---|");
    for (name, figure) in [
        ("C1, one conversation of 500: CPU-µs per delivery", &figures.fan_out),
        ("C2, 500 conversations of two: CPU-µs per message", &figures.pairs),
        ("C3, 1,000 messages/s over 100 conversations of 10: CPU-µs per message", &figures.steady),
        ("C3: ms to delivery at p99", &figures.steady_p99),
        ("bytes (PSS) per idle socket in 5 conversations", &figures.idle_bytes),
    ] {
        println!("| {name} | {} | {} | {} |", figure.peer, figure.starling, figure.ratio);
    }
    let wrong = figures.wrong.iter().map(|rounds| {
        let of = |fault: fn(&Faults) -> u64| rounds.iter().map(fault).sum::<u64>();
        let (lost, reordered) = (of(|faults| faults.lost), of(|faults| faults.reordered));
        let others = of(|faults| faults.doubled + faults.misrouted + faults.altered + faults.diverged + faults.closed);
        format!("{lost} lost, {reordered} reordered, {others} otherwise")
    });
    let wrong: Vec<_> = wrong.collect();
    println!(
        "\n{} idle sockets; deliveries of Socket.IO that were wrong, in C1, C2 and C3: {}.\n",
        plan.idle,
        wrong.join("; ")
    );
    Ok(())
}

/// Half of what saturates, and twice as much.
async fn print_loaded(plan: &Plan) -> Result<()> {
    let (apart, all) = Apart::of_this_machine()?;
    let figures = loaded::measure(plan, apart.as_ref()).await.context("measuring under load")?;
    pin(std::process::id(), &all)?;
    println!("| one conversation of {}, at half of the load that saturates | |", plan.fan_out);
    println!("|---|---|");
    print_row("messages per second that saturate", [&figures.saturates]);
    print_row("ms from the intended time to the last member, p99", [&figures.last_p99]);
    print_row("the same of the limit server at the same rate", [&figures.limit_p99]);
    print_row("L1: the one ÷ the other", [&figures.to_limit]);
    let seconds = plan.surge.as_secs();
    println!("\n| {} conversations of two, {seconds} s of twice the load that saturates | |", plan.pairs);
    println!("|---|---|");
    print_row("messages per second that saturate (server, Postgres and Redis on one core)", [&figures.pairs_saturate]);
    print_row("L2: accepted per second", [&figures.accepted]);
    print_row("L2: refused per second", [&figures.refused]);
    print_row("ms to acknowledgement at p99, at half of the load, before", [&figures.before_p99]);
    print_row("L2: the same of what is accepted", [&figures.during_p99]);
    print_row("L2: the same at half of the load, from 5 s after the end", [&figures.after_p99]);
    print_row("MiB (PSS) of the server before", [&figures.memory]);
    print_row("L2: at most", [&figures.most_memory]);
    println!();
    Ok(())
}

/// A gateway dies, and its clients come to the other one.
async fn print_resume(plan: &Plan) -> Result<()> {
    let (apart, all) = Apart::of_this_machine()?;
    let figures = resume::measure(plan, apart.as_ref()).await.context("measuring resumes")?;
    pin(std::process::id(), &all)?;
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
        ("who stayed: the same from the death to when all were back", &figures.during_p99),
        ("of that, ms of a batch's transaction on average, before", &figures.before_commit),
        ("of that, ms of a batch's transaction on average, until all were back", &figures.during_commit),
        ("R2: during ÷ before", &figures.to_before),
    ] {
        print_row(name, [figure]);
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
    let mut columns = Vec::new();
    for senders in writer::SENDERS {
        columns.push(writer::measure(senders, plan.rounds, plan.time).await.context("measuring the writer")?);
    }
    let [few, many] = writer::SENDERS;
    println!("| durable messages per second, Postgres with fsync | {few} senders | {many} senders |");
    println!("|---|---|---|");
    let row = |name: &str, of: fn(&writer::Rates) -> &Samples| print_row(name, columns.iter().map(of));
    row("through the batch writer (default: up to 4 lanes, 16 connections)", |rates| &rates.batched);
    row("messages of one of its transactions", |rates| &rates.batch);
    row("bare UNNEST batches of the same rows by the same driver", |rates| &rates.bare);
    row("one commit per message, as many connections as senders", |rates| &rates.single);
    row("W1: batch writer ÷ bare batches", |rates| &rates.to_bare);
    row("W2: batch writer ÷ one commit per message", |rates| &rates.to_single);
    println!();
    Ok(())
}

/// One node and more.
async fn print_scale(plan: &Plan, plots: &Plots) -> Result<()> {
    let (apart, all) = Apart::of_this_machine()?;
    let columns = scale::measure(plan, apart.as_ref()).await.context("measuring nodes")?;
    pin(std::process::id(), &all)?;
    let names: Vec<_> = columns.iter().map(|column| format!("{} node(s)", column.nodes)).collect();
    println!("| all nodes together, on one core | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    let row = |name: &str, figure: fn(&scale::Figures) -> &Samples| print_row(name, columns.iter().map(figure));
    row("steady, 1,000/s over 100 conversations of 10: CPU-µs per delivery", |of| &of.steady);
    row("S1: ÷ one node", |of| &of.steady_to_one);
    row("steady: ms to delivery at p99", |of| &of.p99);
    row("S2: events from Redis per message", |of| &of.events);
    row("one conversation of 500, closed loop: CPU-µs per delivery", |of| &of.room);
    row("S1: ÷ one node", |of| &of.room_to_one);
    println!();
    let line = |name: &str, figure: fn(&scale::Figures) -> &Samples| Line {
        name: name.to_owned(),
        points: columns.iter().map(|of| (of.nodes as f64, figure(of).median())).collect(),
    };
    plots.lines(
        "scale",
        "CPU per delivery, all nodes together ÷ one node",
        "nodes",
        &[line("steady", |of| &of.steady_to_one), line("one conversation of 500", |of| &of.room_to_one)],
    )
}

/// Costs as things grow.
async fn print_growth(plan: &Plan, plots: &Plots) -> Result<()> {
    let (apart, all) = Apart::of_this_machine()?;
    let curves = growth::measure(plan, apart.as_ref()).await.context("measuring growth")?;
    pin(std::process::id(), &all)?;
    println!("| what grows | | at | | | | | last ÷ first | exponent |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut lines = Vec::new();
    for curve in &curves {
        let mut cells: Vec<_> = curve.points.iter().map(|(at, samples)| format!("{at}: {samples}")).collect();
        cells.resize(5, String::new());
        let (name, unit) = (curve.name, curve.unit);
        println!("| {name} | {unit} | {} | {:.2} | {:.2} |", cells.join(" | "), curve.rise(), curve.exponent());
        let first = curve.points.first().map_or(f64::NAN, |(_, samples)| samples.median());
        let points = curve.points.iter().map(|(at, samples)| (*at, samples.median() / first)).collect();
        lines.push(Line { name: format!("{name}: {unit}"), points });
    }
    println!();
    if let Some(memory) = curves.iter().find(|curve| curve.unit == "bytes per socket")
        && let (Some((few, less)), Some((many, more))) = (memory.points.first(), memory.points.last())
    {
        let each = (more.median() - less.median()) / (many - few);
        println!("M2: {each:.0} bytes for each further conversation of a connected user.\n");
    }
    plots.lines("growth", "cost, to that of the first point", "how many", &lines)
}
