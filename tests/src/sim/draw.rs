//! Draws plans. What a seed draws may grow, by streams of chance of its own: then what it drew before stays as it is.

use std::time::Duration;

use chat::Protections;

use super::{
    bus::BusFaults,
    chance::Chance,
    plan::{Fault, Plan, Step, What, Wrong},
    store::StoreFaults,
    world::{Bounds, Setting},
};

impl Plan {
    /// Draws a plan; also its mix of faults, its numbers and its limits come from the seed.
    pub fn draw(seed: u64) -> Self {
        let chance = Chance::new(seed, "plan");
        let mut setting = setting(seed, &chance);
        let people = 2 + chance.index(4);
        let devices: Vec<_> = (0..people).chain((0..chance.index(4)).map(|_| chance.index(people))).collect();
        let streams: Vec<_> = (0..chance.index(3)).map(|_| chance.index(people)).collect();
        let length = Duration::from_secs(8 + chance.range(0..20));
        let mut steps: Vec<_> = (0..20 + chance.index(60))
            .map(|_| Step {
                at: chance.time(Duration::ZERO..length),
                device: chance.index(devices.len() + streams.len()),
                what: what(&chance),
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        // A swarm: each run has a few kinds of faults, so that none hides another one in every run.
        let kinds: Vec<_> = (0..9).filter(|_| chance.per_mille(350)).collect();
        let mut faults: Vec<_> =
            (0..chance.index(7)).filter_map(|_| fault(&chance, &kinds, &setting, length)).collect();
        let chance = Chance::new(seed, "own");
        let mut own = Vec::new();
        setting.sessions = chance.per_mille(400);
        for kind in (0..4).filter(|_| chance.per_mille(300)) {
            let whose = |_| Step {
                at: chance.time(Duration::ZERO..length),
                device: chance.index(devices.len()),
                what: outside(&chance, kind),
            };
            own.extend((0..2 + chance.index(6)).map(whose));
        }
        if setting.sessions {
            own.extend((0..=chance.index(4)).map(|_| Step {
                at: chance.time(Duration::ZERO..length),
                device: chance.index(devices.len()),
                what: if chance.per_mille(750) { What::Revoke(chance.index(8)) } else { What::LogOut },
            }));
        }
        steps.extend(own);
        if chance.per_mille(120) {
            let at = chance.time(Duration::ZERO..length / 2);
            let lasts = chance.time(Duration::from_secs(1)..length / 2);
            faults.push(Fault { at, lasts, what: Wrong::Restore });
        }
        faults.sort_by_key(|fault| fault.at);
        let chance = Chance::new(seed, "looks");
        setting.watching = chance.per_mille(400);
        let lists = if chance.per_mille(400) { 1 + chance.index(4) } else { 0 };
        let here = if setting.watching { chance.index(8) } else { 0 };
        for number in 0..lists + here {
            let what = if number < lists { What::List } else { What::Here(chance.per_mille(500)) };
            let (at, device) = (chance.time(Duration::ZERO..length), chance.index(devices.len() + streams.len()));
            steps.push(Step { at, device, what });
        }
        let mut plan = Self { setting, devices, streams, people, steps, faults, length };
        let chance = Chance::new(seed, "bursts");
        if chance.per_mille(350) {
            plan.burst(&chance);
        }
        plan.steps.sort_by_key(|step| step.at);
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }
}

fn setting(seed: u64, chance: &Chance) -> Setting {
    Setting {
        seed,
        nodes: 1 + chance.index(4),
        detours: [0, 50, 200][chance.index(3)],
        lanes: 1 + chance.index(4),
        outbox_events: [8, 64, 4_096][chance.index(3)],
        bus_queue: [16, 65_536][chance.index(2)],
        sweep: Duration::from_millis([800, 2_000, 5_000, 10_000][chance.index(4)]),
        lease: Duration::from_secs([3, 8, 15][chance.index(3)]),
        latency: Duration::from_millis([0, 5, 50][chance.index(3)]),
        protections: Protections::default(),
        sessions: false,
        watching: false,
        bounds: bounds(&Chance::new(seed, "bounds")),
    }
}

/// Mostly so small that a short run reaches them.
fn bounds(chance: &Chance) -> Bounds {
    let usual = Bounds::default();
    Bounds {
        page: [1, 4, usual.page][chance.index(3)],
        held: [1, 3, usual.held][chance.index(3)],
        early: [1, 3, usual.early][chance.index(3)],
        resume_distance: [6, 30, usual.resume_distance][chance.index(3)],
        feed_distance: [3, 12, usual.feed_distance][chance.index(3)],
        receipts: [1, 3, usual.receipts][chance.index(3)],
    }
}

fn what(chance: &Chance) -> What {
    let conversation = chance.index(8);
    match chance.range(0..100) {
        0..30 => What::Send(conversation),
        30..36 => What::Post(conversation),
        36..44 => What::Edit(conversation, chance.index(16)),
        44..48 => What::Delete(conversation, chance.index(16)),
        48..56 => What::React(conversation, chance.index(16), chance.per_mille(700)),
        56..58 => What::Pin(conversation, chance.index(16), chance.per_mille(700)),
        58..64 => What::Read(conversation),
        64..67 => What::Type(conversation),
        67..70 => What::Create(chance.index(64)),
        70..75 => What::Add(conversation, chance.index(8)),
        75..80 => What::Remove(conversation, chance.index(8)),
        80..82 => What::Leave(conversation),
        82..85 => What::Join(conversation),
        85..87 => What::Rename(conversation),
        87..92 => What::Break,
        92..97 => What::Away(chance.time(Duration::from_millis(100)..Duration::from_secs(6))),
        _ => What::Stall(chance.time(Duration::from_millis(500)..Duration::from_secs(6))),
    }
}

/// Something outside of what is said, of one of four kinds.
fn outside(chance: &Chance, kind: usize) -> What {
    let conversation = chance.index(8);
    match kind {
        0 => match chance.index(3) {
            0 => What::NotifyEverywhere(chance.index(3)),
            1 => What::PinConversation(conversation, chance.per_mille(600)),
            _ => What::Notify(conversation, chance.index(3)),
        },
        1 => What::Block(chance.index(8), chance.per_mille(600)),
        2 => What::Announce,
        _ => What::Archive(conversation, chance.per_mille(500)),
    }
}

fn fault(chance: &Chance, kinds: &[u64], setting: &Setting, length: Duration) -> Option<Fault> {
    let node = chance.index(setting.nodes);
    let rate = |chance: &Chance| [0, 0, 50, 300][chance.index(4)];
    let delay = |chance: &Chance| Duration::from_millis([0, 20, 300][chance.index(3)]);
    let what = match chance.pick(kinds)? {
        0 => Wrong::Kill(node),
        1 => Wrong::Pause(node),
        2 => Wrong::Drain(node),
        3 => Wrong::CutBus(node),
        4 => Wrong::Bus(node, BusFaults { blackhole: true, ..BusFaults::default() }),
        5 => Wrong::Bus(
            node,
            BusFaults {
                blackhole: false,
                drops: rate(chance),
                doubles: rate(chance),
                overtaken: rate(chance),
                delay: delay(chance),
            },
        ),
        6 => Wrong::CrashBus,
        7 => match chance.index(3) {
            0 => Wrong::CrashStore,
            1 => Wrong::Store(node, StoreFaults { down: true, ..StoreFaults::default() }),
            _ => Wrong::Store(
                node,
                StoreFaults { down: false, lost_answers: rate(chance), failures: rate(chance), delay: delay(chance) },
            ),
        },
        _ => Wrong::Clock(node, chance.range(0..120_000) as i64 - 60_000),
    };
    let at = chance.time(Duration::ZERO..length);
    let lasts = chance.time(Duration::from_millis(200)..Duration::from_secs(8)).min(length.saturating_sub(at));
    Some(Fault { at, lasts, what })
}
