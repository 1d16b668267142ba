//! Who watches others is shown them as they are, and is told of each change once.
//!
//! What a device showed is followed from its frames: the answer to its question, then events, anew on each connection.
//! It is judged where the log has a [`Roll`]: in between, what is shown may be behind by as much as the protocol
//! allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use protocol::{Presence, PresenceList, PresenceState, UserId};
use serde_json::Value;

use super::{DeviceLog, Happened, Kind, Log, Roll, Violation};
use crate::client::WATCH_REF;

/// Of one user so much time passes between two events, at least.
const PAUSE: Duration = Duration::from_secs(5);
/// What a network or a node that sleeps may squeeze together.
const SLACK: Duration = Duration::from_secs(15);

pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    let mut rolls: Vec<_> = log.rolls.iter().collect();
    rolls.sort_by_key(|roll| roll.at);
    for (number, device) in log.devices.iter().enumerate() {
        let mut watcher = Watcher {
            device,
            number,
            found,
            drops: log.drops,
            wanted: BTreeSet::new(),
            open: false,
            shown: BTreeMap::new(),
        };
        let mut rolls = rolls.iter().peekable();
        for entry in &device.entries {
            // In virtual time people leave at the very moment of the roll: after it.
            while let Some(roll) = rolls.next_if(|roll| roll.at <= entry.at) {
                watcher.judge(roll);
            }
            match &entry.what {
                Happened::Opened => watcher.begins(true),
                Happened::Closed(_) => watcher.begins(false),
                Happened::Said(frame) if frame["type"] == "presence.watch" => watcher.wants(frame),
                Happened::Heard(frame) => watcher.heard(entry.at, frame),
                Happened::Said(_) | Happened::Listed { .. } => {}
            }
        }
        for roll in rolls {
            watcher.judge(roll);
        }
    }
}

/// One device, up to a moment.
struct Watcher<'a> {
    device: &'a DeviceLog,
    number: usize,
    found: &'a mut Vec<Violation>,
    drops: bool,
    /// Whom it asked for, over all connections.
    wanted: BTreeSet<UserId>,
    open: bool,
    /// What this connection told.
    shown: BTreeMap<UserId, Shown>,
}

struct Shown {
    state: PresenceState,
    /// When events told of them.
    told: Vec<Duration>,
}

impl Watcher<'_> {
    fn begins(&mut self, open: bool) {
        self.open = open;
        self.shown.clear();
    }

    fn wants(&mut self, frame: &Value) {
        let ids = serde_json::from_value::<Vec<UserId>>(frame["user_ids"].clone());
        self.wanted.extend(ids.into_iter().flatten());
    }

    fn heard(&mut self, at: Duration, frame: &Value) {
        if frame["type"] == "reply" && frame["ref"] == WATCH_REF && frame["ok"] == true {
            let list = serde_json::from_value::<PresenceList>(frame["data"].clone()).unwrap_or_default();
            for presence in list.items {
                let told = self.shown.remove(&presence.user_id).map_or_else(Vec::new, |shown| shown.told);
                self.shown.insert(presence.user_id, Shown { state: presence.state, told });
            }
        } else if frame["type"] == "presence.updated" {
            match serde_json::from_value(frame["data"].clone()) {
                Ok(presence) => self.told(at, &presence),
                Err(error) => self.tell(&format!("an event that is none ({error}): {frame}"), None, at),
            }
        }
    }

    fn told(&mut self, at: Duration, presence: &Presence) {
        let (user, state) = (presence.user_id, presence.state);
        let Some(shown) = self.shown.get_mut(&user) else {
            return self.tell(&format!("told {state:?} of somebody of whom nothing was answered"), Some(user), at);
        };
        let again = std::mem::replace(&mut shown.state, state) == state;
        shown.told.push(at);
        let often = is_flood(&shown.told);
        if again && !self.drops {
            self.tell(&format!("told {state:?} again"), Some(user), at);
        }
        if often {
            self.tell("told too often of one user", Some(user), at);
        }
    }

    fn judge(&mut self, roll: &Roll) {
        if !self.open {
            return;
        }
        for user in self.wanted.clone() {
            let pair = (self.device.user, user);
            let Some(is) = roll.states.get(&user).filter(|_| !roll.unseen.contains(&pair)) else { continue };
            let shown = self.shown.get(&user).map(|shown| shown.state);
            if shown != Some(*is) && (shown.is_some() || !roll.seen_again.contains(&pair)) {
                self.tell(&format!("shows {shown:?} who is {is:?}"), Some(user), roll.at);
            }
        }
    }

    fn tell(&mut self, what: &str, of: Option<UserId>, at: Duration) {
        let what = of.map_or_else(|| what.to_owned(), |of| format!("{what}: {of}"));
        self.found.push(Violation::new(Kind::WrongWatch, what).user(self.device.user).device(self.number).at(at));
    }
}

/// Whether the last event is one too many after any of those before it.
fn is_flood(told: &[Duration]) -> bool {
    let Some((last, before)) = told.split_last() else { return false };
    before.iter().rev().zip(1_u32..).any(|(first, events)| PAUSE * events > last.saturating_sub(*first) + SLACK)
}
