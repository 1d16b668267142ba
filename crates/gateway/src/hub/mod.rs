//! The hub: which local connections follow which conversation and which user's feed, and the hand-over of events
//! from the bus to them. One per node.
//!
//! An event's bytes are shared by all local connections. Conversations are sharded over locks that are held for
//! memory work only; what must be read from the store is a task of `fill` or `feed`, one per conversation or user.

pub(crate) mod channel;
mod feeds;
mod orgs;
pub(crate) mod sequencer;

use std::{collections::hash_map::Entry, sync::Arc};

use chat::{Map, Set, envelope::ConversationEvent};
use parking_lot::Mutex;
use protocol::{Changes, ConversationId, Seq, UserId};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::channel::{Behind, Channel, Next, Rules};
pub(crate) use self::{
    channel::{Attachment, Following},
    feeds::Feeds,
    orgs::Orgs,
};
use crate::{inspect::HeadView, journal::Deliveries, link::Link};

const SHARDS: usize = 64;

type Shard = Mutex<Map<ConversationId, Channel>>;

/// Local subscriptions of one node.
pub(crate) struct Hub {
    shards: Box<[Shard]>,
    pub(crate) feeds: Feeds,
    pub(crate) orgs: Orgs,
    rules: Arc<Rules>,
}

/// What is to be done after a call, outside the lock.
#[must_use]
#[derive(Clone, Copy, Default)]
pub(crate) struct After {
    /// Start a fill of the conversation: at once, or after the wait for a late event.
    pub(crate) fill: Option<FillWhen>,
    /// References of the bus to give back, of connections that no longer follow it.
    pub(crate) references: usize,
}

/// When a fill starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillWhen {
    Now,
    Later,
}

impl From<Next> for Option<FillWhen> {
    fn from(next: Next) -> Self {
        match next {
            Next::Nothing => None,
            Next::FillLater => Some(FillWhen::Later),
            Next::FillNow => Some(FillWhen::Now),
        }
    }
}

impl Hub {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            feeds: Feeds::default(),
            orgs: Orgs::default(),
            rules: Arc::new(rules),
        }
    }

    /// Conversations with local subscribers.
    pub(crate) fn conversations(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, id: ConversationId) -> &Shard {
        // The low bits of a UUIDv7 are random.
        &self.shards[id.0.as_u128() as usize % SHARDS]
    }

    /// Attaches a connection: from now on live events are held for it. None when it is attached already, or has
    /// ended.
    pub(crate) fn attach(&self, id: ConversationId, link: &Arc<Link>) -> Option<Attachment> {
        // Both under the link's lock, so that two tasks never attach it twice. Order: link, then shard.
        let mut following = link.following.lock();
        let known = following.insert(id)?;
        let mut shard = self.shard(id).lock();
        let channel = shard.entry(id).or_insert_with(|| Channel::new(id, Arc::clone(&self.rules)));
        // A removal takes it out of the channel first and out of the link's set a moment later.
        if known && channel.has(link) {
            return None;
        }
        Some(channel.attach(link))
    }

    /// How a connection is attached now.
    pub(crate) fn attachment(&self, id: ConversationId, link: &Arc<Link>) -> Option<Attachment> {
        self.with(id, |channel| channel.attachment(link))
    }

    /// Takes a connection out if it is still attached so; then whether the caller is to give a reference back to the
    /// bus.
    pub(crate) fn detach_attachment(&self, id: ConversationId, attachment: &Attachment) -> Option<bool> {
        let mut following = attachment.link.following.lock();
        let mut shard = self.shard(id).lock();
        let Entry::Occupied(mut entry) = shard.entry(id) else { return None };
        if !entry.get().is_attached(attachment) {
            return None;
        }
        entry.get_mut().detach(&attachment.link);
        if entry.get().is_empty() {
            entry.remove();
        }
        Some(following.remove(id))
    }

    /// Takes a connection out; true when the caller is to give a reference back to the bus. A conversation without
    /// connections is forgotten.
    pub(crate) fn detach(&self, id: ConversationId, link: &Arc<Link>) -> bool {
        let mut following = link.following.lock();
        let reference = following.remove(id);
        if let Entry::Occupied(mut entry) = self.shard(id).lock().entry(id) {
            entry.get_mut().detach(link);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
        reference
    }

    /// Forgets that links follow a conversation from which the channel has taken them out already. How many references
    /// are to be given back to the bus.
    fn forget(&self, id: ConversationId, gone: &[Arc<Link>]) -> usize {
        let mut references = 0;
        for link in gone {
            let mut following = link.following.lock();
            // It may be back already.
            if !self.with(id, |channel| channel.has(link)) {
                references += usize::from(following.remove(id));
            }
        }
        if !gone.is_empty()
            && let Entry::Occupied(entry) = self.shard(id).lock().entry(id)
            && entry.get().is_empty()
        {
            entry.remove();
        }
        references
    }

    /// Runs `work` on a conversation that has local connections.
    fn with<R: Default>(&self, id: ConversationId, work: impl FnOnce(&mut Channel) -> R) -> R {
        self.shard(id).lock().get_mut(&id).map(work).unwrap_or_default()
    }

    fn with_after(&self, id: ConversationId, work: impl FnOnce(&mut Channel) -> (Next, Vec<Arc<Link>>)) -> After {
        let (next, gone) = self.with(id, |channel| Some(work(channel))).unwrap_or((Next::Nothing, Vec::new()));
        After { fill: next.into(), references: self.forget(id, &gone) }
    }

    /// An event came from the bus.
    pub(crate) fn offer(&self, id: ConversationId, event: ConversationEvent) -> After {
        if let Some(seq) = event.seq {
            return self.with_after(id, |channel| channel.offer(event, seq));
        }
        if let Ok(frame) = Utf8Bytes::try_from(event.frame) {
            self.with(id, |channel| channel.offer_ephemeral(&frame));
        }
        After::default()
    }

    /// The head as read from the store after the subscription was confirmed.
    pub(crate) fn establish(&self, id: ConversationId, head: Seq) -> After {
        self.with_after(id, |channel| channel.establish(head))
    }

    /// The store says that `head` exists. The fill that it may call for.
    pub(crate) fn saw_head(&self, id: ConversationId, head: Seq) -> After {
        self.with_after(id, |channel| (channel.saw_head(head), Vec::new()))
    }

    /// Where a fill goes on and how far it goes; none when it is over.
    pub(crate) fn fill_from(&self, id: ConversationId) -> Option<(Seq, Seq)> {
        self.with(id, Channel::fill_from)
    }

    /// What the store had after a hole.
    pub(crate) fn fill(&self, page: Changes) -> After {
        let id = page.conversation_id;
        self.with_after(id, |channel| (Next::Nothing, channel.fill(page)))
    }

    /// Users with live connections in a conversation.
    pub(crate) fn users(&self, id: ConversationId) -> Vec<UserId> {
        self.with(id, |channel| channel.users())
    }

    /// Gives up on a hole: see [`Channel::skip_to`]. Also who is out.
    pub(crate) fn skip_to(
        &self,
        id: ConversationId,
        head: Seq,
        asked: &Set<UserId>,
        members: &Map<UserId, Seq>,
        resync: &Utf8Bytes,
    ) -> Result<(After, Vec<Arc<Link>>), Behind> {
        let gone = self.with(id, |channel| Some(channel.skip_to(head, asked, members, resync))).transpose()?;
        let gone = gone.unwrap_or_default();
        Ok((After { fill: None, references: self.forget(id, &gone) }, gone))
    }

    /// Up to where a live connection has everything by another way than events.
    pub(crate) fn live_from(&self, id: ConversationId, link: &Arc<Link>) -> Option<Seq> {
        self.with(id, |channel| channel.live_from(link))
    }

    /// A connection was shown a conversation that it follows, as of `seq`. Some when it is to go live anew from there.
    pub(crate) fn shown(&self, id: ConversationId, link: &Arc<Link>, seq: Seq) -> Option<Attachment> {
        self.with(id, |channel| channel.shown(link, seq))
    }

    /// Puts a page that was read for an attachment into the outbox; false when it is not the present one any more.
    pub(crate) fn push(&self, id: ConversationId, attachment: &Attachment, frame: Utf8Bytes) -> bool {
        self.with(id, |channel| channel.push(attachment, frame))
    }

    /// The store has nothing after `from`: whoever told of `head` was wrong.
    pub(crate) fn void(&self, id: ConversationId, from: Seq, head: Seq) {
        self.with(id, |channel| channel.void(from, head));
    }

    /// How a connection follows a conversation; none: not at all.
    pub(crate) fn following(&self, id: ConversationId, link: &Arc<Link>) -> Option<Following> {
        self.with(id, |channel| channel.following(link))
    }

    /// Where a conversation with local connections is.
    pub(crate) fn head(&self, id: ConversationId) -> Option<HeadView> {
        self.with(id, |channel| Some(channel.view()))
    }

    /// What was handed to connections.
    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.rules.deliveries
    }

    /// Starts holding anew for a connection that is about to read the store.
    pub(crate) fn rearm(&self, id: ConversationId, attachment: &Attachment) {
        self.with(id, |channel| channel.rearm(attachment));
    }

    /// A connection has everything up to `cursor`: it goes live, unless it fell behind meanwhile, or a held event
    /// removed it.
    pub(crate) fn release(
        &self,
        id: ConversationId,
        attachment: &Attachment,
        cursor: Seq,
        visible_from: Seq,
    ) -> Result<After, Behind> {
        let removed = self.with(id, |channel| Some(channel.release(attachment, cursor, visible_from))).transpose()?;
        let gone = if removed == Some(true) { vec![Arc::clone(&attachment.link)] } else { Vec::new() };
        Ok(After { fill: None, references: self.forget(id, &gone) })
    }

    /// The store has less of a conversation than was delivered here: forgets its position; who follows it.
    pub(crate) fn is_ahead(&self, id: ConversationId, delivered: Seq) -> Vec<Arc<Link>> {
        self.with(id, |channel| channel.is_ahead(delivered))
    }

    /// Forgets how far everything was delivered: what comes next begins where the store is read next. Every connection
    /// is about to be closed.
    pub(crate) fn forget_positions(&self) {
        for shard in &self.shards {
            shard.lock().values_mut().for_each(Channel::forget_position);
        }
        self.feeds.forget_positions();
        self.orgs.forget_positions();
    }

    /// How far a conversation was delivered here.
    pub(crate) fn delivered(&self, id: ConversationId) -> Option<Seq> {
        self.with(id, |channel| channel.delivered())
    }

    /// Every conversation with local connections, and how far it was delivered.
    pub(crate) fn positions(&self) -> Vec<(ConversationId, Seq)> {
        self.positions_where(|_| true)
    }

    /// Those of which an event came since then.
    pub(crate) fn active_since(&self, since: Instant) -> Vec<(ConversationId, Seq)> {
        self.positions_where(|channel| channel.active_since(since))
    }

    fn positions_where(&self, wanted: impl Fn(&Channel) -> bool) -> Vec<(ConversationId, Seq)> {
        let mut positions = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let wanted = shard.iter().filter(|(_, channel)| wanted(channel));
            positions.extend(wanted.filter_map(|(id, channel)| Some((*id, channel.delivered()?))));
        }
        positions
    }
}
