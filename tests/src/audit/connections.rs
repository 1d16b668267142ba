//! What each connection heard: every step once, in order, and nothing that its user may not hear.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use protocol::{Changes, ConversationId, Message, ResyncReason, Seq, UserId, UserSeq};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Deed, DeviceLog, Happened, History, Kind, Log, Truth, Violation};

pub(super) fn check(log: &Log, truth: &Truth, found: &mut Vec<Violation>) {
    for (number, device) in log.devices.iter().enumerate() {
        let mut replay = Replay {
            log,
            truth,
            device,
            number,
            found,
            now: Duration::ZERO,
            channels: HashMap::new(),
            feed: Feed::default(),
            leaks: HashSet::new(),
        };
        for entry in &device.entries {
            replay.now = entry.at;
            match &entry.what {
                Happened::Opened => {
                    replay.channels.clear();
                    replay.feed = Feed::default();
                }
                Happened::Said(frame) if frame["type"] == "hello" => replay.said_hello(frame),
                Happened::Said(_) | Happened::Closed(_) | Happened::Listed { .. } => {}
                Happened::Heard(frame) => replay.heard(frame),
            }
        }
    }
}

/// One conversation on one connection.
#[derive(Default)]
struct Channel {
    /// None until it is announced where it begins.
    cursor: Option<Seq>,
    /// It is to be fetched: where its events go on is told by the first of them, if by nothing else.
    skipped: bool,
    /// The client named it: what is not above it has no business here.
    named: Option<Seq>,
    /// Where it was announced to begin.
    begin: Seq,
    /// What came, as events and within pages: from (exclusive), to.
    came: BTreeSet<Seq>,
    spans: Vec<(Seq, Seq)>,
    gone: bool,
    /// What came before the announcement: events, and pages from (exclusive) – to.
    early: Vec<Early>,
}

enum Early {
    Event(Seq),
    Page(Changes),
}

#[derive(Default)]
struct Feed {
    named: UserSeq,
    came: BTreeMap<UserSeq, String>,
}

struct Replay<'a> {
    log: &'a Log,
    truth: &'a Truth,
    device: &'a DeviceLog,
    number: usize,
    found: &'a mut Vec<Violation>,
    now: Duration,
    channels: HashMap<ConversationId, Channel>,
    feed: Feed,
    /// Told once each.
    leaks: HashSet<(ConversationId, Seq)>,
}

impl Replay<'_> {
    fn tell(&mut self, kind: Kind, what: impl Into<String>, conversation: Option<ConversationId>) {
        let violation = Violation::new(kind, what).user(self.device.user).device(self.number).at(self.now);
        self.found.push(match conversation {
            Some(conversation) => violation.of(conversation),
            None => violation,
        });
    }

    fn said_hello(&mut self, frame: &Value) {
        let resume = &frame["resume"];
        self.feed.named = resume["user_seq"].as_u64().unwrap_or_default();
        for (id, cursor) in resume["cursors"].as_object().into_iter().flatten() {
            if let (Ok(id), Some(cursor)) = (id.parse(), cursor.as_u64()) {
                let channel = Channel { cursor: Some(cursor), named: Some(cursor), ..Channel::default() };
                self.channels.insert(id, channel);
            }
        }
    }

    fn heard(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap_or_default();
        if let Some(seq) = frame["user_seq"].as_u64() {
            self.feed(seq, kind);
        }
        match kind {
            "message.created" | "message.updated" | "message.deleted" | "reaction.added" | "reaction.removed" => {
                match (frame["seq"].as_u64(), parse::<Message>(&frame["data"])) {
                    (Some(seq), Some(message)) if seq == message.changed_seq => {
                        self.message(&message, Told::Live);
                        self.event(message.conversation_id, seq);
                    }
                    _ => self.tell(Kind::Protocol, format!("an event that is none: {frame}"), None),
                }
            }
            "changes" => match parse::<Changes>(frame) {
                Some(page) => self.page(&page),
                None => self.tell(Kind::Protocol, format!("`changes` that are none: {frame}"), None),
            },
            "reply" => self.reply(frame),
            "conversation.created" => {
                if let (Some(id), Some(head)) = (parse(&frame["data"]["id"]), frame["data"]["last_seq"].as_u64()) {
                    self.announce(id, head);
                }
            }
            "participant.removed" => {
                if let Some(id) = parse(&frame["data"]["conversation_id"]) {
                    self.channels.insert(id, Channel { gone: true, ..Channel::default() });
                }
                if parse(&frame["data"]["user_id"]) != Some(self.device.user) {
                    self.tell(Kind::Leaked, format!("the removal of somebody else: {frame}"), None);
                }
            }
            "typing" | "receipt.updated" => self.ephemeral(frame),
            "resync_required" => {
                if let Some(id) = parse::<ConversationId>(&frame["data"]["conversation_id"]) {
                    self.channels.insert(id, Channel { skipped: true, ..Channel::default() });
                } else {
                    self.channels.clear();
                    self.feed = Feed::default();
                }
                if parse::<ResyncReason>(&frame["data"]["reason"]).is_none() {
                    self.tell(Kind::Protocol, format!("a resync without a reason: {frame}"), None);
                }
            }
            _ => {}
        }
    }

    fn reply(&mut self, frame: &Value) {
        if frame["ok"] != true {
            return;
        }
        if frame["ref"] == "hello" {
            let heads: Option<HashMap<ConversationId, Seq>> = parse(&frame["data"]["heads"]);
            for (id, head) in heads.into_iter().flatten() {
                self.announce(id, head);
            }
        } else if frame["data"]["type"] == "changes"
            && let Some(page) = parse::<Changes>(&frame["data"])
        {
            for change in &page.changes {
                self.message(&change.data, Told::UpTo(page.to));
            }
        }
    }

    fn announce(&mut self, id: ConversationId, head: Seq) {
        let channel = self.channels.entry(id).or_default();
        if channel.gone {
            *channel = Channel::default();
        }
        // One that is known and was theirs only in between: it goes on from where it is shown.
        if channel.cursor.is_none_or(|cursor| cursor < head) {
            (channel.cursor, channel.begin) = (Some(head), head);
        }
        for early in std::mem::take(&mut channel.early) {
            match early {
                Early::Event(seq) if seq > head => self.event(id, seq),
                Early::Page(page) if page.to > head => self.step(&page),
                // Of before the place that was announced.
                Early::Event(_) | Early::Page(_) => {}
            }
        }
    }

    fn feed(&mut self, seq: UserSeq, kind: &str) {
        let before = self.feed.came.last_key_value().map(|(last, _)| *last);
        if seq <= self.feed.named || self.feed.came.contains_key(&seq) {
            self.tell(Kind::Doubled, format!("step {seq} of the feed came again, as `{kind}`"), None);
        } else if before.is_some_and(|before| before > seq) {
            self.tell(Kind::Reordered, format!("step {seq} of the feed came after {before:?}"), None);
        }
        self.feed.came.insert(seq, kind.to_owned());
    }

    fn event(&mut self, id: ConversationId, seq: Seq) {
        let channel = self.channels.entry(id).or_default();
        if channel.gone {
            return self.tell(Kind::Leaked, format!("event {seq} came after the removal"), Some(id));
        }
        let skipped = channel.skipped.then_some(seq.saturating_sub(1));
        let Some(cursor) = channel.cursor.or(skipped) else { return channel.early.push(Early::Event(seq)) };
        let again =
            channel.came.contains(&seq) || channel.spans.iter().any(|(from, to)| (from + 1..=*to).contains(&seq));
        channel.came.insert(seq);
        channel.cursor = Some(cursor.max(seq));
        if again || channel.named.is_some_and(|named| seq <= named) {
            self.tell(Kind::Doubled, format!("event {seq} came again"), Some(id));
        } else if seq > cursor + 1 {
            self.tell(Kind::Gap, format!("event {seq} came after {cursor}"), Some(id));
        } else if seq <= cursor && seq > channel.begin {
            self.tell(Kind::Reordered, format!("event {seq} came after {cursor}"), Some(id));
        }
    }

    fn page(&mut self, page: &Changes) {
        let id = page.conversation_id;
        for change in &page.changes {
            self.message(&change.data, Told::UpTo(page.to));
        }
        let steps: Vec<_> = page.changes.iter().map(|change| change.seq).collect();
        let ascending = steps.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || steps.iter().any(|seq| !(page.from + 1..=page.to).contains(seq)) {
            let what = format!("`changes` from {} to {} hold {steps:?}", page.from, page.to);
            self.tell(Kind::Protocol, what, Some(id));
        }
        self.step(page);
    }

    fn step(&mut self, page: &Changes) {
        let id = page.conversation_id;
        let channel = self.channels.entry(id).or_default();
        if channel.gone {
            return self.tell(Kind::Leaked, format!("`changes` to {} came after the removal", page.to), Some(id));
        }
        let skipped = channel.skipped.then_some(page.from);
        let Some(cursor) = channel.cursor.or(skipped) else { return channel.early.push(Early::Page(page.clone())) };
        let begin = channel.begin;
        channel.spans.push((page.from.max(channel.named.unwrap_or_default()), page.to));
        channel.cursor = Some(cursor.max(page.to));
        if page.to <= begin {
            // Of a time before it was shown, and on its way meanwhile.
        } else if page.from > cursor {
            self.tell(Kind::Gap, format!("`changes` from {} came at {cursor}", page.from), Some(id));
        } else if page.to < cursor || page.to == cursor && !page.changes.is_empty() {
            self.tell(Kind::Doubled, format!("`changes` to {} came at {cursor}", page.to), Some(id));
        }
    }

    /// Whether the user may have this message in this state.
    fn message(&mut self, message: &Message, told: Told) {
        let (id, seq) = (message.conversation_id, message.changed_seq);
        let Some(history) = self.truth.conversations.get(&id) else { return };
        let since_join = self.log.since_join.contains(&id);
        let allowed = may(history, self.device.user, message, told, since_join) || history.public && self.joined(id);
        if !allowed && self.leaks.insert((id, seq)) {
            let times = history.members.get(&self.device.user);
            let place = message.seq;
            let what = format!("change {seq} of the message at {place} was told ({told:?}); they were in it {times:?}");
            self.tell(Kind::Leaked, what, Some(id));
            if let Some(last) = self.found.last_mut() {
                last.message = Some(message.id);
            }
        }
    }

    /// Who comes and goes without a step of `seq` is known from what they did.
    fn joined(&self, id: ConversationId) -> bool {
        self.log.acts.iter().any(|act| {
            matches!(&act.deed, Deed::Member { conversation, who, on: true }
                if *conversation == id && *who == self.device.user)
        })
    }

    fn ephemeral(&mut self, frame: &Value) {
        let id = parse(&frame["conversation_id"]).or_else(|| parse(&frame["data"]["conversation_id"]));
        let Some((id, history)) = id.and_then(|id| Some((id, self.truth.conversations.get(&id)?))) else { return };
        let theirs = history.members.contains_key(&self.device.user) || history.public && self.joined(id);
        let gone = self.channels.get(&id).is_some_and(|channel| channel.gone);
        let what = match frame["type"].as_str().unwrap_or_default() {
            kind if !theirs => format!("`{kind}` of a conversation that they were never in"),
            kind if gone && !self.is_own_marker(frame) => format!("`{kind}` came after the removal"),
            _ => return,
        };
        self.tell(Kind::Leaked, what, Some(id));
    }

    /// That one goes to the user's own devices, also by a way that knows nothing of members, and may be written late.
    fn is_own_marker(&self, frame: &Value) -> bool {
        frame["type"] == "receipt.updated" && parse(&frame["data"]["user_id"]) == Some(self.device.user)
    }
}

/// How a message was told.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// As it happened.
    Live,
    /// Fetched afterwards, with all that there was up to here.
    UpTo(Seq),
}

fn may(history: &History, user: UserId, message: &Message, told: Told, since_join: bool) -> bool {
    let Some(times) = history.members.get(&user) else { return false };
    let (place, seq) = (message.seq, message.changed_seq);
    times.iter().any(|(from, to)| {
        let lasted = |seq: Seq| to.is_none_or(|to| seq <= to);
        let was_in = match told {
            // Only while they were in it.
            Told::Live => *from <= seq && lasted(seq),
            // Also what was before, and between. They were in it when it was read, and then it went as far as the page.
            Told::UpTo(head) => lasted(seq.max(head)),
        };
        // Whoever comes back comes anew: what they could read in an earlier time is not theirs in a later one.
        was_in && (!since_join || *from <= place)
    })
}

fn parse<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}
