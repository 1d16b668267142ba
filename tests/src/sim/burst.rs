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
/// Between one thing and the next where several belong together.
const NEXT: Range<Duration> = Duration::ZERO..Duration::from_millis(60);
/// Before somebody is removed a client of theirs breaks off, at most: it resumes when that happens.
const RESUMES: Range<Duration> = Duration::ZERO..Duration::from_millis(2_500);
/// What was said while they were out changes so much later.
const LATER: Range<Duration> = Duration::from_millis(100)..Duration::from_secs(8);

/// Of the conversations that there are from the beginning, a group of all and the one where newcomers see only what
/// comes; and on whose device whoever made it is.
const GROUP: (usize, usize) = (0, 0);
const SINCE_JOIN: (usize, usize) = (3, 1);
/// Who else is in both.
const GUEST: usize = 0;

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
        for _ in 0..chance.index(3) {
            self.out_and_in(chance, within(chance));
        }
        if chance.per_mille(150) {
            self.end_midway(chance, within(chance));
        }
    }

    /// Somebody is removed from where newcomers see only what comes, misses something and is added again, while a
    /// client of theirs resumes; later what was said changes.
    fn out_and_in(&mut self, chance: &Chance, at: Duration) {
        let (conversation, by) = SINCE_JOIN;
        let said = || What::Send(conversation);
        let missed = 1 + chance.index(5);
        let out = [said(), said(), What::Remove(conversation, GUEST)].into_iter();
        self.in_a_row(chance, at, by, out.chain((0..missed).map(|_| said())).chain([What::Add(conversation, GUEST)]));
        for _ in 0..=chance.index(4) {
            let nth = chance.index(8);
            let what = if chance.per_mille(700) {
                What::Edit(conversation, nth)
            } else {
                What::React(conversation, nth, true)
            };
            self.steps.push(Step { at: at + chance.time(LATER), device: by, what });
        }
        let clients = self.devices.iter().chain(&self.streams).enumerate();
        let theirs: Vec<_> = clients.filter(|(_, who)| **who == GUEST).map(|(client, _)| client).collect();
        for device in theirs.into_iter().filter(|_| chance.per_mille(600)) {
            let what = if chance.per_mille(700) { What::Break } else { What::Away(chance.time(RESUMES)) };
            self.steps.push(Step { at: at.saturating_sub(chance.time(RESUMES)), device, what });
        }
    }

    /// A conversation ends in the midst of what is said in it, while one node hears nothing.
    fn end_midway(&mut self, chance: &Chance, at: Duration) {
        let (conversation, by) = [GROUP, SINCE_JOIN][chance.index(2)];
        let said = (0..2 + chance.index(6)).map(|_| What::Send(conversation));
        self.in_a_row(chance, at, by, said.chain([What::Close(conversation)]));
        let (node, deaf) = (chance.index(self.setting.nodes), BusFaults { blackhole: true, ..BusFaults::default() });
        let at = at.saturating_sub(chance.time(RESUMES));
        let lasts = (RESUMES.end + chance.time(LASTS)).min(self.length.saturating_sub(at));
        self.faults.push(Fault { at, lasts, what: Wrong::Bus(node, deaf) });
    }

    /// One device does these one soon after the other.
    fn in_a_row(&mut self, chance: &Chance, mut at: Duration, device: usize, what: impl Iterator<Item = What>) {
        for what in what {
            self.steps.push(Step { at, device, what });
            at += chance.time(NEXT);
        }
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
