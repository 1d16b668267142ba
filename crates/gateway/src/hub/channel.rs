//! One conversation on this node: its order, and what that means for its local subscribers.
//!
//! Everything here happens under the shard's lock and does not wait.

mod attached;
mod held;
mod unprotected;

use std::sync::Arc;

use chat::{Map, Protections, Set, envelope::ConversationEvent};
use protocol::{Change, Changes, ChangesTag, ConversationId, NodeId, Seq, SystemChange, UserId};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(crate) use self::attached::{Attachment, Behind, Following};
use self::attached::{Stage, Subscriber};
use super::sequencer::{Offered, Room, Sequencer};
use crate::{
    bounds::Bounds,
    inspect::{HeadView, Way},
    journal::{Deliveries, Delivery},
    link::Link,
    outbox::Class,
    traced,
};

/// An event ready for sockets.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) place: Seq,
    pub(crate) out: Out,
    pub(crate) frame: Utf8Bytes,
    /// Where its trace is recorded.
    pub(crate) trace: Option<Box<traced::Delivery>>,
}

/// Who no longer takes part after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Out {
    These(Vec<UserId>),
    /// The conversation was deleted.
    Everybody,
}

impl Out {
    fn has(&self, user: UserId) -> bool {
        match self {
            Self::These(users) => users.contains(&user),
            Self::Everybody => true,
        }
    }

    fn is_nobody(&self) -> bool {
        matches!(self, Self::These(users) if users.is_empty())
    }
}

impl Ready {
    /// The frame for somebody who may read what has its place after `visible_from`. Others get an empty step, so
    /// that their cursor has no hole.
    fn frame_for(&self, id: ConversationId, seq: Seq, visible_from: Seq) -> Option<Utf8Bytes> {
        if self.place > visible_from {
            Some(self.frame.clone())
        } else {
            changes_frame(id, seq.saturating_sub(1), seq, Vec::new())
        }
    }

    /// The same for later: a trace shows what is delivered as it comes.
    fn for_later(&self) -> Self {
        Self { place: self.place, out: self.out.clone(), frame: self.frame.clone(), trace: None }
    }
}

/// What an offered event calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// A hole showed: fill it unless it closes by itself within the wait.
    FillLater,
    /// Fill the hole now.
    FillNow,
}

/// What holds for all conversations of a node.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) protections: Protections,
    pub(crate) bounds: Bounds,
    pub(crate) deliveries: Deliveries,
    /// For traces.
    pub(crate) node: Option<NodeId>,
}

/// One conversation on this node.
pub(crate) struct Channel {
    id: ConversationId,
    order: Sequencer<Ready>,
    subscribers: Vec<Subscriber>,
    /// A fill is under way or waits to start: at most one per conversation and node.
    filling: bool,
    /// When the last durable event came.
    active: Option<Instant>,
    rules: Arc<Rules>,
}

impl Channel {
    pub(crate) fn new(id: ConversationId, rules: Arc<Rules>) -> Self {
        let order = Sequencer::default();
        Self { id, order, subscribers: Vec::new(), filling: false, active: None, rules }
    }

    pub(crate) fn delivered(&self) -> Option<Seq> {
        self.order.delivered()
    }

    pub(crate) fn active_since(&self, since: Instant) -> bool {
        self.active.is_some_and(|active| active >= since)
    }

    /// Hands a durable event in. Returns what to do next and who was removed.
    pub(crate) fn offer(&mut self, event: ConversationEvent, seq: Seq) -> (Next, Vec<Arc<Link>>) {
        let Ok(frame) = Utf8Bytes::try_from(event.frame) else {
            // JSON that decoded is UTF-8; if it ever were not, the hole is filled from the store.
            return (Next::Nothing, Vec::new());
        };
        self.active = Some(Instant::now());
        let bytes = frame.len();
        let out = if event.ends { Out::Everybody } else { Out::These(event.removed) };
        let trace = event.trace.and_then(|trace| traced::Delivery::begin(trace, self.id, seq, self.rules.node));
        let ready = Ready { place: event.place.unwrap_or(seq), out, frame, trace };
        self.unprotected(seq, &ready);
        let Bounds { early_events: events, waiting_bytes, .. } = self.rules.bounds;
        match self.order.offer(seq, ready, bytes, Room { events, bytes: waiting_bytes }) {
            Offered::Deliver(events) => (Next::Nothing, self.deliver(events)),
            Offered::Duplicate => (Next::Nothing, Vec::new()),
            Offered::Held => (self.want_fill(Next::FillLater), Vec::new()),
            Offered::Full => (self.want_fill(Next::FillNow), Vec::new()),
        }
    }

    /// Hands an ephemeral event in.
    pub(crate) fn offer_ephemeral(&self, frame: &Utf8Bytes) {
        for subscriber in &self.subscribers {
            if matches!(subscriber.stage, Stage::Live(_)) {
                subscriber.link.outbox.push(frame.clone(), Class::Ephemeral);
            }
        }
    }

    /// Forgets how far it was delivered, and what waits. A fill that is under way finds nothing to do.
    pub(crate) fn forget_position(&mut self) {
        self.order = Sequencer::default();
    }

    /// The store has less than this, which was delivered here before it was asked: forgets how far it was delivered.
    /// Who follows it.
    pub(crate) fn is_ahead(&mut self, delivered: Seq) -> Vec<Arc<Link>> {
        if self.order.delivered().is_none_or(|now| now < delivered) {
            return Vec::new();
        }
        self.forget_position();
        self.subscribers.iter().map(|subscriber| Arc::clone(&subscriber.link)).collect()
    }

    /// The head as read after the subscription was confirmed.
    pub(crate) fn establish(&mut self, head: Seq) -> (Next, Vec<Arc<Link>>) {
        let events = self.order.establish(head);
        let removed = self.deliver(events);
        let next = if self.order.hole().is_some() { self.want_fill(Next::FillLater) } else { Next::Nothing };
        (next, removed)
    }

    /// The store says that `head` exists.
    pub(crate) fn saw_head(&mut self, head: Seq) -> Next {
        self.order.saw_head(head);
        if self.order.hole().is_some() { self.want_fill(Next::FillLater) } else { Next::Nothing }
    }

    /// Where a fill starts and how far it goes; none (and the fill is over) when nothing is missing any more.
    pub(crate) fn fill_from(&mut self) -> Option<(Seq, Seq)> {
        let hole = self.order.hole();
        self.filling = hole.is_some();
        hole
    }

    /// What the store had after a hole. Cut at every removal, so that who is removed gets nothing after it.
    pub(crate) fn fill(&mut self, page: Changes) -> Vec<Arc<Link>> {
        // Without a position, or with an earlier one, this is for a hole of before it was forgotten.
        let Some(mut from) = self.order.delivered().filter(|delivered| *delivered >= page.from) else {
            return Vec::new();
        };
        let mut gone = Vec::new();
        let mut segment = Vec::new();
        for change in page.changes {
            if change.seq <= from {
                continue;
            }
            let out = out_by(&change);
            let seq = change.seq;
            segment.push(change);
            if let Some(out) = out {
                self.send_segment(from, seq, &std::mem::take(&mut segment));
                gone.append(&mut self.remove(&out, seq));
                from = seq;
            }
        }
        if page.to > from {
            self.send_segment(from, page.to, &segment);
        }
        let events = self.order.advance(page.to);
        gone.append(&mut self.deliver(events));
        gone
    }

    /// Users with live connections.
    pub(crate) fn users(&self) -> Vec<UserId> {
        let live = self.subscribers.iter().filter(|s| matches!(s.stage, Stage::Live(_)));
        let users: Set<_> = live.map(|s| s.link.user()).collect();
        users.into_iter().collect()
    }

    /// Gives up on a hole that is too wide to fill: who missed something fetches by REST. Of those of `asked`,
    /// `members` take part at `head`, and may read what comes after their seq (they may have been out and in again in
    /// the hole); the others are out, and are returned. `Err` when somebody went live who was not asked about: ask
    /// again.
    pub(crate) fn skip_to(
        &mut self,
        head: Seq,
        asked: &Set<UserId>,
        members: &Map<UserId, Seq>,
        resync: &Utf8Bytes,
    ) -> Result<Vec<Arc<Link>>, Behind> {
        let Some(delivered) = self.order.delivered() else { return Ok(Vec::new()) };
        if delivered >= head {
            // Nothing is missing: what was announced beyond it is not so.
            self.order.restart(head);
            return Ok(Vec::new());
        }
        let behind = |s: &Subscriber| matches!(s.stage, Stage::Live(cursor) if cursor < head);
        if self.subscribers.iter().any(|s| behind(s) && !asked.contains(&s.link.user())) {
            return Err(Behind);
        }
        let checks = self.rules.protections.membership;
        let is_out = |s: &mut Subscriber| checks && behind(s) && !members.contains_key(&s.link.user());
        let gone = self.subscribers.extract_if(.., is_out).map(|s| s.link).collect();
        let mut connections = 0;
        for subscriber in &mut self.subscribers {
            match &mut subscriber.stage {
                Stage::Live(cursor) if *cursor < head => {
                    connections += 1;
                    subscriber.link.skipped(self.id);
                    subscriber.link.outbox.push(resync.clone(), Class::Durable);
                    *cursor = head;
                    if checks {
                        subscriber.visible_from = members.get(&subscriber.link.user()).copied().unwrap_or(head);
                    }
                }
                Stage::Live(_) => {}
                Stage::Starting(held) => held.overflow(),
            }
        }
        self.note(delivered, head, Way::Skipped, connections);
        self.order.restart(head);
        Ok(gone)
    }

    /// Nothing comes after `from`, though `head` was announced. Nobody missed anything. What was announced since the
    /// store was asked may be so.
    pub(crate) fn void(&mut self, from: Seq, head: Seq) {
        if self.order.hole() == Some((from, head)) {
            self.order.restart(from);
        }
    }

    fn want_fill(&mut self, how: Next) -> Next {
        // Before the head is known nothing can be filled: `establish` comes back to it.
        if self.filling || self.order.hole().is_none() || !self.rules.protections.gap_fill {
            return Next::Nothing;
        }
        self.filling = true;
        how
    }

    fn deliver(&mut self, events: Vec<(Seq, Ready)>) -> Vec<Arc<Link>> {
        let mut gone = Vec::new();
        for (seq, mut event) in events {
            let mut connections = 0;
            for subscriber in &mut self.subscribers {
                match &mut subscriber.stage {
                    Stage::Live(cursor) => {
                        connections += 1;
                        if seq > *cursor
                            && let Some(frame) = event.frame_for(self.id, seq, subscriber.visible_from)
                        {
                            let write = event.trace.as_mut().and_then(|trace| trace.to(&subscriber.link));
                            subscriber.link.outbox.push_traced(frame, Class::Durable, write);
                        }
                    }
                    Stage::Starting(held) => held.push(seq, &event, &self.rules.bounds),
                }
            }
            self.note(seq.saturating_sub(1), seq, Way::Bus, connections);
            if !event.out.is_nobody() {
                gone.append(&mut self.remove(&event.out, seq));
            }
        }
        gone
    }

    /// Ends the subscriptions of who is out. Who came back since then (their cursor is above) stays; who is still
    /// starting finds out when they read the store.
    fn remove(&mut self, out: &Out, seq: Seq) -> Vec<Arc<Link>> {
        if !self.rules.protections.membership {
            return Vec::new();
        }
        let mut gone = Vec::new();
        self.subscribers.retain(|s| {
            let leaves = matches!(s.stage, Stage::Live(cursor) if cursor < seq) && out.has(s.link.user());
            if leaves {
                gone.push(Arc::clone(&s.link));
            }
            !leaves
        });
        gone
    }

    fn send_segment(&mut self, from: Seq, to: Seq, changes: &[Change]) {
        // Nearly everybody stands at or before `from` and may see everything: they share one frame.
        let id = self.id;
        let (mut shared, mut connections) = (None, 0);
        for subscriber in &mut self.subscribers {
            match &mut subscriber.stage {
                Stage::Live(cursor) if *cursor >= to => {}
                Stage::Live(cursor) => {
                    connections += 1;
                    let starts = from.max(*cursor);
                    let frame = if starts == from && subscriber.visible_from == 0 {
                        shared.get_or_insert_with(|| changes_frame(id, from, to, changes.to_vec())).clone()
                    } else {
                        let own = changes
                            .iter()
                            .filter(|c| c.seq > starts && c.data.seq > subscriber.visible_from)
                            .cloned()
                            .collect();
                        changes_frame(id, starts, to, own)
                    };
                    if let Some(frame) = frame {
                        subscriber.link.outbox.push(frame, Class::Durable);
                    }
                }
                Stage::Starting(held) => held.overflow(),
            }
        }
        self.note(from, to, Way::Store, connections);
    }

    /// Remembers what was handed on just now.
    fn note(&self, from: Seq, to: Seq, way: Way, connections: usize) {
        let conversation = self.id;
        self.rules.deliveries.note(Delivery { conversation, from, to, at: Instant::now(), way, connections });
    }

    /// Where it is, for an operator.
    pub(crate) fn view(&self) -> HeadView {
        HeadView {
            delivered: self.order.delivered(),
            connections: self.subscribers.len() as u64,
            filling: self.filling,
        }
    }
}

fn out_by(change: &Change) -> Option<Out> {
    match &change.data.system {
        Some(SystemChange::ParticipantRemoved { user }) => Some(Out::These(vec![user.id])),
        Some(SystemChange::ConversationDeleted) => Some(Out::Everybody),
        _ => None,
    }
}

/// The frame `changes`; none when it does not serialise, which a `Changes` always does.
pub(crate) fn changes_frame(id: ConversationId, from: Seq, to: Seq, changes: Vec<Change>) -> Option<Utf8Bytes> {
    let page = Changes { tag: ChangesTag::Changes, conversation_id: id, from, to, more: false, changes };
    serde_json::to_string(&page).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
