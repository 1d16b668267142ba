//! One round: people come, talk while faults strike, everything settles, everybody leaves, the auditor judges.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use protocol::{ConversationId, Seq, UserId};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};
use store::{Memberships, Store};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Fault, Plan, Report, actor::Actor, device::Device, faults, look, people::People, probe, stage::Stage};
use crate::audit::{self, DeviceLog, Happened, Log};

/// A cluster that is not whole so long after a fault is told so, and the next fault comes.
const RECOVER: Duration = Duration::from_secs(30);
/// Whatever was begun has ended after this.
const FINISH: Duration = Duration::from_secs(90);

pub(super) async fn run(plan: &Plan, number: usize, stage: &mut Stage, report: &mut Report) -> Result<()> {
    let seed = plan.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
    let mut draw = StdRng::seed_from_u64(seed);
    let people = People::arrive(plan, number, stage, Instant::now()).await.context("people could not come")?;

    let stop = Arc::new(AtomicBool::new(false));
    let pause = Duration::from_secs_f64(plan.people as f64 / plan.pace);
    let mut actors = JoinSet::new();
    for at in 0..people.all.len() {
        actors.spawn(Actor::new(&people, at, seed, pause, Arc::clone(&stop)).run());
    }
    let struck = strike(plan, stage, &people, &mut draw, report).await;
    stop.store(true, Relaxed);
    stage.heal()?;
    struck?;
    stage.ready().await?;
    let since = Instant::now();
    let finished = timeout(FINISH, async { while actors.join_next().await.is_some() {} }).await;
    finished.with_context(|| format!("somebody still waits for an answer after {FINISH:?}"))?;

    let quiet_since = people.book.now();
    let whole = settle(plan, stage, &people).await?;
    report.settled.push(whole.then(|| since.elapsed()));
    let mut log = end(plan, stage, &people, whole, &mut draw).await?;
    let counts = people.book.close(&mut log);
    log.quiet_since = Some(quiet_since);
    for device in people.devices() {
        report.connections += device.connections() as u64;
        let entries = device.take_log();
        report.frames += entries.iter().filter(|entry| matches!(entry.what, Happened::Heard(_))).count() as u64;
        // Also one that did not come back: all is well again, and it is behind.
        log.devices.push(DeviceLog { user: device.user, entries, settled: true });
    }
    for (what, times) in counts {
        *report.operations.entry(what).or_default() += times;
    }
    let found = audit::audit(&log, &*stage.store).await?;
    if !found.is_empty() || !whole {
        keep(plan, number, &log)?;
    }
    report.violations.extend(found);
    report.rounds += 1;
    Ok(())
}

/// One fault after the other, each followed by a probe.
async fn strike(plan: &Plan, stage: &mut Stage, people: &People, draw: &mut StdRng, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    sleep(plan.calm).await;
    while start.elapsed() < plan.round {
        // The one that came least often so far, so that each gets its turn.
        let times = |fault: &Fault| report.faults.get(fault).map_or(0, Vec::len);
        let least = plan.faults.iter().map(times).min();
        let next: Vec<_> = plan.faults.iter().filter(|fault| Some(times(fault)) == least).copied().collect();
        let Some(fault) = next.choose(draw).copied() else {
            // No faults: the load alone.
            sleep(plan.round.saturating_sub(start.elapsed())).await;
            return Ok(());
        };
        let at = people.book.now();
        fault.strike(stage, draw).await.with_context(|| format!("{fault}, at {at:?}"))?;
        let lasted = people.book.now().saturating_sub(at).as_secs_f64();
        let took = probe::recovered(people, RECOVER).await;
        eprintln!("{:8.1} s  {fault}, for {lasted:.1} s; heard again after {took:?}", at.as_secs_f64());
        report.faults.entry(fault).or_default().push(took);
        sleep(plan.calm.mul_f64(rand::RngExt::random_range(draw, 1.0..2.0))).await;
    }
    Ok(())
}

/// Everything has settled, or had the time to: looks at everybody, lets them resume once more, lets them leave. What of
/// it did not come is in the log, and later steps are left out: a resume would mend what is to be judged.
async fn end(plan: &Plan, stage: &mut Stage, people: &People, whole: bool, draw: &mut StdRng) -> Result<Log> {
    let mut log = Log::default();
    let mut right = call(plan, people, &mut log, |_| true).await? && whole;
    if whole {
        // Once more from the cursors, so that what a resume tells is judged as well.
        join_all(people.devices().map(Device::break_connection)).await;
        settle(plan, stage, people).await?;
        right = call(plan, people, &mut log, |_| true).await? && right;
    }
    log.looked = look::lists(people).await?;
    log.left_at = Some(people.book.now());
    if right {
        // All but two leave, and a node of theirs dies before it can say so.
        let staying: Vec<_> = people.all.iter().take(2).map(|someone| someone.id).collect();
        let dies = plan.faults.contains(&Fault::KillGateway).then(|| faults::gateway(stage, draw));
        if let Some(dies) = dies {
            stage.node_mut(dies).kill()?;
        }
        let leaving = people.devices().filter(|device| !staying.contains(&device.user));
        join_all(leaving.map(Device::offline)).await;
        if let Some(dies) = dies {
            stage.node_mut(dies).restart().await?;
            stage.ready().await?;
        }
        call(plan, people, &mut log, |user| staying.contains(&user)).await?;
    }
    join_all(people.devices().map(Device::offline)).await;
    call(plan, people, &mut log, |_| false).await?;
    Ok(log)
}

/// Writes down who is there; whether that is as it must be.
async fn call(plan: &Plan, people: &People, log: &mut Log, there: impl Fn(UserId) -> bool) -> Result<bool> {
    let called = look::roll_call(people, plan.presence, there).await?;
    log.presence.extend(called.seen);
    log.rolls.push(called.roll);
    Ok(called.right)
}

/// Waits until every device has everything; false when that does not come in time.
async fn settle(plan: &Plan, stage: &Stage, people: &People) -> Result<bool> {
    let start = Instant::now();
    loop {
        let mut behind = None;
        for someone in &people.all {
            let memberships = memberships(stage, someone.id).await?;
            let heads: HashMap<ConversationId, Seq> =
                memberships.items.iter().map(|item| (item.conversation_id, item.last_seq)).collect();
            behind = behind.or(someone.devices.iter().find_map(|device| late(device, &heads, memberships.user_seq)));
        }
        let Some(behind) = behind else { return Ok(true) };
        if start.elapsed() > plan.settle {
            eprintln!("not whole within {:?}: {behind}", plan.settle);
            return Ok(false);
        }
        sleep(look::AGAIN).await;
    }
}

/// Asks until there is an answer: a connection of the pool may have died unseen in the last fault.
async fn memberships(stage: &Stage, user: UserId) -> Result<Memberships> {
    let start = Instant::now();
    loop {
        match stage.store.memberships(user, 2_000).await {
            Err(_) if start.elapsed() < look::ANSWERED => sleep(look::AGAIN).await,
            found => return found.context("the store does not answer"),
        }
    }
}

/// What a device lacks, if anything.
fn late(device: &Device, heads: &HashMap<ConversationId, Seq>, user_seq: u64) -> Option<String> {
    if !device.is_live() {
        return Some(format!("a device of {} is not connected", device.user));
    }
    device.look(|view| {
        if view.user_seq < user_seq {
            return Some(format!("a device of {} is at {} of its feed, not {user_seq}", device.user, view.user_seq));
        }
        let here = heads.iter().find(|(id, head)| view.cursor(**id) < Some(**head));
        let gone = || view.timelines.iter().find(|(id, timeline)| !timeline.gone && !heads.contains_key(id));
        match (here, gone()) {
            (Some((id, head)), _) => {
                Some(format!("a device of {} is at {:?} in {id}, not {head}", device.user, view.cursor(*id)))
            }
            (None, Some((id, _))) => Some(format!("a device of {} still has {id}", device.user)),
            (None, None) => None,
        }
    })
}

/// Writes the log of a round with violations.
fn keep(plan: &Plan, number: usize, log: &Log) -> Result<()> {
    fs::create_dir_all(&plan.keep)?;
    let file = plan.keep.join(format!("round-{number}.json"));
    let writer = std::io::BufWriter::new(fs::File::create(&file)?);
    serde_json::to_writer(writer, log).with_context(|| format!("cannot write {}", file.display()))
}
