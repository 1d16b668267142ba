//! Each device has every step of its user's feed since it first connected.

use std::collections::BTreeSet;

use protocol::UserSeq;

use super::{DeviceLog, Happened, Kind, Log, Theirs, Truth, Violation};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for (number, device) in log.devices.iter().enumerate() {
        let Some(theirs) = truth.users.get(&device.user) else { continue };
        for (kind, what) in differences(device, theirs) {
            found.push(Violation::new(kind, what).user(device.user).device(number));
        }
    }
}

fn differences(device: &DeviceLog, theirs: &Theirs) -> Vec<(Kind, String)> {
    // Where its feed begins, where this connection began, and what came.
    let (mut base, mut began, mut came) = (None, 0, BTreeSet::new());
    let mut found = Vec::new();
    for entry in &device.entries {
        let Happened::Heard(frame) = &entry.what else { continue };
        if frame["type"] == "connected" {
            began = frame["data"]["user_seq"].as_u64().unwrap_or(began);
            base = base.or(Some(began));
        } else if frame["type"] == "resync_required" && frame["data"]["conversation_id"].is_null() {
            // "Fetch everything by REST" begins anew where that connection began, and forgives nothing of before.
            found.extend(lacking(theirs, base, came.last().copied(), &came));
            base = base.max(Some(began));
        }
        came.extend(frame["user_seq"].as_u64());
    }
    if came.last().is_some_and(|last| *last > theirs.feed_head) {
        let what = format!("step {:?} of the feed came, the head is {}", came.last(), theirs.feed_head);
        found.push((Kind::Diverged, what));
    }
    // Who was not there in the end has at least what is below the last thing that came.
    let last = if device.settled { Some(UserSeq::MAX) } else { came.last().copied() };
    found.extend(lacking(theirs, base, last, &came));
    found
}

/// Steps that still stand above the base, up to the last one, and did not come. (Those that something later undid need
/// not come to who comes back after that.)
fn lacking(
    theirs: &Theirs,
    base: Option<UserSeq>,
    last: Option<UserSeq>,
    came: &BTreeSet<UserSeq>,
) -> Option<(Kind, String)> {
    let (base, last) = (base?, last?);
    let due = theirs.feed.iter().filter(|seq| **seq > base && **seq <= last);
    let lacking: Vec<_> = due.filter(|seq| !came.contains(*seq)).collect();
    (!lacking.is_empty()).then(|| (Kind::FeedNotWhole, format!("these steps of the feed never came: {lacking:?}")))
}
