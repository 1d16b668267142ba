//! Fills holes in a conversation's stream from the store: one task per conversation and node, for all its local
//! connections together.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bus::Topic;
use chat::{Result, Set};
use protocol::{ConversationId, Event, EventType, HelloReply, Resync, ResyncReason, Seq};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    epoch::History,
    follow::tell_gone,
    hub::{After, FillWhen},
    link::Link,
    node::{Backoff, Node},
    resume::ask_resync,
};

/// How long an early event waits for the one before it.
const LATE: Duration = Duration::from_millis(100);

impl Node {
    /// Does what a call of the hub left to do.
    pub(crate) fn after(self: &Arc<Self>, id: ConversationId, after: After) {
        for _ in 0..after.references {
            self.bus.unsubscribe(&[Topic::Conversation(id)]);
        }
        if let Some(when) = after.fill {
            let node = Arc::clone(self);
            self.spawn(async move {
                if when == FillWhen::Later {
                    tokio::time::sleep(LATE).await;
                }
                node.fill(id).await;
            });
        }
    }

    async fn fill(self: &Arc<Self>, id: ConversationId) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let history = self.history();
            let Some((from, head)) = self.hub.fill_from(id) else { return };
            // What the bus told may not be so: only the store says how far it is.
            if head - from > self.config.resume_distance && self.is_far_behind(id, from).await {
                self.give_up(id, history).await;
                continue;
            }
            match self.chat.fill(id, from, self.config.bounds.page).await {
                Ok(Some(page)) if page.to > from => {
                    if let Some(after) = self.within(history, || self.hub.fill(page)) {
                        self.metrics.gap_fills.inc();
                        self.after(id, after);
                    }
                }
                Ok(_) => {
                    // The store has less than was announced: somebody published what is not committed, or the
                    // database was restored. Clients find out by the epoch; here the hole is declared void.
                    self.metrics.bus_events.with_label_values(&["unknown"]).inc();
                    if !self.told_of_unknown.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            conversation.id = %id,
                            after = from,
                            "the bus told of a change that the store does not have; further ones are only counted"
                        );
                    }
                    self.hub.void(id, from, head);
                }
                Err(error) => {
                    tracing::debug!(conversation.id = %id, error = %error, "gap fill failed, trying again");
                    backoff.wait(self.env()).await;
                }
            }
        }
    }

    /// Whether more is missing after `from` than is filled. A store that does not answer says so to the fill as well.
    async fn is_far_behind(&self, id: ConversationId, from: Seq) -> bool {
        let heads = self.chat.heads(&[id]).await.unwrap_or_default();
        heads.first().is_some_and(|(_, head)| head.saturating_sub(from) > self.config.resume_distance)
    }

    /// Moves a conversation to the store's head and asks its clients to fetch; those whom it is not theirs any more are
    /// out. A removal is in their feed, a deletion in no feed: that they are told here.
    async fn give_up(self: &Arc<Self>, id: ConversationId, history: History) {
        let Some(frame) = resync(Some(id), ResyncReason::TooFarBehind) else { return };
        let asked: Set<_> = self.hub.users(id).into_iter().collect();
        let users: Vec<_> = asked.iter().copied().collect();
        let Ok(Some(now)) = self.chat.members_of(id, &users).await else { return tokio::time::sleep(LATE).await };
        let members = now.access_since_seq.into_iter().collect();
        let skipped = self.within(history, || self.hub.skip_to(id, now.last_seq, &asked, &members, &frame));
        match skipped {
            None => {}
            Some(Ok((after, gone))) => {
                for link in gone.iter().filter(|_| now.is_deleted) {
                    tell_gone(link, id);
                }
                self.after(id, after);
            }
            // Somebody went live meanwhile: the fill goes on, and asks again.
            Some(Err(_)) => tokio::task::yield_now().await,
        }
    }

    /// A connection was told these heads. Where it was asked to fetch past one before that, it is asked again: of the
    /// two the later one counts, and events go on from where the skip ended. What was over at that moment, and told so
    /// before, is told again: a deletion is in no feed.
    pub(crate) async fn told_heads(&self, link: &Arc<Link>, reply: &HelloReply) -> Result<()> {
        for (id, head) in &reply.heads {
            if self.hub.attachment(*id, link).is_none() {
                if self.chat.membership(link.user(), *id).await?.is_none() {
                    tell_gone(link, *id);
                }
            } else if link.is_skipped() && self.hub.live_from(*id, link).is_some_and(|from| from > *head) {
                ask_resync(link, Some(*id), ResyncReason::TooFarBehind);
            }
        }
        Ok(())
    }
}

/// The frame `resync_required`.
pub(crate) fn resync(conversation_id: Option<ConversationId>, reason: ResyncReason) -> Option<Utf8Bytes> {
    let data = Resync { conversation_id, reason };
    let event = Event { conversation_id, ..Event::plain(EventType::ResyncRequired, data) };
    serde_json::to_string(&event).ok().map(Into::into)
}
