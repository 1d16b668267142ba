//! Each device has every step of its user's feed since it first connected.

use std::collections::BTreeSet;

use super::{Happened, Kind, Log, Truth, Violation};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for (number, device) in log.devices.iter().enumerate() {
        let Some(theirs) = truth.users.get(&device.user) else { continue };
        let frames = || {
            device.entries.iter().filter_map(|entry| match &entry.what {
                Happened::Heard(frame) => Some(frame),
                _ => None,
            })
        };
        let tell = |kind: Kind, what: String| Violation::new(kind, what).user(device.user).device(number);
        let came: BTreeSet<u64> = frames().filter_map(|frame| frame["user_seq"].as_u64()).collect();
        let Some(base) = frames().find(|frame| frame["type"] == "connected") else { continue };
        let mut base = base["data"]["user_seq"].as_u64().unwrap_or_default();
        // "Fetch everything by REST" begins anew where that connection began.
        let mut began = base;
        for frame in frames() {
            if frame["type"] == "connected" {
                began = frame["data"]["user_seq"].as_u64().unwrap_or(began);
            } else if frame["type"] == "resync_required" && frame["data"]["conversation_id"].is_null() {
                base = base.max(began);
            }
        }
        if came.last().is_some_and(|last| *last > theirs.feed_head) {
            let what = format!("step {:?} of the feed came, the head is {}", came.last(), theirs.feed_head);
            found.push(tell(Kind::Diverged, what));
        }
        let lacking: Vec<_> = theirs.feed.iter().filter(|seq| **seq > base && !came.contains(*seq)).collect();
        if device.settled && !lacking.is_empty() {
            found.push(tell(Kind::FeedNotWhole, format!("these steps of the feed never came: {lacking:?}")));
        }
    }
}
