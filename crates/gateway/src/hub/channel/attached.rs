//! The connections of a conversation on this node: how one comes, reads the store while events wait for it, and goes
//! live.

use std::sync::Arc;

use protocol::Seq;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Channel, held::Held};
use crate::{link::Link, outbox::Class};

/// One time that a connection was attached to a conversation. It may be taken out and attached again while a task still
/// reads the store for the time before: that one finds out by this, and leaves the other alone.
#[derive(Clone)]
pub(crate) struct Attachment {
    pub(crate) link: Arc<Link>,
    number: u64,
}

/// A local connection in a conversation.
pub(super) struct Subscriber {
    pub(super) link: Arc<Link>,
    /// Of its attachment.
    number: u64,
    /// Messages with a place up to here are not for it (`history: since_join`).
    pub(super) visible_from: Seq,
    pub(super) stage: Stage,
}

impl Subscriber {
    fn is(&self, attachment: &Attachment) -> bool {
        self.number == attachment.number && Arc::ptr_eq(&self.link, &attachment.link)
    }
}

pub(super) enum Stage {
    /// It reads the store; live events wait here.
    Starting(Box<Held>),
    /// It has everything up to this seq by another way; above it, events go straight through.
    Live(Seq),
}

/// How a connection follows a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    /// It reads the store.
    Starting,
    /// It gets what comes after `from`; messages with a place up to `visible_from` are not for it.
    Live { from: Seq, visible_from: Seq },
}

/// A subscriber could not go live: events did not fit, read the store again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind;

impl Channel {
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

    /// Up to where it has everything by another way than events, if it is live.
    pub(crate) fn live_from(&self, link: &Arc<Link>) -> Option<Seq> {
        let subscriber = self.subscribers.iter().find(|s| Arc::ptr_eq(&s.link, link))?;
        match subscriber.stage {
            Stage::Live(cursor) => Some(cursor),
            Stage::Starting(_) => None,
        }
    }

    /// How it follows, for an operator.
    pub(crate) fn following(&self, link: &Arc<Link>) -> Option<Following> {
        let subscriber = self.subscribers.iter().find(|s| Arc::ptr_eq(&s.link, link))?;
        Some(match subscriber.stage {
            Stage::Live(from) => Following::Live { from, visible_from: subscriber.visible_from },
            Stage::Starting(_) => Following::Starting,
        })
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
                if event.out.has(user) {
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
}
