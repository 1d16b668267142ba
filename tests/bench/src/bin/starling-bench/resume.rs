//! R1 and R2: everybody on a gateway loses it and resumes on the other one, while messages flow. What that costs beside
//! plain connecting, how often the database was asked, and what those noticed who were on the other gateway all the
//! time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::table::Samples;
use load::{
    Target,
    resume::{self, Moment, Outcome, Resume},
    steady,
};
use sqlx::{Connection, PgConnection};
use starling_tests::node;
use tokio::time::sleep;

use crate::{
    Plan, background, processes,
    stack::{Apart, Stack},
};

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures {
    /// Transactions (a statement alone is one) per client, from the death to when the last one was back: all, but those
    /// that messages take.
    pub(crate) queries: Samples,
    /// CPU-µs of the gateway that they came to, for each of them; those of the other one when they connected; their
    /// ratio.
    pub(crate) resume_micros: Samples,
    pub(crate) connect_micros: Samples,
    pub(crate) to_connect: Samples,
    /// Milliseconds from the loss to when events flow again.
    pub(crate) back_p50: Samples,
    pub(crate) back_p99: Samples,
    /// Milliseconds from send to delivery at p99, of those who stayed: before, and while the others came; their ratio.
    pub(crate) before_p99: Samples,
    pub(crate) during_p99: Samples,
    pub(crate) to_before: Samples,
    /// Of these, milliseconds of a batch's transaction on average: what Postgres takes, which has as much to do for
    /// those who come back.
    pub(crate) before_commit: Samples,
    pub(crate) during_commit: Samples,
}

/// Messages per second of those who resume: few, so that what the database does for them is not lost in noise.
const RATE: f64 = 20.0;
/// Those who stay: conversations of ten, and messages per second.
const STAYING: (usize, f64) = (20, 200.0);
/// Long enough for everybody to come back, and for a rate before.
const TIME: Duration = Duration::from_secs(12);
/// By then the storm is over, whatever comes between.
const LONGEST: Duration = Duration::from_mins(5);
/// By then Postgres tells what it has counted.
const TOLD: Duration = Duration::from_millis(1_500);

pub(crate) async fn measure(plan: &Plan, apart: Option<&Apart>) -> Result<Figures> {
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        cost(plan, apart, round, &mut figures).await.context("measuring what resuming costs")?;
        noticed(plan, apart, round, &mut figures).await.context("measuring what others notice of it")?;
    }
    Ok(figures)
}

/// Two nodes: the one that stays, and the one that dies.
struct Two {
    stack: Stack,
    staying: Target,
    moving: Target,
}

impl Two {
    async fn start(apart: Option<&Apart>) -> Result<Self> {
        let stack = Stack::start(2, apart).await?;
        let with = |gateways: [usize; 2]| {
            let gateways = gateways.iter().map(|n| stack.target.gateways[*n].clone()).collect();
            Target { gateways, ..stack.target.clone() }
        };
        let (staying, moving) = (with([0, 0]), with([1, 0]));
        Ok(Self { stack, staying, moving })
    }

    async fn storm(
        &mut self,
        plan: &Plan,
        name: &str,
        mut at: impl AsyncFnMut(Moment) -> Result<()>,
    ) -> Result<Outcome> {
        let wanted = Resume { run: name.to_owned(), sockets: plan.resume, conversations: 5, rate: RATE, time: TIME };
        let (moving, stack) = (&self.moving, &mut self.stack);
        let outcome = resume::run(moving, &wanted, async |moment| {
            at(moment).await?;
            if moment == Moment::Dies { stack.kill_last() } else { Ok(()) }
        });
        let outcome = outcome.await?;
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        ensure!(outcome.back >= plan.resume as u64, "not everybody came back: {outcome:?}");
        Ok(outcome)
    }
}

/// What was seen at a moment: when, CPU seconds of both nodes, transactions that are no messages'.
type Seen = (Instant, [f64; 2], f64);

async fn cost(plan: &Plan, apart: Option<&Apart>, round: usize, figures: &mut Figures) -> Result<()> {
    let mut two = Two::start(apart).await?;
    let pids = two.stack.pids.clone();
    let mut database = PgConnection::connect(&two.stack.database).await?;
    let mut seen: Vec<Seen> = Vec::new();
    let outcome = two
        .storm(plan, &format!("cost-{round}"), async |moment| {
            let now = Instant::now();
            let cpu = [pids[0], pids[1]].map(|pid| processes::cpu_seconds(&[pid]).unwrap_or(f64::NAN));
            // What came before is not to be counted as what comes now.
            if matches!(moment, Moment::Connected | Moment::Back) {
                sleep(TOLD).await;
            }
            let now = if moment == Moment::Connected { Instant::now() } else { now };
            seen.push((now, cpu, transactions(&mut database).await?));
            Ok(())
        })
        .await?;
    let [connecting, connected, dies, back] = seen.as_slice() else { anyhow::bail!("a moment was missed") };
    let clients = plan.resume as f64;
    figures.queries.add((back.2 - dies.2) / clients);
    let calm = (dies.1[0] - connected.1[0]) / (dies.0 - connected.0).as_secs_f64();
    let resumed = (back.1[0] - dies.1[0] - calm * (back.0 - dies.0).as_secs_f64()) * 1e6 / clients;
    let connected = (connected.1[1] - connecting.1[1]) * 1e6 / clients;
    figures.resume_micros.add(resumed);
    figures.connect_micros.add(connected);
    figures.to_connect.add(resumed / connected);
    figures.back_p50.add(outcome.back_ms[0]);
    figures.back_p99.add(outcome.back_ms[1]);
    Ok(())
}

async fn noticed(plan: &Plan, apart: Option<&Apart>, round: usize, figures: &mut Figures) -> Result<()> {
    let mut two = Two::start(apart).await?;
    let (rooms, rate) = STAYING;
    let run = format!("staying-{round}");
    let wanted = steady::Steady { run, rooms, members: 10, rate, size: 128, time: LONGEST };
    let staying = steady::Running::start(&two.staying, &wanted).await?;
    let admin = two.stack.admin()?;
    let mut parts = Vec::new();
    // Whoever comes back has a computer of their own: here they share a core with those who stayed, and give way to
    // them. (Postgres' processes have shares of the core of their own, where the kernel groups by sessions.)
    let name = format!("noticed-{round}");
    background::run(two.storm(plan, &name, async |moment| {
        parts.push((moment, staying.part(), committed(&admin).await?));
        Ok(())
    }))?;
    let faults = staying.end().await?;
    ensure!(faults.is_clean(), "deliveries to who stayed were wrong: {faults:?}");
    let place = |moment| parts.iter().position(|(at, ..)| *at == moment).context("a moment was missed");
    let (connected, dies, back) = (place(Moment::Connected)?, place(Moment::Dies)?, place(Moment::Back)?);
    let p99 = |at: usize| parts[at].1.map(|[_, p99]| p99).context("nothing was delivered to who stayed");
    let (before, during) = (p99(dies)?, p99(back)?);
    figures.before_p99.add(before);
    figures.during_p99.add(during);
    figures.to_before.add(during / before);
    let mean = |from: usize, to: usize| {
        let ([seconds, count], [until_seconds, until_count]) = (parts[from].2, parts[to].2);
        1e3 * (until_seconds - seconds) / (until_count - count)
    };
    figures.before_commit.add(mean(connected, dies));
    figures.during_commit.add(mean(dies, back));
    Ok(())
}

/// Seconds that a node's transactions of batches took, and how many there were.
async fn committed(admin: &str) -> Result<[f64; 2]> {
    let of = async |what| node::metric(admin, &format!("starling_writer_commit_seconds_{what}")).await;
    Ok([of("sum").await?, of("count").await?])
}

/// How many transactions this database has seen, without those of messages: they are so few that each has its own.
async fn transactions(database: &mut PgConnection) -> Result<f64> {
    let sql = "SELECT (xact_commit + xact_rollback - (SELECT count(*) FROM messages))::float8
               FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(sql).fetch_one(database).await?)
}
