//! Delivers announcements: read from the store once per node when there is one, and on resume what was missed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chat::Result;
use protocol::OrgId;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    link::Link,
    node::{Backoff, Node},
    outbox::Class,
};

/// Announcements read at once, and most that a resume sends: who missed more gets the newest.
const PAGE: u32 = 100;

impl Node {
    /// An org has an announcement of this seq: reads it unless it is known or being read.
    pub(crate) fn announced(self: &Arc<Self>, org: OrgId, head: u64) {
        if self.hub.orgs.moved(org, head) {
            self.start_announcements(org);
        }
    }

    fn start_announcements(self: &Arc<Self>, org: OrgId) {
        self.spawn(Arc::clone(self).fetch_announcements(org));
    }

    async fn fetch_announcements(self: Arc<Self>, org: OrgId) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let history = self.history();
            let Some((from, head)) = self.hub.orgs.fetch_from(org) else { return };
            match self.chat.announcement_frames(org, from, PAGE).await {
                Ok(frames) => {
                    let Some((last, _)) = frames.last() else {
                        self.hub.orgs.nothing_after(org, from, head);
                        continue;
                    };
                    let links = || self.hub.feeds.links_where(|link| link.org() == org);
                    let tell = |link: &Link, cursor| {
                        for (_, frame) in frames.iter().filter(|(seq, _)| *seq > cursor) {
                            push(link, frame);
                        }
                    };
                    self.within(history, || self.hub.orgs.fetched(org, *last, links, tell));
                }
                Err(error) => {
                    tracing::debug!(org.id = %org, %error, "reading announcements failed, trying again");
                    backoff.wait(self.env()).await;
                }
            }
        }
    }

    /// The org's last announcement, for a connection that starts; its org's topic is subscribed.
    pub(crate) async fn announcement_head(&self, org: OrgId) -> Result<u64> {
        match self.hub.orgs.delivered(org) {
            Some(delivered) => Ok(delivered),
            None => self.read_announcement_head(org).await,
        }
    }

    /// Where a connection that resumes goes on: after what its client has, not more than a page behind. A client that
    /// has more than this node may have got it from another one; more than the store has, nobody has.
    pub(crate) async fn announcement_cursor(&self, link: &Link, known: u64, asked: Option<u64>) -> Result<u64> {
        let Some(asked) = asked else { return Ok(known) };
        let head = if asked > known { self.read_announcement_head(link.org()).await? } else { known };
        Ok(asked.clamp(head.saturating_sub(u64::from(PAGE)), head))
    }

    async fn read_announcement_head(&self, org: OrgId) -> Result<u64> {
        let history = self.history();
        let heads = self.chat.announcement_heads(&[org]).await?;
        let head = heads.iter().find(|(id, _)| *id == org).map_or(0, |(_, head)| *head);
        self.within(history, || self.hub.orgs.establish(org, head));
        Ok(head)
    }

    /// Sends what is after `cursor` and goes live; the seq of the last one that the connection has.
    pub(crate) async fn announcements_live(self: &Arc<Self>, link: &Arc<Link>, mut cursor: u64) -> Result<u64> {
        loop {
            match self.hub.orgs.go_live(link, cursor) {
                Ok(fetch) => {
                    if fetch {
                        self.start_announcements(link.org());
                    }
                    return Ok(cursor);
                }
                Err(delivered) => {
                    let frames = self.chat.announcement_frames(link.org(), cursor, PAGE).await?;
                    let Some((last, _)) = frames.last() else {
                        self.lost_announcements(link.org(), delivered);
                        return Ok(cursor);
                    };
                    cursor = *last;
                    for (_, frame) in frames {
                        // At the pace of the reader: together they may be more than an outbox takes.
                        if !link.outbox.room().await {
                            return Ok(cursor);
                        }
                        push(link, &frame);
                    }
                }
            }
        }
    }
}

fn push(link: &Link, frame: &Bytes) {
    if let Ok(frame) = Utf8Bytes::try_from(frame.clone()) {
        link.outbox.push(frame, Class::Durable);
    }
}
