//! Settings, blocks and announcements: what was acknowledged is stored, and each device was told what is stored.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use protocol::{ConversationId, Notify, UserId};
use serde_json::Value;

use super::{DeviceLog, Happened, Kind, Log, Outcome, Theirs, Truth, Violation, own::OwnAct, own::OwnDeed};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    if log.own.acts.is_empty() {
        return;
    }
    acknowledged(log, truth, found);
    for (number, device) in log.devices.iter().enumerate() {
        let Some(theirs) = truth.users.get(&device.user) else { continue };
        let mut told = Told::default();
        for entry in &device.entries {
            match &entry.what {
                Happened::Opened => told.last = None,
                Happened::Heard(frame) => told.hear(entry.at, frame),
                _ => {}
            }
        }
        let tell = |kind: Kind, what: String| Violation::new(kind, what).user(device.user).device(number);
        found.extend(told.broken.drain(..).map(|(at, kind, what)| tell(kind, what).at(at)));
        if device.settled {
            let mut differences = Vec::new();
            differences.extend(told.announcements(truth, device));
            differences.extend(told.settings(theirs));
            found.extend(differences.into_iter().map(|(kind, what)| tell(kind, what)));
        }
    }
}

/// What a device was told, in the end.
#[derive(Default)]
struct Told {
    /// Where announcements begin, and where this connection began.
    base: Option<(u64, u64)>,
    /// The last one on this connection.
    last: Option<u64>,
    titles: BTreeMap<u64, String>,
    notify: HashMap<ConversationId, (Notify, bool)>,
    everywhere: Option<Notify>,
    blocked: HashMap<UserId, bool>,
    broken: Vec<(Duration, Kind, String)>,
}

impl Told {
    fn hear(&mut self, at: Duration, frame: &Value) {
        let data = &frame["data"];
        match frame["type"].as_str().unwrap_or_default() {
            "connected" => {
                let head = data["announcement_seq"].as_u64().unwrap_or_default();
                self.base = Some((self.base.map_or(head, |(base, _)| base), head));
            }
            "resync_required" if data["conversation_id"].is_null() => {
                self.base = self.base.map(|(base, here)| (base.max(here), here));
                // What it fetches then is told by REST.
                self.notify.clear();
                self.everywhere = None;
                self.blocked.clear();
            }
            "announcement" => self.announcement(at, data),
            "preferences.updated" => self.conversation(&data["conversation_id"], data),
            "conversation.created" => self.conversation(&data["id"], data),
            "notification_preferences.updated" => {
                self.everywhere = serde_json::from_value(data["notify"].clone()).ok();
            }
            kind @ ("user.blocked" | "user.unblocked") => {
                if let Some(user) = data["user_id"].as_str().and_then(|user| user.parse().ok()) {
                    self.blocked.insert(user, kind == "user.blocked");
                }
            }
            _ => {}
        }
    }

    fn conversation(&mut self, id: &Value, data: &Value) {
        let id = id.as_str().and_then(|id| id.parse().ok());
        if let (Some(id), Ok(notify)) = (id, serde_json::from_value(data["notify"].clone())) {
            self.notify.insert(id, (notify, !data["pinned_at"].is_null()));
        }
    }

    fn announcement(&mut self, at: Duration, data: &Value) {
        let (Some(seq), title) = (data["seq"].as_u64(), data["title"].as_str().unwrap_or_default()) else { return };
        match self.last {
            Some(last) if seq <= last => {
                self.broken.push((at, Kind::Doubled, format!("announcement {seq} came again")));
            }
            Some(last) if seq > last + 1 => {
                self.broken.push((at, Kind::Gap, format!("announcement {seq} came after {last}")));
            }
            _ => {}
        }
        self.last = Some(seq);
        self.titles.insert(seq, title.to_owned());
    }

    fn announcements(&self, truth: &Truth, device: &DeviceLog) -> Vec<(Kind, String)> {
        let Some((base, _)) = self.base else { return Vec::new() };
        let lacking: BTreeSet<_> =
            truth.announcements.keys().filter(|seq| **seq > base && !self.titles.contains_key(seq)).collect();
        let mut found = Vec::new();
        if !lacking.is_empty() {
            found.push((Kind::FeedNotWhole, format!("these announcements never came to {}: {lacking:?}", device.user)));
        }
        for (seq, title) in self.titles.iter().filter(|(seq, _)| **seq > base) {
            if truth.announcements.get(seq) != Some(title) {
                let kept = truth.announcements.get(seq);
                found.push((Kind::Diverged, format!("announcement {seq} came as {title:?}, {kept:?} is stored")));
            }
        }
        found
    }

    fn settings(&self, theirs: &Theirs) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        let mut differ = |what: String| found.push((Kind::FeedNotWhole, what));
        for (id, told) in &self.notify {
            let Some(kept) = theirs.conversations.get(id) else { continue };
            let kept = (kept.notify, kept.pinned_at.is_some());
            if kept != *told {
                differ(format!("settings of {id} (notify, pinned) were told as {told:?}, {kept:?} is stored"));
            }
        }
        if let Some(told) = self.everywhere.filter(|told| *told != theirs.notify) {
            differ(format!("settings were told as {told:?}, {:?} is stored", theirs.notify));
        }
        for (user, told) in &self.blocked {
            if theirs.blocked.contains(user) != *told {
                differ(format!("the block of {user} was told as {told}, and is not so"));
            }
        }
        found
    }
}

/// What was acknowledged last, where that is certain, is stored.
fn acknowledged(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    let mut lost = |act: &OwnAct, what: String| {
        found.push(Violation::new(Kind::Lost, what).user(act.user).at(act.until));
    };
    for act in &log.own.acts {
        let OwnDeed::Announce(title) = &act.deed else { continue };
        let times = truth.announcements.values().filter(|kept| *kept == title).count();
        if times == 0 && act.outcome == Outcome::Done(None) {
            lost(act, format!("the announcement {title:?} was acknowledged and is not stored"));
        }
        if times > 1 {
            lost(act, format!("one announcement, {title:?}, is stored {times} times"));
        }
    }
    for act in log.own.acts.iter().filter(|act| is_certain(act, &log.own.acts)) {
        let Some(theirs) = truth.users.get(&act.user) else { continue };
        let is_so = match &act.deed {
            OwnDeed::Notify(None, notify) => theirs.notify == *notify,
            OwnDeed::Notify(Some(id), notify) => theirs.conversations.get(id).is_none_or(|kept| kept.notify == *notify),
            OwnDeed::PinConversation(id, on) => {
                theirs.conversations.get(id).is_none_or(|kept| kept.pinned_at.is_some() == *on)
            }
            OwnDeed::Block(user, on) => theirs.blocked.contains(user) == *on,
            OwnDeed::Revoke(_) | OwnDeed::Announce(_) => true,
        };
        if !is_so {
            lost(act, format!("{:?} was acknowledged, and is not so", act.deed));
        }
    }
}

/// It was acknowledged, and nothing else of its kind can have come after it.
fn is_certain(act: &OwnAct, all: &[OwnAct]) -> bool {
    let same = |other: &&OwnAct| {
        other.user == act.user
            && match (&other.deed, &act.deed) {
                (OwnDeed::Notify(one, _), OwnDeed::Notify(two, _)) => one == two,
                (OwnDeed::PinConversation(one, _), OwnDeed::PinConversation(two, _)) => one == two,
                (OwnDeed::Block(one, _), OwnDeed::Block(two, _)) => one == two,
                _ => false,
            }
    };
    let before = |other: &OwnAct| other.until <= act.at && other.outcome != Outcome::Unknown;
    act.outcome == Outcome::Done(None) && all.iter().filter(same).filter(|other| !std::ptr::eq(*other, act)).all(before)
}
