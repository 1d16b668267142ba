//! After a restore nobody believes the lost future: who comes back with it is told so, and is whole afterwards.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Deed, Entry, Happened, Kind, Log, Outcome, Violation, own::Restored};

/// The log without the lost future: nobody knows what became of what was done in it, and each device begins with its
/// first connection to what was restored.
pub(super) fn without_the_lost(log: &Log) -> Cow<'_, Log> {
    let Some(restored) = &log.own.restored else { return Cow::Borrowed(log) };
    let mut log = log.clone();
    let acts = log.acts.iter_mut().map(|act| (act.at, act.until, &mut act.outcome));
    let own = log.own.acts.iter_mut().map(|act| (act.at, act.until, &mut act.outcome));
    for (at, until, outcome) in acts.chain(own) {
        if until > restored.saved && at < restored.at {
            *outcome = Outcome::Unknown;
        }
    }
    let mut back = BTreeMap::new();
    for device in &mut log.devices {
        let mut opened = 0;
        let first = device.entries.iter().enumerate().find_map(|(at, entry)| match &entry.what {
            Happened::Opened => {
                opened = at;
                None
            }
            Happened::Heard(frame) => (frame["data"]["epoch"] == restored.epoch.as_str()).then_some(opened),
            _ => None,
        });
        device.entries.drain(..first.unwrap_or(device.entries.len()));
        let told = |entry: &&Entry| matches!(&entry.what, Happened::Heard(frame) if frame["ref"] == "hello");
        let told = device.entries.iter().find(told).map_or(Duration::MAX, |entry| entry.at);
        let latest = back.entry(device.user).or_insert(told);
        *latest = told.max(*latest);
    }
    // Who was not told yet reads up to places of the lost future, which something else takes later.
    for act in log.acts.iter_mut().filter(|act| matches!(act.deed, Deed::Read { .. })) {
        if back.get(&act.user).is_none_or(|back| act.at <= *back) {
            act.outcome = Outcome::Unknown;
        }
    }
    Cow::Owned(log)
}

/// Everything is to be fetched, since the database is another one.
fn is_of_another_epoch(frame: &Value) -> bool {
    let data = &frame["data"];
    frame["type"] == "resync_required" && data["conversation_id"].is_null() && data["reason"] == "epoch_changed"
}

/// On a log without the lost future: each device's first connection.
pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    let Some(Restored { epoch, .. }) = &log.own.restored else { return };
    for (number, device) in log.devices.iter().enumerate() {
        let mut named = None;
        for entry in &device.entries {
            match &entry.what {
                Happened::Said(frame) if frame["type"] == "hello" => named = frame["resume"]["epoch"].as_str(),
                Happened::Heard(frame) if is_of_another_epoch(frame) => break,
                Happened::Heard(frame) if frame["ref"] == "hello" && frame["ok"] == true => {
                    if named.is_some_and(|named| named != epoch) {
                        let what = "cursors of a lost future were believed";
                        let violation = Violation::new(Kind::Diverged, what).user(device.user).device(number);
                        found.push(violation.at(entry.at));
                    }
                    break;
                }
                Happened::Closed(_) => named = None,
                _ => {}
            }
        }
    }
}
