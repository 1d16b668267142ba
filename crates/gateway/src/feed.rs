//! Delivers users' feeds: what moved one is read from the store, once for all of the user's local connections, and
//! what it means for them (a conversation to follow, a session that ended) is done.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chat::{FeedEffect, FeedEvent, Result};
use protocol::{CloseCode, UserId, UserSeq};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    link::Link,
    marks::Settling,
    node::{Backoff, Node},
    outbox::Class,
};

impl Node {
    /// A feed has this head: reads it unless it is known or being read.
    pub(crate) fn feed_moved(self: &Arc<Self>, user: UserId, head: UserSeq) {
        if self.hub.feeds.moved(user, head) {
            self.start_fetch(user);
        }
    }

    pub(crate) fn start_fetch(self: &Arc<Self>, user: UserId) {
        self.spawn(Arc::clone(self).fetch(user));
    }

    async fn fetch(self: Arc<Self>, user: UserId) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let history = self.history();
            let Some((from, announced)) = self.hub.feeds.fetch_from(user) else { return };
            match self.read_feed(user, from, announced).await {
                // They come back, and are told to fetch.
                Ok((head, None)) => {
                    let close = |link: &Arc<Link>, _| link.outbox.close(CloseCode::SlowConsumer);
                    self.within(history, || self.hub.feeds.fetched(user, head, close));
                }
                Ok((head, Some(_))) if head <= from => {
                    self.metrics.bus_events.with_label_values(&["unknown"]).inc();
                    self.hub.feeds.nothing_after(user, from, announced);
                }
                Ok((head, Some(events))) => {
                    let mut effects = Vec::new();
                    let tell = |link: &Arc<Link>, cursor| {
                        for event in events.iter().filter(|event| event.user_seq > cursor) {
                            self.push_feed(link, event);
                            // Before the cursor moves: until it is applied, the id of a stream stays where it is.
                            effects.push((Arc::clone(link), event.effect, Settling::begin(&self, link)));
                        }
                    };
                    self.within(history, || self.hub.feeds.fetched(user, head, tell));
                    for (link, effect, settling) in effects {
                        self.apply(&link, effect);
                        drop(settling);
                    }
                }
                Err(error) => {
                    tracing::debug!(user.id = %user, error = %error, "reading a feed failed, trying again");
                    backoff.wait(self.env()).await;
                }
            }
        }
    }

    /// What is after `from`, and the head; no events where they are too many.
    async fn read_feed(
        &self,
        user: UserId,
        from: UserSeq,
        announced: UserSeq,
    ) -> Result<(UserSeq, Option<Vec<FeedEvent>>)> {
        if self.is_feed_far(from, announced) {
            // What the bus told may not be so: only the store says how far it is.
            let heads = self.chat.feed_heads(&[user]).await?;
            let head = heads.first().map_or(0, |(_, head)| *head);
            if self.is_feed_far(from, head) {
                return Ok((head, None));
            }
        }
        let (head, events) = self.chat.feed(user, from).await?;
        Ok((head, Some(events)))
    }

    /// Whether so much of a feed was missed that the client is to fetch everything.
    pub(crate) fn is_feed_far(&self, from: UserSeq, head: UserSeq) -> bool {
        head.saturating_sub(from) > self.config.bounds.feed_distance
    }

    /// Puts a feed event into a connection's outbox. Who is told that they are out hears nothing after that, not
    /// even what they missed before it.
    pub(crate) fn push_feed(&self, link: &Arc<Link>, event: &FeedEvent) {
        if let FeedEffect::Left(id) = event.effect
            && self.env().protections().membership
        {
            self.leave(link, id);
        }
        if let Ok(frame) = Utf8Bytes::try_from(event.frame.clone()) {
            link.outbox.push(frame, Class::Durable);
        }
    }

    /// Puts an ephemeral frame for all of a user's devices into the outboxes of the local ones.
    pub(crate) fn push_to_user(&self, user: UserId, frame: Bytes) {
        let Ok(frame) = Utf8Bytes::try_from(frame) else { return };
        for link in self.hub.feeds.links_of(user) {
            // Who still starts reads it with the rest.
            if link.feed_cursor().is_some() {
                link.outbox.push(frame.clone(), Class::Ephemeral);
            }
        }
    }

    /// Does what a feed event means for one connection, besides telling it. Never waits: one slow connection must not
    /// hold up the news of the user's others.
    pub(crate) fn apply(self: &Arc<Self>, link: &Arc<Link>, effect: FeedEffect) {
        match effect {
            FeedEffect::Joined(id, seq) => self.join(link, id, seq),
            FeedEffect::SessionRevoked(session) if link.caller.session == Some(session) => {
                link.outbox.close(CloseCode::SessionRevoked);
            }
            FeedEffect::Disabled => link.outbox.close(CloseCode::UserDisabled),
            FeedEffect::Left(_) | FeedEffect::SessionRevoked(_) | FeedEffect::None => {}
        }
    }
}
