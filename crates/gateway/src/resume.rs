//! Resuming: what a client missed since its cursors goes out, then it is live (invariant 6). Nothing of it comes from
//! this node's memory, so that any node can do it.
//!
//! Everything goes out at the pace of the reader. Promise: what is not told is asked for: beyond a distance, or from
//! another history, the client gets `resync_required` with a reason, never a part in silence.

use std::sync::Arc;

use chat::{FeedEffect, FeedEvent, Map, Result, Set};
use protocol::{ConversationId, Resume, ResyncReason, Seq};
use store::{Membership, Memberships};

use crate::{
    fill::resync,
    follow::{Live, Place, Started, tell_gone},
    link::Link,
    node::Node,
    outbox::Class,
};

impl Node {
    /// Sends what was missed since the client's cursors, then goes live.
    pub(crate) async fn resume(self: &Arc<Self>, link: &Arc<Link>, started: Started, resume: &Resume) -> Result<Live> {
        let Started { memberships: Memberships { epoch, user_seq, watermark, items }, announcement_seq } = started;
        let refused = if resume.epoch != epoch {
            Some(ResyncReason::EpochChanged)
        } else if resume.user_seq > user_seq {
            Some(ResyncReason::CursorAhead)
        } else {
            self.is_feed_far(resume.user_seq, user_seq).then_some(ResyncReason::TooFarBehind)
        };
        if let Some(reason) = refused {
            let memberships = Memberships { epoch, user_seq, watermark, items };
            return self.start_anew(link, Started { memberships, announcement_seq }, reason).await;
        }
        self.metrics.resumes.with_label_values(&["replayed"]).inc();
        let membership = self.env().protections().membership;
        let items = if membership { items } else { self.unchecked(link, items, resume).await? };
        // Read before anything goes live: a conversation that is new to the client goes live from where its frame
        // shows it.
        let (feed_head, events) = match resume.user_seq {
            // Nothing had moved it when the start was read, and what comes since is read where it goes live.
            same if same == user_seq => (user_seq, Vec::new()),
            behind => self.chat.feed(link.user(), behind).await?,
        };
        let shown: Map<_, _> = events
            .iter()
            .filter_map(|event| match event.effect {
                FeedEffect::Joined(id, seq) => Some((id, seq)),
                _ => None,
            })
            .collect();
        // Likewise what is over by now: of what the client does not know it is told the end alone, by its feed.
        let over: Set<_> = events
            .iter()
            .filter_map(|event| match event.effect {
                FeedEffect::Left(id) if membership => Some(id),
                _ => None,
            })
            .collect();
        let mut live = Live::default();
        let reply = &mut live.reply;
        let (mut behind, mut new) = (Vec::new(), Vec::new());
        for item in &items {
            let id = item.conversation_id;
            let head = shown.get(&id).map_or(item.last_seq, |seq| item.last_seq.max(*seq));
            // Of one that is about to be shown anew, or is over, a client that did not name its cursors itself has
            // none.
            let known = |_: &&Seq| link.mark.is_none() || !(shown.contains_key(&id) || over.contains(&id));
            match resume.cursors.get(&id).filter(known) {
                Some(cursor) if *cursor <= item.last_seq && item.last_seq - cursor <= self.config.resume_distance => {
                    behind.push((*item, *cursor));
                }
                // What it is to hear of one that is new to it comes after the frame that shows it.
                None if shown.contains_key(&id) => new.push((*item, head)),
                None if over.contains(&id) => {}
                cursor => {
                    if let Some(cursor) = cursor {
                        let ahead = *cursor > item.last_seq;
                        let reason = if ahead { ResyncReason::CursorAhead } else { ResyncReason::TooFarBehind };
                        if !link.outbox.room().await {
                            return Ok(live);
                        }
                        ask_resync(link, Some(id), reason);
                    }
                    let place = self.begin(link, *item, head).await?;
                    reply.heads.extend(place.seq().map(|seq| (id, seq)));
                }
            }
        }
        let distance: Seq = behind.iter().map(|(item, cursor)| item.last_seq - cursor).sum();
        self.metrics.resume_distance.observe(distance as f64);
        for (id, place) in self.catch_up(link, behind).await? {
            match place {
                // Who names cursors has them; who does not is told where each conversation goes on.
                Place::After(_) if link.mark.is_none() => {}
                place => reply.heads.extend(place.seq().map(|seq| (id, seq))),
            }
        }
        self.tell_lost(link, resume, &items, &events).await;
        for event in &events {
            if !link.outbox.room().await {
                return Ok(live);
            }
            self.push_feed(link, event);
        }
        for (item, head) in new {
            let place = self.begin(link, item, head).await?;
            live.reply.heads.extend(place.seq().map(|seq| (item.conversation_id, seq)));
        }
        for event in events {
            self.apply(link, event.effect);
        }
        self.feed_live(link, feed_head).await?;
        let cursor = self.announcement_cursor(link, announcement_seq, resume.announcement_seq).await?;
        live.reply.announcement_seq = self.announcements_live(link, cursor).await?;
        self.resumed_receipts(link, items.iter().map(|item| item.conversation_id), &mut live).await?;
        Ok(live)
    }

    /// Asks the client to fetch everything by REST, and goes live.
    pub(crate) async fn start_anew(
        self: &Arc<Self>,
        link: &Arc<Link>,
        started: Started,
        reason: ResyncReason,
    ) -> Result<Live> {
        self.metrics.resumes.with_label_values(&["resync"]).inc();
        ask_resync(link, None, reason);
        let ids: Vec<_> = started.memberships.items.iter().map(|item| item.conversation_id).collect();
        let mut live = self.go_live(link, started).await?;
        self.resumed_receipts(link, ids.into_iter(), &mut live).await?;
        Ok(live)
    }

    /// Conversations that the client named and that are not the user's: gone, deleted, or never theirs. All look the
    /// same, so that nobody learns from it which ones exist. What the feed tells is not told twice.
    async fn tell_lost(&self, link: &Link, resume: &Resume, items: &[Membership], events: &[FeedEvent]) {
        if !self.env().protections().membership {
            return;
        }
        let limit = self.chat.limits().connection_conversations as usize;
        if limit != 0 && items.len() >= limit {
            // The list was cut: what is not in it may still be theirs.
            return;
        }
        let mine: Set<_> = items.iter().map(|item| item.conversation_id).collect();
        let told = events.iter().filter_map(|event| match event.effect {
            FeedEffect::Left(id) | FeedEffect::Joined(id, _) => Some(id),
            _ => None,
        });
        let told: Set<_> = told.collect();
        for id in resume.cursors.keys().filter(|id| !mine.contains(id) && !told.contains(id)) {
            // At the pace of the reader, as everything here: together it may be more than an outbox takes.
            if !link.outbox.room().await {
                return;
            }
            tell_gone(link, *id);
        }
    }
}

pub(crate) fn ask_resync(link: &Link, conversation: Option<ConversationId>, reason: ResyncReason) {
    link.asked_to_fetch(conversation);
    if let Some(frame) = resync(conversation, reason) {
        link.outbox.push(frame, Class::Durable);
    }
}
