//! Unread counts follow from the messages and the read markers; markers that are told are those that are stored.

use std::collections::BTreeMap;

use protocol::{MessageKind, Receipt};

use super::{Happened, Kind, Log, Looked, Truth, Violation};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for looked in &log.looked {
        lists(looked, truth, found);
    }
    for (number, device) in log.devices.iter().enumerate() {
        let Some(theirs) = truth.users.get(&device.user) else { continue };
        let stored: BTreeMap<_, _> =
            theirs.receipts.iter().map(|receipt| ((receipt.conversation_id, receipt.user_id), receipt)).collect();
        let tell = |receipt: &Receipt, what: String| {
            Violation::new(Kind::WrongUnread, what).user(device.user).device(number).of(receipt.conversation_id)
        };
        for (at, told) in Log::receipts(&device.entries) {
            let Some(kept) = stored.get(&(told.conversation_id, told.user_id)) else { continue };
            if told.read_seq > kept.read_seq || told.delivered_seq > kept.delivered_seq {
                found.push(tell(&told, format!("a marker was told that is not stored: {told:?}, {kept:?}")).at(at));
            }
        }
        // Markers that are told by a resume after everything had settled, or after it, are the present ones.
        let last = device.entries.iter().enumerate().rev().find(|(_, entry)| match &entry.what {
            Happened::Heard(frame) => frame["ref"] == "hello" && frame["ok"] == true,
            _ => false,
        });
        let Some((at, entry)) = last.filter(|(_, entry)| log.quiet_since.is_some_and(|quiet| entry.at > quiet)) else {
            continue;
        };
        for (_, told) in Log::receipts(&device.entries[at..]) {
            let kept = stored.get(&(told.conversation_id, told.user_id));
            if kept.is_some_and(|kept| **kept != told) {
                found.push(tell(&told, format!("a resume told {told:?}, {kept:?} is stored")).at(entry.at));
            }
        }
        let told: Vec<_> = Log::receipts(&device.entries[at..]).map(|(_, told)| told.conversation_id).collect();
        for receipt in theirs.receipts.iter().filter(|receipt| !told.contains(&receipt.conversation_id)) {
            found.push(tell(receipt, "a resume told no markers of the conversation".into()).at(entry.at));
        }
    }
}

fn lists(looked: &Looked, truth: &Truth, found: &mut Vec<Violation>) {
    let Some(theirs) = truth.users.get(&looked.user) else { return };
    let tell = |what: String| Violation::new(Kind::WrongUnread, what).user(looked.user);
    let mut sum = 0;
    for item in &looked.conversations {
        let Some(history) = truth.conversations.get(&item.id) else { continue };
        let own = |receipt: &&Receipt| receipt.user_id == looked.user && receipt.conversation_id == item.id;
        let read = theirs.receipts.iter().find(own).map_or(0, |receipt| receipt.read_seq);
        let texts = history.messages.range(read + 1..).filter(|(_, message)| message.kind != MessageKind::System);
        let unread = texts.count() as u64;
        if item.muted_until.is_none() {
            sum += unread;
        }
        if (item.unread_count, item.read_seq, item.last_seq) != (unread, read, history.head) {
            let what = format!(
                "the list says unread {}, read up to {}, head {}; by the messages it is {unread}, {read}, {}",
                item.unread_count, item.read_seq, item.last_seq, history.head
            );
            found.push(tell(what).of(item.id));
        }
    }
    for id in theirs.memberships.keys().filter(|id| looked.conversations.iter().all(|item| item.id != **id)) {
        found.push(tell("the list does not have the conversation".into()).of(*id));
    }
    for item in looked.conversations.iter().filter(|item| !theirs.memberships.contains_key(&item.id)) {
        found.push(tell("the list has a conversation that is not theirs".into()).of(item.id));
    }
    if let Some(told) = looked.unread.filter(|told| told.unread_count != sum) {
        found.push(tell(format!("the badge says {}, by the messages it is {sum}", told.unread_count)));
    }
}
