//! What happens in one run: a setting, what people do when, and what goes wrong when. Drawn from one seed; plain data,
//! so that a failing plan can be made smaller piece by piece.

use std::time::Duration;

use chat::Protections;
use serde::{Deserialize, Serialize};

use super::{bus::BusFaults, chance::Chance, store::StoreFaults, world::Setting};

/// Everything that a run does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How the world is.
    pub setting: Setting,
    /// Whose each device is, by number.
    pub devices: Vec<usize>,
    /// Whose each event stream is; steps count them after the devices.
    #[serde(default)]
    pub streams: Vec<usize>,
    /// How many people.
    pub people: usize,
    /// What they do, by time.
    pub steps: Vec<Step>,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
    /// When the last fault is over and everything may settle.
    pub length: Duration,
}

/// One thing that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// On which device, by number.
    pub device: usize,
    /// What. Conversations and messages are numbers too: of those that are known then, counted round.
    pub what: What,
}

/// What people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A text, over the socket.
    Send(usize),
    /// A text, over REST.
    Post(usize),
    /// An edit of one's own message.
    Edit(usize, usize),
    /// A deletion of one's own message.
    Delete(usize, usize),
    /// A reaction, given or taken back.
    React(usize, usize, bool),
    /// A pin, or none.
    Pin(usize, usize, bool),
    /// The read marker moves to the head that is known.
    Read(usize),
    /// Typing.
    Type(usize),
    /// A group with some of the others (a bit for each).
    Create(usize),
    /// Somebody is added.
    Add(usize, usize),
    /// Somebody is removed.
    Remove(usize, usize),
    /// One leaves.
    Leave(usize),
    /// A public room is joined.
    Join(usize),
    /// The title changes.
    Rename(usize),
    /// The connection breaks.
    Break,
    /// The device is away for a while.
    Away(Duration),
    /// The device does not read for a while.
    Stall(Duration),
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub what: Wrong,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// kill -9 of a node; then it is started again.
    Kill(usize),
    /// SIGSTOP of a node.
    Pause(usize),
    /// SIGTERM of a node; then it is started again.
    Drain(usize),
    /// A node's connection to the bus breaks.
    CutBus(usize),
    /// Something on a node's way to the bus.
    Bus(usize, BusFaults),
    /// The bus's server ends and forgets.
    CrashBus,
    /// Something on a node's way to the store.
    Store(usize, StoreFaults),
    /// The store is away for all.
    CrashStore,
    /// A node's wall clock is off, milliseconds.
    Clock(usize, i64),
}

impl Wrong {
    /// For tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill -9",
            Self::Pause(_) => "pause",
            Self::Drain(_) => "drain",
            Self::CutBus(_) => "bus connection cut",
            Self::Bus(_, faults) if faults.blackhole => "bus blackhole",
            Self::Bus(..) => "bus noise",
            Self::CrashBus => "bus crash",
            Self::Store(_, faults) if faults.down => "store out of reach",
            Self::Store(..) => "store noise",
            Self::CrashStore => "store crash",
            Self::Clock(..) => "clock step",
        }
    }
}

impl Plan {
    /// Draws a plan; also its mix of faults, its numbers and its limits come from the seed.
    pub fn draw(seed: u64) -> Self {
        let chance = Chance::new(seed, "plan");
        let setting = setting(seed, &chance);
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
        faults.sort_by_key(|fault| fault.at);
        Self { setting, devices, streams, people, steps, faults, length }
    }

    /// The same with other protections.
    #[must_use]
    pub fn with_protections(mut self, protections: Protections) -> Self {
        self.setting.protections = protections;
        self
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
