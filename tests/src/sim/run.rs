//! Runs a plan: everybody does what they do while things go wrong, then everything settles, then the auditor looks.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use protocol::{ConversationKind, History, OrgId, User, UserId};
use store::{NewUser, Store};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    bus::BusFaults,
    chance::Chance,
    device::Device,
    listener::Listener,
    looks,
    people::People,
    plan::{Fault, Plan, Wrong},
    store::{ORG, StoreFaults},
    world::World,
};
use crate::audit::{self, DeviceLog, Log, Own, SignedIn, Violation};

/// After the faults everything is whole within this and the sweep: reconnects (2 s), holes filled, markers told again
/// (7 s).
const SETTLES: Duration = Duration::from_secs(20);
/// And everybody is back after this, when their connection breaks.
const RETURNS: Duration = Duration::from_secs(8);
/// Whoever watches others is shown them as they are after this: a look of a node for what no hint told of (30 s), and
/// the pause between two events of one user (5 s).
const SHOWS: Duration = Duration::from_secs(36);
/// After everybody has left: the grace of a connection that ended, and what is said a little later.
const EMPTIES: Duration = Duration::from_secs(15);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What the auditor found.
    pub violations: Vec<Violation>,
    /// What everybody did and saw.
    pub log: Log,
    /// The log's fingerprint: the same plan has the same.
    pub trace: u64,
}

/// Runs it on a runtime of its own, in virtual time.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(simulate(plan))
}

async fn simulate(plan: &Plan) -> Result<Outcome> {
    let began = Instant::now();
    let world = World::start(plan.setting.clone())?;
    let store = world.database.truth();
    let users = users(&*store, plan).await?;
    let devices: Vec<_> = plan
        .devices
        .iter()
        .enumerate()
        .map(|(number, user)| Device::start(&world, &users[*user], number, began))
        .collect();
    let streams = plan.streams.iter().enumerate();
    let listeners: Vec<_> =
        streams.map(|(number, user)| Listener::start(&world, &users[*user], number, began)).collect();
    let people = People::new(Arc::clone(&world), users.clone(), devices.clone(), listeners.clone(), began);
    first_conversations(&people).await;
    let together = looks::together(&*store, &users).await?;
    if plan.setting.watching {
        // Not before: who shares no conversation with somebody is not shown them.
        for device in &devices {
            let others = users.iter().map(|user| user.id).filter(|user| *user != device.user.id);
            device.watch(others.collect());
        }
    }
    let start = Instant::now();
    let mut steps: JoinSet<Result<()>> = JoinSet::new();
    for step in &plan.steps {
        let (people, step) = (Arc::clone(&people), *step);
        steps.spawn(async move {
            sleep_until(start + step.at).await;
            people.step(step).await;
            Ok(())
        });
    }
    for fault in &plan.faults {
        let (world, fault) = (Arc::clone(&world), *fault);
        steps.spawn(async move {
            sleep_until(start + fault.at).await;
            go_wrong(&world, fault).await
        });
    }
    sleep_until(start + plan.length).await;
    // Faults end with the plan; acts have their own patience.
    let done = timeout(Duration::from_mins(2), async {
        while let Some(done) = steps.join_next().await {
            done??;
        }
        Ok::<_, anyhow::Error>(())
    });
    done.await.context("people are still waiting for their answers")??;
    heal(&world)?;
    sleep(SETTLES + plan.setting.sweep).await;
    // Half of them once more: what a resume tells now is what is stored. The others must be whole as they are.
    let quiet_since = Some(began.elapsed());
    for device in devices.iter().step_by(2) {
        device.break_off();
    }
    sleep(RETURNS).await;
    let looked = looks::lists(&world, &users).await?;
    let mut rolls = Vec::new();
    if plan.setting.watching {
        sleep(SHOWS).await;
        rolls.push(looks::roll(&world, &people, &together).await?);
    }
    let mut presence = Vec::new();
    looks::presence(&world, &users, (&devices, &listeners), true, &mut presence).await;
    let left_at = Some(began.elapsed());
    for device in &devices {
        device.want(false);
    }
    for listener in &listeners {
        listener.want(false);
    }
    sleep(EMPTIES + plan.setting.lease).await;
    looks::presence(&world, &users, (&devices, &listeners), false, &mut presence).await;
    let (devices, sessions) = device_logs(&devices, &listeners);
    let own = Own { acts: people.own_acts(), sessions, restored: world.restored.lock().clone() };
    let log = Log {
        users: users.iter().map(|user| user.id).collect(),
        devices,
        acts: people.acts(),
        looked,
        presence,
        rolls,
        drops: world.ephemeral_dropped() > 0,
        quiet_since,
        left_at,
        since_join: people.since_join().into_iter().collect(),
        own,
    };
    let violations = audit::audit(&log, &*store).await?;
    let trace = fingerprint(&log)?;
    Ok(Outcome { violations, log, trace })
}

async fn users(store: &dyn Store, plan: &Plan) -> Result<Vec<User>> {
    let chance = Chance::new(plan.setting.seed, "users");
    let org: OrgId = store.ensure_org(ORG).await?;
    let mut users = Vec::new();
    for number in 0..plan.people {
        let name = format!("user{number}");
        users.push(
            store
                .create_user(NewUser {
                    id: UserId(chat::Chance::id(&chance)),
                    org_id: org,
                    username: name.clone(),
                    display_name: name,
                    password_hash: None,
                    guest: false,
                    now: chat::Clock::now(&chance),
                })
                .await?,
        );
    }
    Ok(users)
}

/// A group of all, a room of one, a conversation of two, a group where newcomers see only what comes.
async fn first_conversations(people: &People) {
    let all: Vec<_> = (1..people.users.len()).collect();
    people.create(0, &all, ConversationKind::Group, History::All).await;
    people.create(1, &[], ConversationKind::Public, History::All).await;
    people.create(0, &[1], ConversationKind::Direct, History::All).await;
    people.create(1, &[0], ConversationKind::Group, History::SinceJoin).await;
}

async fn go_wrong(world: &World, fault: Fault) -> Result<()> {
    let lasts = fault.lasts;
    match fault.what {
        Wrong::Kill(place) => {
            world.kill(place);
            sleep(lasts).await;
            // It cannot fail twice in a way that it did not fail the first time: the settings are the same.
            let _ = world.start_node(place);
        }
        Wrong::Drain(place) => {
            world.drain(place).await;
            sleep(lasts).await;
            let _ = world.start_node(place);
        }
        Wrong::Pause(place) => {
            let Some(node) = world.node(place) else { return Ok(()) };
            node.gate.pause();
            sleep(lasts).await;
            node.gate.resume();
        }
        Wrong::CutBus(place) => {
            if let Some(node) = world.node(place) {
                node.bus.cut();
            }
        }
        Wrong::Bus(place, faults) => {
            let Some(node) = world.node(place) else { return Ok(()) };
            node.bus.set(faults);
            sleep(lasts).await;
            node.bus.set(BusFaults::default());
        }
        Wrong::CrashBus => {
            world.broker.crash();
            sleep(lasts).await;
            world.broker.restart();
        }
        Wrong::Store(place, faults) => {
            let Some(node) = world.node(place) else { return Ok(()) };
            node.store.set(faults);
            sleep(lasts).await;
            node.store.set(StoreFaults::default());
        }
        Wrong::CrashStore => {
            all_stores(world, StoreFaults { down: true, ..StoreFaults::default() });
            sleep(lasts).await;
            all_stores(world, StoreFaults::default());
        }
        Wrong::Restore => {
            let (saved, backup) = (world.began.elapsed(), world.database.save()?);
            sleep(lasts * 3 / 4).await;
            all_stores(world, StoreFaults { down: true, ..StoreFaults::default() });
            sleep(lasts / 4).await;
            world.restore(&backup, saved)?;
            all_stores(world, StoreFaults::default());
        }
        Wrong::Clock(place, by_ms) => {
            let Some(node) = world.node(place) else { return Ok(()) };
            node.chance.step_clock(by_ms);
            sleep(lasts).await;
            node.chance.step_clock(-by_ms);
        }
    }
    Ok(())
}

fn all_stores(world: &World, faults: StoreFaults) {
    world.up().iter().for_each(|node| node.store.set(faults));
}

/// Nothing is wrong any more, whatever the plan did.
fn heal(world: &World) -> Result<()> {
    world.broker.restart();
    for place in 0..world.setting.nodes {
        world.start_node(place)?;
    }
    for node in world.up() {
        node.gate.resume();
        node.bus.set(BusFaults::default());
        node.store.set(StoreFaults::default());
    }
    Ok(())
}

/// What each device and stream heard, and as whom it was signed in: all of them want to be there in the end, and must
/// be whole then. What was heard under sessions that are over comes last, as devices of their own.
fn device_logs(devices: &[Arc<Device>], listeners: &[Arc<Listener>]) -> (Vec<DeviceLog>, BTreeMap<usize, SignedIn>) {
    let devices = devices.iter().map(|device| (device.user.id, device.signed_in(), device.take_logs()));
    let listeners = listeners.iter().map(|listener| (listener.user.id, listener.signed_in(), listener.take_logs()));
    let (mut logs, mut over, mut sessions) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (user, signed_in, (entries, past)) in devices.chain(listeners) {
        sessions.extend(signed_in.map(|signed_in| (logs.len(), signed_in)));
        logs.push(DeviceLog { user, entries, settled: true });
        over.extend(past.into_iter().map(|(signed_in, entries)| (user, signed_in, entries)));
    }
    for (user, signed_in, entries) in over {
        sessions.extend(signed_in.map(|signed_in| (logs.len(), signed_in)));
        logs.push(DeviceLog { user, entries, settled: false });
    }
    (logs, sessions)
}

/// The name that the store draws for a new epoch is the one thing that is not drawn from the seed.
fn fingerprint(log: &Log) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let text = serde_json::to_string(log)?;
    match &log.own.restored {
        Some(restored) => text.replace(&restored.epoch, "restored").hash(&mut hasher),
        None => text.hash(&mut hasher),
    }
    Ok(hasher.finish())
}
