//! How a connection comes to follow its conversations: **subscribe, then read** (invariant 5), at its start, on
//! resume and when a conversation is added.
//!
//! Promise: above the cursor that a connection is told, it gets every durable event once, in order. The hub holds
//! live events for it while the store is read; what does not fit is read again.

use std::sync::Arc;

use bus::Topic;
use chat::{Map, Result, Set};
use protocol::{
    CloseCode, ConversationId, Event, EventType, HelloReply, ParticipantRemoved, ResyncReason, Seq, UserSeq,
};
use store::{Membership, Memberships, Missed};

use crate::{
    fill::resync,
    hub::Attachment,
    journal::{PLACES, Places},
    link::Link,
    marks::Settling,
    node::Node,
    outbox::Class,
};

/// A busy conversation is read again at most so often before the client is asked to fetch by REST.
const ROUNDS: usize = 8;

/// A connection that is attached everywhere and gets nothing yet.
pub(crate) struct Started {
    pub(crate) memberships: Memberships,
    /// The org's last announcement.
    pub(crate) announcement_seq: u64,
}

/// A connection is live.
#[derive(Default)]
pub(crate) struct Live {
    /// The answer to its `hello`.
    pub(crate) reply: HelloReply,
    /// Conversations whose markers follow the answer: they are too many for it.
    pub(crate) rest: Vec<ConversationId>,
}

/// Where a connection's events of a conversation go on, once it is live there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Place {
    /// After this seq; up to it, everything above its cursor was told.
    After(Seq),
    /// After this seq, and the client was asked to fetch what is before it.
    Skipped(Seq),
    /// Nowhere: it is not theirs any more, or the connection ends.
    Nowhere,
}

impl Place {
    /// For who was told no place before.
    pub(crate) fn seq(self) -> Option<Seq> {
        match self {
            Self::After(seq) | Self::Skipped(seq) => Some(seq),
            Self::Nowhere => None,
        }
    }
}

impl Node {
    /// Subscribes to everything the user takes part in, then reads where it stands. The link must be registered
    /// with the hub's feeds.
    pub(crate) async fn start(self: &Arc<Self>, link: &Arc<Link>) -> Result<Started> {
        self.subscribe(&[Topic::User(link.user()), Topic::Org(link.org())]).await;
        if !self.env().protections().subscribe_first {
            return self.start_late(link).await;
        }
        let mut attached = Set::default();
        // Read until a reading brings nothing that was not attached before it: only then is every head in it one
        // that was read after the hub began to hold what comes.
        let memberships = loop {
            let memberships = self.chat.memberships(link.user()).await?;
            // Known before anything is held for it: until then any event is believed.
            self.saw_epoch(&memberships.epoch);
            let before = attached.len();
            attached.extend(memberships.items.iter().map(|item| item.conversation_id));
            if attached.len() == before {
                break memberships;
            }
            self.attach_all(link, &memberships.items).await;
        };
        // Likewise a session that was revoked: up to this feed's head it shows here, above it the feed tells.
        self.chat.recheck(&link.caller).await?;
        let now: Map<_, _> = memberships.items.iter().map(|m| (m.conversation_id, m.last_seq)).collect();
        for gone in attached.iter().filter(|id| !now.contains_key(id)) {
            self.leave(link, *gone);
        }
        for (id, head) in now {
            if let Some(after) = self.while_open(link, || self.hub.establish(id, head)) {
                self.after(id, after);
            }
        }
        let announcement_seq = self.announcement_head(link.org()).await?;
        Ok(Started { memberships, announcement_seq })
    }

    pub(crate) async fn attach_all(self: &Arc<Self>, link: &Arc<Link>, items: &[Membership]) {
        let ids = items.iter().map(|item| item.conversation_id);
        let ids: Vec<_> = ids.filter(|id| self.hub.attach(*id, link).is_some()).collect();
        self.subscribe_for(link, &ids).await;
    }

    /// Subscribes the topics of conversations that the link was just attached to. What it has left meanwhile is given
    /// back: each attachment holds one reference of the bus, and no more.
    async fn subscribe_for(&self, link: &Link, ids: &[ConversationId]) {
        if ids.is_empty() {
            return;
        }
        let topics: Vec<_> = ids.iter().map(|id| Topic::Conversation(*id)).collect();
        self.subscribe(&topics).await;
        let unwanted: Vec<_> = {
            let mut following = link.following.lock();
            ids.iter().filter(|id| !following.hold_reference(**id)).map(|id| Topic::Conversation(*id)).collect()
        };
        if !unwanted.is_empty() {
            self.bus.unsubscribe(&unwanted);
        }
    }

    /// Goes live from where the start found everything, without a resume.
    pub(crate) async fn go_live(self: &Arc<Self>, link: &Arc<Link>, started: Started) -> Result<Live> {
        let mut live = Live::default();
        let reply = &mut live.reply;
        for item in &started.memberships.items {
            let place = self.begin(link, *item, item.last_seq).await?;
            reply.heads.extend(place.seq().map(|seq| (item.conversation_id, seq)));
        }
        self.feed_live(link, started.memberships.user_seq).await?;
        reply.announcement_seq = self.announcements_live(link, started.announcement_seq).await?;
        Ok(live)
    }

    /// Follows a conversation that was added while the connection lives; the client knows it up to `after`. Attached at
    /// once, so that a later departure finds it; the rest goes on by itself.
    pub(crate) fn join(self: &Arc<Self>, link: &Arc<Link>, id: ConversationId, after: Seq) {
        // Attached already: they were removed and added again, and neither came here yet.
        if let Some(attachment) = self.hub.attach(id, link).or_else(|| self.hub.shown(id, link, after)) {
            let settling = Settling::begin(self, link);
            let joined = Arc::clone(self).joined(attachment, id, after);
            self.spawn_for_connection(async move {
                joined.await;
                drop(settling);
            });
        }
    }

    async fn joined(self: Arc<Self>, attachment: Attachment, id: ConversationId, after: Seq) {
        let link = &attachment.link;
        self.subscribe_for(link, &[id]).await;
        let live: Result<Place> = async {
            let Some(membership) = self.chat.membership(link.user(), id).await? else {
                return self.over_already(&attachment, id).await;
            };
            let Some(next) = self.while_open(link, || self.hub.establish(id, membership.last_seq)) else {
                return Ok(Place::Nowhere);
            };
            self.after(id, next);
            self.release(&attachment, membership, after.min(membership.last_seq)).await
        }
        .await;
        if let Err(error) = live {
            // The store is out of reach: the client comes back by itself and resumes.
            tracing::debug!(connection.id = %link.id, error = %error, "joining a conversation failed");
            link.outbox.close(CloseCode::Internal);
        }
    }

    /// The client was told of a conversation that was over before this node followed it: no event of its end came here,
    /// and a deletion has no place in the user's feed.
    pub(crate) async fn over_already(&self, attachment: &Attachment, id: ConversationId) -> Result<Place> {
        let link = &attachment.link;
        match self.hub.detach_attachment(id, attachment) {
            // They were told of their removal meanwhile, and it may be theirs again: that is another task's.
            None => return Ok(Place::Nowhere),
            Some(true) => self.bus.unsubscribe(&[Topic::Conversation(id)]),
            Some(false) => {}
        }
        tell_gone(link, id);
        if self.chat.membership(link.user(), id).await?.is_some() {
            // Theirs again meanwhile, and told so before or after: a resume tells it right.
            link.outbox.close(CloseCode::Internal);
        }
        Ok(Place::Nowhere)
    }

    /// Stops following a conversation.
    pub(crate) fn leave(&self, link: &Arc<Link>, id: ConversationId) {
        if self.hub.detach(id, link) {
            self.bus.unsubscribe(&[Topic::Conversation(id)]);
        }
    }

    /// Takes a connection out of everything, and ends what still works for it.
    pub(crate) fn end(&self, link: &Arc<Link>) {
        link.outbox.close(CloseCode::GoingAway);
        self.hub.feeds.remove(link);
        self.hub.orgs.leave(link.org());
        self.presence.left(link);
        self.unwatch_all(link);
        let following = link.following.lock().end();
        let mut topics = vec![Topic::User(link.user()), Topic::Org(link.org())];
        for id in following {
            if self.hub.detach(id, link) {
                topics.push(Topic::Conversation(id));
            }
        }
        self.bus.unsubscribe(&topics);
    }

    /// What a connection follows, and from where on it is live there, to be remembered; none: that would be too much, or
    /// nothing is to be remembered.
    pub(crate) fn places(&self, link: &Arc<Link>) -> Option<Places> {
        let following = Some(link.following.lock()).filter(|_| self.config.remembered > 0)?;
        let ids = Some(following).filter(|following| following.len() <= PLACES)?.ids();
        Some(ids.into_iter().map(|id| (id, self.hub.live_from(id, link))).collect())
    }

    /// [`Node::release`] for a connection that was attached when it started.
    pub(crate) async fn begin(self: &Arc<Self>, link: &Arc<Link>, item: Membership, cursor: Seq) -> Result<Place> {
        if !self.env().protections().subscribe_first {
            return self.release_late(link, item, cursor).await;
        }
        match self.hub.attachment(item.conversation_id, link) {
            Some(attachment) => self.release(&attachment, item, cursor).await,
            None => Ok(Place::Nowhere),
        }
    }

    /// Sends what is after `cursor`, up to the head at least that `item` was read with, and goes live; the common case
    /// reads nothing.
    pub(crate) async fn release(
        self: &Arc<Self>,
        attachment: &Attachment,
        mut item: Membership,
        mut cursor: Seq,
    ) -> Result<Place> {
        let (id, link) = (item.conversation_id, &attachment.link);
        if cursor > item.last_seq {
            // Where they were shown it is younger than the item: they may have been out and in again in between.
            match self.chat.membership(link.user(), id).await? {
                Some(now) => item = now,
                None => return self.over_already(attachment, id).await,
            }
        }
        if cursor >= item.last_seq
            && let Ok(after) = self.hub.release(id, attachment, cursor, item.access_since_seq)
        {
            self.after(id, after);
            return Ok(Place::After(cursor));
        }
        for _ in 0..ROUNDS {
            // Hold first, then read: what comes in between is in both, and dropped by its seq.
            self.hub.rearm(id, attachment);
            let access_since_seq = loop {
                if !link.outbox.room().await {
                    return Ok(Place::Nowhere);
                }
                let missed = self.chat.missed(&link.caller, id, cursor, self.config.bounds.page).await?;
                let Some(Missed { page, access_since_seq }) = missed else {
                    return self.over_already(attachment, id).await;
                };
                let Some(to) = self.push_page(attachment, &page) else { return Ok(Place::Nowhere) };
                cursor = to.max(cursor);
                if !page.more || page.to == page.from {
                    break access_since_seq;
                }
            };
            if let Ok(after) = self.hub.release(id, attachment, cursor, access_since_seq) {
                self.after(id, after);
                return Ok(Place::After(cursor));
            }
        }
        // More events than can be held came during each of the reads: let the client fetch at its own pace.
        self.hub.rearm(id, attachment);
        // With the head comes whether they still take part: their removal may be in what is skipped.
        let Some(now) = self.chat.membership(link.user(), id).await? else {
            return self.over_already(attachment, id).await;
        };
        let Some(frame) = resync(Some(id), ResyncReason::TooFarBehind) else { return Ok(Place::Nowhere) };
        link.asked_to_fetch(Some(id));
        if !self.hub.push(id, attachment, frame) {
            return Ok(Place::Nowhere);
        }
        match self.hub.release(id, attachment, now.last_seq, now.access_since_seq) {
            Ok(after) => self.after(id, after),
            Err(_) => link.outbox.close(CloseCode::SlowConsumer),
        }
        Ok(Place::Skipped(now.last_seq))
    }

    /// Sends feed events after `cursor` and goes live.
    pub(crate) async fn feed_live(self: &Arc<Self>, link: &Arc<Link>, mut cursor: UserSeq) -> Result<()> {
        loop {
            let delivered = match self.while_open(link, || self.hub.feeds.go_live(link, cursor)) {
                None => return Ok(()),
                Some(Ok(fetch)) => {
                    if fetch {
                        self.start_fetch(link.user());
                    }
                    return Ok(());
                }
                Some(Err(delivered)) => delivered,
            };
            // The node delivered more to the user's other connections while this one was starting.
            if self.is_feed_far(cursor, delivered) {
                link.outbox.close(CloseCode::SlowConsumer);
                return Ok(());
            }
            let (head, events) = self.chat.feed(link.user(), cursor).await?;
            if head < delivered {
                self.lost_feed(link.user(), delivered);
                return Ok(());
            }
            for event in events {
                if !link.outbox.room().await {
                    return Ok(());
                }
                self.push_feed(link, &event);
                self.apply(link, event.effect);
            }
            cursor = head;
        }
    }
}

/// Tells a client that a conversation is not theirs, without a place in their feed.
pub(crate) fn tell_gone(link: &Link, id: ConversationId) {
    let data = ParticipantRemoved { conversation_id: id, user_id: link.user() };
    let event = Event { conversation_id: Some(id), ..Event::plain(EventType::ParticipantRemoved, data) };
    if let Ok(frame) = serde_json::to_string(&event) {
        link.outbox.push(frame.into(), Class::Durable);
    }
}
