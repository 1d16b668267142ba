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

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::join_all;
use protocol::{Conversation, ConversationId, Page, Presence, PresenceState, Seq, Unread, UserId};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};
use store::Store;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Fault, Plan, Report,
    actor::Actor,
    people::{Device, People, Someone},
    probe,
    stage::{LEASE, Stage},
};
use crate::audit::{self, DeviceLog, Happened, Log, Looked, PresenceSeen};

/// A cluster that is not whole so long after a fault is told so, and the next fault comes.
const RECOVER: Duration = Duration::from_secs(30);
/// Whatever was begun has ended after this.
const FINISH: Duration = Duration::from_secs(90);
/// Presence is right within this: a lease, and the pause between two tellings of it.
const PRESENCE: Duration = Duration::from_secs(15).saturating_add(LEASE);
const LOOK: Duration = Duration::from_millis(100);

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
    // Once more from the cursors, so that what a resume tells is judged as well.
    join_all(people.devices().map(|device| device.client.break_connection())).await;
    if whole {
        settle(plan, stage, &people).await?;
    }
    let mut presence = there(&people, true).await?;
    let looked = looked(&people).await?;
    join_all(people.devices().map(|device| device.client.offline())).await;
    presence.extend(there(&people, false).await?);

    let (mut log, counts) = people.book.close();
    (log.looked, log.presence, log.quiet_since) = (looked, presence, Some(quiet_since));
    for device in people.devices() {
        report.connections += device.client.connections() as u64;
        let entries = device.client.take_log();
        report.frames += entries.iter().filter(|entry| matches!(entry.what, Happened::Heard(_))).count() as u64;
        // Also one that did not come back: all is well again, and it is behind.
        log.devices.push(DeviceLog { user: device.user, entries, settled: true });
    }
    for (what, times) in counts {
        *report.operations.entry(what).or_default() += times;
    }
    let found = audit::audit(&log, &*stage.store).await?;
    if !found.is_empty() {
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

/// Waits until every device has everything; false when that does not come in time.
async fn settle(plan: &Plan, stage: &Stage, people: &People) -> Result<bool> {
    let start = Instant::now();
    loop {
        let mut behind = None;
        for someone in &people.all {
            let memberships = retried(|| stage.store.memberships(someone.id, 2_000)).await?;
            let heads: HashMap<ConversationId, Seq> =
                memberships.items.iter().map(|item| (item.conversation_id, item.last_seq)).collect();
            behind = behind.or(someone.devices.iter().find_map(|device| late(device, &heads, memberships.user_seq)));
        }
        let Some(behind) = behind else { return Ok(true) };
        if start.elapsed() > plan.settle {
            eprintln!("not whole within {:?}: {behind}", plan.settle);
            return Ok(false);
        }
        sleep(LOOK).await;
    }
}

/// What a device lacks, if anything.
fn late(device: &Device, heads: &HashMap<ConversationId, Seq>, user_seq: u64) -> Option<String> {
    if !device.client.is_live() {
        return Some(format!("a device of {} is not connected", device.user));
    }
    device.client.look(|view| {
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

/// What everybody is answered now.
async fn looked(people: &People) -> Result<Vec<Looked>> {
    let mut looked = Vec::new();
    for someone in &people.all {
        let (mut conversations, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<Conversation> = get(someone, &format!("conversations?limit=100{cursor}")).await?;
            conversations.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let unread: Unread = get(someone, "unread").await?;
        looked.push(Looked { user: someone.id, conversations, unread: Some(unread) });
    }
    Ok(looked)
}

/// Waits until presence says what it must of everybody, and returns what it said last.
async fn there(people: &People, expected: bool) -> Result<Vec<PresenceSeen>> {
    let [first, second, ..] = &people.all[..] else { bail!("presence needs two people") };
    let start = Instant::now();
    loop {
        let mut seen = Vec::new();
        // One's own is not asked for: whoever asks is there, or is not.
        for (asks, of) in [(first, &people.all[1..]), (second, &people.all[..1])] {
            let ids: Vec<_> = of.iter().map(|someone| someone.id.to_string()).collect();
            let told: Told = get(asks, &format!("presence?ids={}", ids.join(","))).await?;
            let told: HashMap<UserId, PresenceState> =
                told.items.into_iter().map(|presence| (presence.user_id, presence.state)).collect();
            for someone in of {
                let online = told.get(&someone.id).is_some_and(|state| *state != PresenceState::Offline);
                let (at, by) = (people.book.now(), format!("the api, asked by {}", asks.id));
                seen.push(PresenceSeen { at, user: someone.id, online, expected, by });
            }
        }
        if seen.iter().all(|seen| seen.online == expected) || start.elapsed() > PRESENCE {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}

#[derive(serde::Deserialize)]
struct Told {
    items: Vec<Presence>,
}

/// Asks until there is an answer: a connection of the pool may have died unseen in the last fault.
async fn get<T: serde::de::DeserializeOwned>(someone: &Someone, path: &str) -> Result<T> {
    retried(async || someone.rest.get(path).await?.ok::<T>()).await
}

async fn retried<T, E: Into<anyhow::Error>>(ask: impl AsyncFn() -> Result<T, E>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask().await.map_err(Into::into) {
            Err(_) if start.elapsed() < FINISH => sleep(LOOK).await,
            Err(error) => return Err(anyhow!(error).context(format!("no answer within {FINISH:?}"))),
            Ok(found) => return Ok(found),
        }
    }
}

/// Writes the log of a round with violations.
fn keep(plan: &Plan, number: usize, log: &Log) -> Result<()> {
    fs::create_dir_all(&plan.keep)?;
    let file = plan.keep.join(format!("round-{number}.json"));
    let writer = std::io::BufWriter::new(fs::File::create(&file)?);
    serde_json::to_writer(writer, log).with_context(|| format!("cannot write {}", file.display()))
}
