//! What each device shows at the end is what the store holds for its user, and no client was sent what a correct server
//! does not send.

use std::collections::BTreeSet;

use protocol::{ConversationId, Message, Seq, SystemChange};

use super::{DeviceLog, Happened, Kind, Log, Truth, Violation};
use crate::client::{Timeline, View, shared};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for (number, device) in log.devices.iter().enumerate() {
        let view = view(number, device, found);
        if !device.settled {
            continue;
        }
        let Some(theirs) = truth.users.get(&device.user) else { continue };
        let tell = |kind: Kind, id: ConversationId, what: String| {
            Violation::new(kind, what).user(device.user).device(number).of(id)
        };
        for (id, sees) in &theirs.sees {
            let Some(history) = truth.conversations.get(id) else { continue };
            match view.timelines.get(id).filter(|timeline| !timeline.gone) {
                None => found.push(tell(Kind::Stale, *id, "the device does not know of the conversation".into())),
                Some(timeline) if timeline.cursor < history.head => {
                    let what = format!("the device is at {}, the head is {}", timeline.cursor, history.head);
                    found.push(tell(Kind::Stale, *id, what));
                }
                Some(timeline) if timeline.cursor > history.head => {
                    let what = format!("the device is at {}, above the head {}", timeline.cursor, history.head);
                    found.push(tell(Kind::Diverged, *id, what));
                }
                Some(timeline) => {
                    let blank = log.since_join.contains(id);
                    for (kind, message, what) in differences(timeline, sees, &history.messages, blank) {
                        found.push(tell(kind, *id, what).message(message.id));
                    }
                }
            }
        }
        for (id, timeline) in &view.timelines {
            if !is_over(timeline) && !theirs.memberships.contains_key(id) {
                found.push(tell(Kind::Stale, *id, "the device was not told of the removal".into()));
            }
        }
        for id in view.unannounced() {
            if theirs.memberships.contains_key(&id) {
                found.push(tell(Kind::Protocol, id, "events of a conversation that nothing announced".into()));
            }
        }
    }
}

/// What the device knows, from its frames. What is wrong with one of them is told, unless somebody told of this frame
/// already: a hole within a connection is a [`Kind::Gap`], and one between two of them shows here alone.
fn view(number: usize, device: &DeviceLog, found: &mut Vec<Violation>) -> View {
    let told = found.iter().filter(|told| told.device == Some(number)).filter_map(|told| told.at);
    let told: BTreeSet<_> = told.collect();
    let mut view = View::default();
    view.without_events();
    for entry in &device.entries {
        match &entry.what {
            Happened::Heard(frame) => view.take(frame.clone()),
            Happened::Said(frame) => view.said(frame),
            Happened::Opened | Happened::Closed(_) | Happened::Listed { .. } => continue,
        }
        for what in view.violations.drain(..).filter(|_| !told.contains(&entry.at)) {
            found.push(Violation::new(Kind::Protocol, what).user(device.user).device(number).at(entry.at));
        }
    }
    view
}

/// They were told that it is not theirs any more, or is not there.
fn is_over(timeline: &Timeline) -> bool {
    let deleted = |message: &Message| matches!(message.system, Some(SystemChange::ConversationDeleted));
    timeline.gone || timeline.messages.values().any(deleted)
}

type Messages = std::collections::BTreeMap<Seq, Message>;

fn differences<'a>(
    timeline: &'a Timeline,
    sees: &'a Messages,
    all: &Messages,
    blank: bool,
) -> Vec<(Kind, &'a Message, String)> {
    let mut found = Vec::new();
    for (place, kept) in sees {
        match timeline.messages.get(place) {
            None if kept.changed_seq > timeline.from => {
                let what = format!("the message at {place}, changed at {}, never came", kept.changed_seq);
                found.push((Kind::Missing, kept, what));
            }
            Some(known) if known.id != kept.id => {
                found.push((Kind::Diverged, kept, format!("another message is at {place} on the device")));
            }
            Some(known) if comparable(known, blank) != comparable(kept, blank) => {
                let what = format!("the device shows another state of the message at {place}: {known:?}, not {kept:?}");
                found.push((Kind::Missing, kept, what));
            }
            None | Some(_) => {}
        }
    }
    for (place, known) in &timeline.messages {
        if all.get(place).is_none_or(|kept| kept.id != known.id) {
            found.push((Kind::Diverged, known, format!("the message at {place} on the device is not in the store")));
        }
    }
    found
}

/// Quotes are without text where newcomers may not read what was before them; a client shows what it has.
fn comparable(message: &Message, blank: bool) -> Message {
    let mut message = shared(message.clone());
    if let Some(quote) = message.reply_to.as_mut().filter(|_| blank) {
        quote.content.clear();
    }
    message
}
