//! Latency at half of the load that saturates (L1), beside the limit server; and what happens at twice as much (L2).
//!
//! For L1 one conversation of 500 with the servers on a core of their own; on both sides from when a message was due to
//! when its last member has it, so Starling's commit is in it. For L2 direct conversations, and Postgres and Redis on
//! the servers' core too: so it is they who are saturated, and not the load, whose every delivery is checked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bench::{
    limit::{self, Load, Pace, Started, pin},
    table::Samples,
};
use load::{pairs, room, steady, surge};
use tokio::time::sleep;

use crate::{
    Plan, processes,
    stack::{Apart, Stack},
};

/// By then all is as before.
const RECOVERY: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures {
    /// L1: messages per second that saturate; ms from a message's intended time to the last member at half of them, at
    /// p99; the same of the limit server.
    pub(crate) saturates: Samples,
    pub(crate) last_p99: Samples,
    pub(crate) limit_p99: Samples,
    pub(crate) to_limit: Samples,
    /// L2: messages per second that saturate, that were accepted at twice as many, and that were refused.
    pub(crate) pairs_saturate: Samples,
    pub(crate) accepted: Samples,
    pub(crate) refused: Samples,
    /// ms to the acknowledgement at p99: before, of what was accepted, and once the time for recovery was over.
    pub(crate) before_p99: Samples,
    pub(crate) during_p99: Samples,
    pub(crate) after_p99: Samples,
    /// MiB of the server (PSS) before, and the most.
    pub(crate) memory: Samples,
    pub(crate) most_memory: Samples,
}

pub(crate) async fn measure(plan: &Plan, apart: Option<&Apart>) -> Result<Figures> {
    let mut figures = Figures::default();
    for number in 0..plan.rounds {
        half(plan, apart, number, &mut figures).await.context("at half of what saturates")?;
        twice(plan, apart, number, &mut figures).await.context("at twice as much as saturates")?;
    }
    Ok(figures)
}

async fn half(plan: &Plan, apart: Option<&Apart>, number: usize, figures: &mut Figures) -> Result<()> {
    let stack = Stack::start(1, apart).await?;
    let (members, size, time) = (plan.fan_out, 128, plan.time);
    let run = format!("full-{number}");
    let wanted = room::Room { run, members, senders: members.min(8), in_flight: 2, size, time };
    let full = room::run(&stack.target, &wanted, || 0.0).await?;
    let saturates = full.acknowledged as f64 / full.seconds;
    let rate = saturates / 2.0;
    let wanted = steady::Steady { run: format!("half-{number}"), rooms: 1, members, rate, size, time };
    let half = steady::run(&stack.target, &wanted, || 0.0).await?;
    for outcome in [&full, &half] {
        ensure!(outcome.findings.is_clean() && outcome.acknowledged > 0, "deliveries were wrong: {outcome:?}");
    }
    drop(stack);

    let server = Started::start(&std::env::current_exe()?.with_file_name("limit-server"))?;
    if let Some(apart) = apart {
        pin(server.id(), &apart.servers)?;
    }
    let load = Load { rooms: 1, members, pace: Pace::Open { rate }, ..Load::fan_out(members, time) };
    let outcome = limit::run(server.address(), &load, || Ok(0.0)).await?;
    ensure!(outcome.faults.is_clean(), "deliveries were wrong: {:?}", outcome.faults);
    ensure!(server.end()?, "the limit server did not end well");

    let limit = outcome.last.value_at_quantile(0.99) as f64 / 1e3;
    figures.saturates.add(saturates);
    figures.last_p99.add(half.last_ms[1]);
    figures.limit_p99.add(limit);
    figures.to_limit.add(half.last_ms[1] / limit);
    Ok(())
}

async fn twice(plan: &Plan, apart: Option<&Apart>, number: usize, figures: &mut Figures) -> Result<()> {
    let apart = apart.map(|apart| Apart {
        servers: apart.servers.clone(),
        services: apart.servers.clone(),
        others: apart.others.clone(),
    });
    let stack = Stack::start(1, apart.as_ref()).await?;
    let (run, in_flight, size) = (format!("full-{number}"), 1, 128);
    let wanted = pairs::Pairs { run, pairs: plan.pairs, in_flight, size, time: plan.time };
    let full = pairs::run(&stack.target, &wanted, || 0.0).await?;
    let saturates = full.acknowledged as f64 / full.seconds;
    let wanted = surge::Surge {
        run: format!("surge-{number}"),
        pairs: plan.pairs,
        carried: saturates / 2.0,
        too_much: saturates * 2.0,
        calm: plan.time,
        surge: plan.surge,
        recovery: RECOVERY,
    };
    let memory = Memory::watch(&stack.pids)?;
    let outcome = surge::run(&stack.target, &wanted, || memory.begins(), || memory.ends()).await?;
    ensure!(full.findings.is_clean() && outcome.findings.is_clean(), "deliveries were wrong: {full:?}, {outcome:?}");
    let surge::Outcome { before, during, after, .. } = &outcome;
    let parts = [before, during, after];
    ensure!(parts.iter().all(|part| part.acknowledged > 0), "nothing was accepted: {outcome:?}");
    ensure!(before.refused.is_empty() && after.refused.is_empty(), "refused without need: {outcome:?}");
    let seconds = plan.surge.as_secs_f64();
    figures.pairs_saturate.add(saturates);
    figures.accepted.add(during.acknowledged as f64 / seconds);
    figures.refused.add(during.refused.values().sum::<u64>() as f64 / seconds);
    figures.before_p99.add(before.ack_ms[1]);
    figures.during_p99.add(during.ack_ms[1]);
    figures.after_p99.add(after.ack_ms[1]);
    let (at_first, most) = memory.seen();
    ensure!(at_first > 0.0 && most > 0.0, "the server's memory could not be looked at");
    figures.memory.add(at_first);
    figures.most_memory.add(most);
    Ok(())
}

/// Watches the servers' memory while too much comes.
struct Memory {
    seen: Arc<Seen>,
    watcher: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    watching: AtomicBool,
    at_first: AtomicU64,
    most: AtomicU64,
}

impl Memory {
    fn watch(pids: &[u32]) -> Result<Self> {
        const LOOK: Duration = Duration::from_millis(250);
        processes::pss_bytes(pids)?;
        let (seen, pids) = (Arc::new(Seen::default()), pids.to_vec());
        let watcher = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    sleep(LOOK).await;
                    let Ok(now) = processes::pss_bytes(&pids) else { continue };
                    let of = if seen.watching.load(SeqCst) { &seen.most } else { &seen.at_first };
                    of.fetch_max(now, SeqCst);
                }
            }
        });
        Ok(Self { seen, watcher })
    }

    fn begins(&self) {
        self.seen.watching.store(true, SeqCst);
    }

    fn ends(&self) {
        self.watcher.abort();
    }

    /// MiB: the most before, and the most while too much came.
    fn seen(&self) -> (f64, f64) {
        let mib = |bytes: &AtomicU64| bytes.load(SeqCst) as f64 / f64::from(1 << 20);
        (mib(&self.seen.at_first), mib(&self.seen.most))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
