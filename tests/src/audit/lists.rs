//! Each device's list of conversations, fetched once and then kept from events alone, is what a fresh request gives.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Result;
use protocol::{Conversation, ConversationId, HelloReply, Receipt};

use super::{DeviceLog, Entry, Happened, Kind, Log, Looked, Violation};
use crate::client::List;

pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    for looked in &log.looked {
        order(looked, found);
    }
    let looked: HashMap<_, _> = log.looked.iter().map(|looked| (looked.user, &looked.conversations)).collect();
    for (number, device) in log.devices.iter().enumerate().filter(|(_, device)| device.settled) {
        let (Some(fresh), Some(base)) = (looked.get(&device.user), base(device)) else { continue };
        let tell = |what: String| Violation::new(Kind::WrongList, what).user(device.user).device(number);
        let fresh = List::new(device.user, fresh.iter().cloned()).without_quotes(&log.since_join);
        match kept(device, &base) {
            Err(error) => found.push(tell(format!("an event that no list can take: {error:#}"))),
            Ok(list) => {
                let differing = list.without_quotes(&log.since_join).differing(&fresh);
                let differing = differing.into_iter().filter(|(id, _)| !base.anew.contains(id));
                found.extend(differing.map(|(id, what)| tell(what).of(id)));
            }
        }
    }
}

/// Those with the last activity come first.
fn order(looked: &Looked, found: &mut Vec<Violation>) {
    let ordered = looked.conversations.is_sorted_by(|one, next| one.last_activity_at >= next.last_activity_at);
    if !ordered {
        let what = "a list is not in the order of last activity";
        found.push(Violation::new(Kind::WrongList, what).user(looked.user));
    }
}

/// What a device keeps its list from.
struct Base<'a> {
    /// When it asked for the list that it fetched last.
    asked: Duration,
    conversations: &'a [Conversation],
    /// What the server asked it to fetch anew since then: from events alone nobody can keep those.
    anew: HashSet<ConversationId>,
}

/// None when it fetched no list since it was to fetch everything.
fn base(device: &DeviceLog) -> Option<Base<'_>> {
    let told = |entry: &Entry| match &entry.what {
        Happened::Heard(frame) if frame["type"] == "resync_required" => {
            let id = frame["data"]["conversation_id"].as_str().and_then(|id| id.parse::<ConversationId>().ok());
            Some((entry.at, id))
        }
        _ => None,
    };
    let (asked, conversations) = device.entries.iter().rev().find_map(|entry| match &entry.what {
        Happened::Listed { asked, conversations } => Some((*asked, conversations.as_slice())),
        _ => None,
    })?;
    let since = device.entries.iter().filter_map(told).filter(|(at, _)| *at >= asked);
    let anew: Option<HashSet<_>> = since.map(|(_, id)| id).collect();
    Some(Base { asked, conversations, anew: anew? })
}

/// The list at the end. What was heard before the list was asked for is in it, or undone again: a conversation that was
/// made, heard of and deleted would come back. What was heard while it was under way is applied, also what the answer
/// knew: a client lets events wait while it asks, and tells by their numbers alone which are in the answer. Which
/// conversations are theirs has no number: the reply of a stream is older than a list that was asked for after it, and
/// harnesses keep no list beside which a stream began.
fn kept(device: &DeviceLog, base: &Base<'_>) -> Result<List> {
    let mut list = List::new(device.user, base.conversations.iter().cloned());
    let listed = device.entries.iter().rposition(|entry| matches!(entry.what, Happened::Listed { .. }));
    // What this connection showed is the user's, whether or not the answer of its stream names it.
    let mut shown: HashSet<ConversationId> = HashSet::new();
    for (place, entry) in device.entries.iter().enumerate() {
        let Happened::Heard(frame) = &entry.what else { continue };
        match frame["type"].as_str() {
            Some("connected") => shown.clear(),
            Some("conversation.created") => {
                shown.extend(serde_json::from_value::<ConversationId>(frame["data"]["id"].clone()));
            }
            _ => {}
        }
        if entry.at < base.asked {
            continue;
        }
        if frame["type"] != "reply" {
            list.apply(frame)?;
        } else if frame["ref"] == "hello" && frame["ok"] == true {
            let reply: HelloReply = serde_json::from_value(frame["data"].clone())?;
            if frame["stream"] == true && Some(place) > listed {
                list.retain(|id| reply.heads.contains_key(id) || shown.contains(id));
            }
            list.receipts(&reply.receipts);
        } else if let Ok(own) = serde_json::from_value::<Receipt>(frame["data"].clone()) {
            // The answer to a marker that it moved itself.
            list.receipts(&[own]);
        }
    }
    Ok(list)
}
