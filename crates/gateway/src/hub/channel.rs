//! One conversation on this node: its order and its local subscribers.
//!
//! Everything here happens under the shard's lock and does not wait.

mod held;
mod unprotected;

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use chat::{Protections, Set, envelope::ConversationEvent};
use protocol::{Change, Changes, ChangesTag, ConversationId, Seq, SystemChange, UserId};
use tokio::time::Instant;

use self::held::Held;
use super::sequencer::{Offered, Room, Sequencer};
use crate::{bounds::Bounds, link::Link, outbox::Class};

/// An event ready for sockets.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) place: Seq,
    pub(crate) removed: Vec<UserId>,
    pub(crate) frame: Utf8Bytes,
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
}

/// One time that a connection was attached to a conversation. It may be taken out and attached again while a task still
/// reads the store for the time before: that one finds out by this, and leaves the other alone.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) link: Arc<Link>,
    number: u64,
}

/// A local connection in a conversation.
struct Subscriber {
    link: Arc<Link>,
    /// Of its attachment.
    number: u64,
    /// Messages with a place up to here are not for it (`history: since_join`).
    visible_from: Seq,
    stage: Stage,
}

impl Subscriber {
    fn is(&self, attachment: &Attachment) -> bool {
        self.number == attachment.number && Arc::ptr_eq(&self.link, &attachment.link)
    }
}

enum Stage {
    /// It reads the store; live events wait here.
    Starting(Box<Held>),
    /// It has everything up to this seq by another way; above it, events go straight through.
    Live(Seq),
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

/// A subscriber could not go live: events did not fit, read the store again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind;

impl Channel {
    pub(crate) fn new(id: ConversationId, rules: Arc<Rules>) -> Self {
        let order = Sequencer::default();
        Self { id, order, subscribers: Vec::new(), filling: false, active: None, rules }
    }

    pub(crate) fn attach(&mut self, link: &Arc<Link>) -> Attachment {
        let (number, stage) = (link.next_attachment(), Stage::Starting(Box::new(Held::after(link, 0))));
        self.subscribers.push(Subscriber { link: Arc::clone(link), number, visible_from: 0, stage });
        Attachment { link: Arc::clone(link), number }
    }

    /// The present one of a connection.
    pub(crate) fn attachment(&self, link: &Arc<Link>) -> Option<Attachment> {
        let subscriber = self.subscribers.iter().find(|s| Arc::ptr_eq(&s.link, link))?;
        Some(Attachment { link: Arc::clone(link), number: subscriber.number })
    }

    /// Puts a page that was read for it into its connection's outbox, if it still is the present one. False otherwise.
    pub(crate) fn push(&self, attachment: &Attachment, frame: Utf8Bytes) -> bool {
        let current = self.is_attached(attachment);
        if current {
            attachment.link.outbox.push(frame, Class::Durable);
        }
        current
    }

    pub(crate) fn detach(&mut self, link: &Arc<Link>) {
        if let Some(at) = self.subscribers.iter().position(|s| Arc::ptr_eq(&s.link, link)) {
            self.subscribers.swap_remove(at);
        }
    }

    pub(crate) fn has(&self, link: &Arc<Link>) -> bool {
        self.subscribers.iter().any(|s| Arc::ptr_eq(&s.link, link))
    }

    pub(crate) fn is_attached(&self, attachment: &Attachment) -> bool {
        self.subscribers.iter().any(|s| s.is(attachment))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
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
        let ready = Ready { place: event.place.unwrap_or(seq), removed: event.removed, frame };
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
        // Without a position there is no hole: it was forgotten while the store was read.
        let Some(delivered) = self.order.delivered() else { return Vec::new() };
        let mut from = delivered.max(page.from);
        let mut gone = Vec::new();
        let mut segment = Vec::new();
        for change in page.changes {
            if change.seq <= from {
                continue;
            }
            let removed = removed_by(&change);
            let seq = change.seq;
            segment.push(change);
            if let Some(user) = removed {
                self.send_segment(from, seq, &std::mem::take(&mut segment));
                gone.append(&mut self.remove_users(&[user], seq));
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

    /// Gives up on a hole that is too wide to fill: who missed something fetches by REST. Of those of `asked`, `members`
    /// took part at `head`; the others were removed in the hole, and are out: their feed tells them. `Err` when somebody
    /// went live who was not asked about: ask again.
    pub(crate) fn skip_to(
        &mut self,
        head: Seq,
        asked: &Set<UserId>,
        members: &Set<UserId>,
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
        let is_out =
            |s: &Subscriber| behind(s) && !members.contains(&s.link.user()) && self.rules.protections.membership;
        let gone: Vec<_> = self.subscribers.iter().filter(|s| is_out(s)).map(|s| Arc::clone(&s.link)).collect();
        self.subscribers.retain(|s| !gone.iter().any(|link| Arc::ptr_eq(link, &s.link)));
        for subscriber in &mut self.subscribers {
            match &mut subscriber.stage {
                Stage::Live(cursor) if *cursor < head => {
                    subscriber.link.outbox.push(resync.clone(), Class::Durable);
                    *cursor = head;
                }
                Stage::Live(_) => {}
                Stage::Starting(held) => held.overflow(),
            }
        }
        self.order.restart(head);
        Ok(gone)
    }

    /// Nothing comes after `from`, though `head` was announced. Nobody missed anything. What was announced since the store
    /// was asked may be so.
    pub(crate) fn void(&mut self, from: Seq, head: Seq) {
        if self.order.hole() == Some((from, head)) {
            self.order.restart(from);
        }
    }

    /// Starts holding anew: the subscriber is about to read the store.
    pub(crate) fn rearm(&mut self, attachment: &Attachment) {
        if let Some(subscriber) = self.find(attachment) {
            let shown = match &subscriber.stage {
                Stage::Starting(held) => held.shown,
                Stage::Live(_) => 0,
            };
            subscriber.stage = Stage::Starting(Box::new(Held::after(&attachment.link, shown)));
        }
    }

    /// The subscriber was shown the conversation as of `seq`, which may be after a removal of theirs that did not come
    /// here yet and must not end what began after it. Some when it is to go live anew from there.
    pub(crate) fn shown(&mut self, link: &Arc<Link>, seq: Seq) -> Option<Attachment> {
        let delivered = self.order.delivered().unwrap_or_default();
        let attachment = self.attachment(link)?;
        let subscriber = self.find(&attachment)?;
        match &mut subscriber.stage {
            Stage::Starting(held) => {
                held.shown = held.shown.max(seq);
                None
            }
            Stage::Live(cursor) if delivered.max(*cursor) >= seq => None,
            Stage::Live(_) => {
                subscriber.stage = Stage::Starting(Box::new(Held::after(link, seq)));
                Some(attachment)
            }
        }
    }

    /// The subscriber has everything up to `cursor`: hands over what was held above it and goes live. `Some(true)`
    /// when it was removed by one of the held events.
    pub(crate) fn release(&mut self, attachment: &Attachment, cursor: Seq, visible_from: Seq) -> Result<bool, Behind> {
        let Some(at) = self.subscribers.iter().position(|s| s.is(attachment)) else {
            return Ok(false);
        };
        let link = &attachment.link;
        let subscriber = &mut self.subscribers[at];
        subscriber.visible_from = visible_from;
        let Stage::Starting(held) = &mut subscriber.stage else {
            return Ok(false);
        };
        let overflowed = (held.overflowed || held.shown > cursor) && self.rules.protections.subscribe_first;
        // Another connection may have set the order's beginning further on, from a younger read than this one's.
        let next = held.events.first().map(|(seq, _)| *seq).or(self.order.delivered().map(|delivered| delivered + 1));
        let hole = next.is_some_and(|next| next > cursor + 1) && self.rules.protections.subscribe_first;
        if overflowed || hole {
            return Err(Behind);
        }
        let user = link.user();
        for (seq, event) in std::mem::take(&mut held.events) {
            if seq > cursor {
                if let Some(frame) = event.frame_for(self.id, seq, visible_from) {
                    link.outbox.push(frame, Class::Durable);
                }
                if event.removed.contains(&user) {
                    self.subscribers.swap_remove(at);
                    return Ok(true);
                }
            }
        }
        subscriber.stage = Stage::Live(cursor);
        Ok(false)
    }

    fn find(&mut self, attachment: &Attachment) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|s| s.is(attachment))
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
        for (seq, event) in events {
            for subscriber in &mut self.subscribers {
                match &mut subscriber.stage {
                    Stage::Live(cursor) => {
                        if seq > *cursor
                            && let Some(frame) = event.frame_for(self.id, seq, subscriber.visible_from)
                        {
                            subscriber.link.outbox.push(frame, Class::Durable);
                        }
                    }
                    Stage::Starting(held) => held.push(seq, &event, &self.rules.bounds),
                }
            }
            if !event.removed.is_empty() {
                gone.append(&mut self.remove_users(&event.removed, seq));
            }
        }
        gone
    }

    /// Ends the subscriptions of removed users. Who came back since then (their cursor is above) stays; who is
    /// still starting finds out when they read the store.
    fn remove_users(&mut self, users: &[UserId], seq: Seq) -> Vec<Arc<Link>> {
        if !self.rules.protections.membership {
            return Vec::new();
        }
        let users: Set<_> = users.iter().collect();
        let mut gone = Vec::new();
        self.subscribers.retain(|s| {
            let leaves = matches!(s.stage, Stage::Live(cursor) if cursor < seq) && users.contains(&s.link.user());
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
        let mut shared = None;
        for subscriber in &mut self.subscribers {
            match &mut subscriber.stage {
                Stage::Live(cursor) if *cursor >= to => {}
                Stage::Live(cursor) => {
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
    }
}

fn removed_by(change: &Change) -> Option<UserId> {
    match &change.data.system {
        Some(SystemChange::ParticipantRemoved { user }) => Some(user.id),
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
