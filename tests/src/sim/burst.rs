//! Bursts: for a moment much happens in one conversation, while what is between one node and the rest is slow or loses
//! some of it. What needs two things to happen close together is hardly drawn one by one.

use std::{ops::Range, time::Duration};

use super::{
    bus::BusFaults,
    chance::Chance,
    plan::{Fault, Plan, Step, What, Wrong},
    store::StoreFaults,
};

/// How long one lasts.
const LASTS: Range<Duration> = Duration::from_millis(200)..Duration::from_secs(3);
/// Between a removal and the adding after it, at most.
const BACK: Range<Duration> = Duration::ZERO..Duration::from_millis(300);

impl Plan {
    /// Adds one to the plan.
    pub(super) fn burst(&mut self, chance: &Chance) {
        let (conversation, lasts) = (chance.index(4), chance.time(LASTS));
        let begin = chance.time(Duration::ZERO..self.length.saturating_sub(lasts));
        let clients = self.devices.len() + self.streams.len();
        let within = |chance: &Chance| begin + chance.time(Duration::ZERO..lasts);
        for _ in 0..4 + chance.index(24) {
            let what = match chance.index(10) {
                0 => What::Edit(conversation, chance.index(4)),
                1 => What::React(conversation, chance.index(4), chance.per_mille(700)),
                2 => What::Break,
                _ => What::Send(conversation),
            };
            self.steps.push(Step { at: within(chance), device: chance.index(clients), what });
        }
        for _ in 0..chance.index(4) {
            let (at, who, by) = (within(chance), chance.index(self.people), chance.index(self.devices.len()));
            self.steps.push(Step { at, device: by, what: What::Remove(conversation, who) });
            self.steps.push(Step { at: at + chance.time(BACK), device: by, what: What::Add(conversation, who) });
        }
        if chance.per_mille(150) {
            let (at, device) = (within(chance), chance.index(self.devices.len()));
            self.steps.push(Step { at, device, what: What::Close(conversation) });
        }
        if chance.per_mille(500) {
            self.setting.bounds.resume_distance = [1, 2, 6][chance.index(3)];
        }
        self.slow_node(chance, begin, lasts);
    }

    /// One node hears and reads badly meanwhile.
    fn slow_node(&mut self, chance: &Chance, at: Duration, lasts: Duration) {
        let node = chance.index(self.setting.nodes);
        let delay = |chance: &Chance| Duration::from_millis([0, 50, 300][chance.index(3)]);
        let bus = match chance.index(4) {
            0 => BusFaults { blackhole: true, ..BusFaults::default() },
            1 => BusFaults { drops: 300, delay: delay(chance), ..BusFaults::default() },
            2 => BusFaults { overtaken: 300, delay: delay(chance), ..BusFaults::default() },
            _ => BusFaults::default(),
        };
        let store =
            StoreFaults { delay: delay(chance), failures: [0, 0, 100][chance.index(3)], ..StoreFaults::default() };
        for what in [Wrong::Bus(node, bus), Wrong::Store(node, store)] {
            self.faults.push(Fault { at, lasts, what });
        }
    }
}
