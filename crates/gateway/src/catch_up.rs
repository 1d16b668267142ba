//! The first page of everything that a connection missed, in one read of the store however many conversations.
//!
//! Most of who resume missed little: for them this is all. What does not fit goes on conversation by conversation
//! (`release` in [`crate::follow`]), at the pace of the reader.

use std::sync::Arc;

use chat::{Map, Result};
use protocol::{Changes, ConversationId, Seq};
use store::{CATCH_UP_CURSORS, Membership, Missed};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{follow::Place, hub::Attachment, link::Link, node::Node};

impl Node {
    /// Sends what is after each cursor and goes live; where, for those that it came to before the connection ended.
    pub(crate) async fn catch_up(
        self: &Arc<Self>,
        link: &Arc<Link>,
        items: Vec<(Membership, Seq)>,
    ) -> Result<Vec<(ConversationId, Place)>> {
        // Where nothing was missed nothing is read, unless something comes just now.
        let one_by_one = !self.env().protections().subscribe_first;
        let (whole, behind): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|(item, cursor)| *cursor >= item.last_seq || one_by_one);
        let mut places = Vec::with_capacity(whole.len() + behind.len());
        for (item, cursor) in whole {
            places.push((item.conversation_id, self.begin(link, item, cursor).await?));
        }
        for behind in behind.chunks(CATCH_UP_CURSORS) {
            // Hold first, then read: what comes in between is in both, and dropped by its seq.
            let mut attachments = Map::default();
            for (item, _) in behind {
                if let Some(attachment) = self.hub.attachment(item.conversation_id, link) {
                    self.hub.rearm(item.conversation_id, &attachment);
                    attachments.insert(item.conversation_id, attachment);
                }
            }
            let cursors: Vec<_> = behind.iter().map(|(item, cursor)| (item.conversation_id, *cursor)).collect();
            let distance = behind.iter().map(|(item, cursor)| item.last_seq.saturating_sub(*cursor)).sum();
            let pages =
                self.chat.catch_up(&link.caller, &cursors, distance, self.config.bounds.page).await?.into_iter();
            let mut pages: Map<_, _> = pages.map(|missed| (missed.page.conversation_id, missed)).collect();
            for (item, cursor) in behind {
                let id = item.conversation_id;
                let Some(attachment) = attachments.get(&id) else { continue };
                let Some(Missed { page, access_since_seq }) = pages.remove(&id) else {
                    places.push((id, self.over_already(attachment, id).await?));
                    continue;
                };
                if !link.outbox.room().await {
                    return Ok(places);
                }
                let Some(to) = self.push_page(attachment, &page) else { continue };
                let cursor = to.max(*cursor);
                // To the head, also where this node lags behind it and would fill the rest: the watermark of a stream's
                // start stands for all of it. What they may read is of the page's moment, not of the start's: they may
                // have been out and in again in between.
                let live = (!page.more).then(|| self.hub.release(id, attachment, cursor, access_since_seq));
                let place = match live {
                    Some(Ok(after)) => {
                        self.after(id, after);
                        Place::After(cursor)
                    }
                    // There is more, or more came than could be held.
                    Some(Err(_)) | None => self.release(attachment, *item, cursor).await?,
                };
                places.push((id, place));
            }
        }
        Ok(places)
    }

    /// Puts a page into the outbox, unless it is empty; how far it goes. None when it was read for an attachment that
    /// is not the present one any more.
    pub(crate) fn push_page(&self, attachment: &Attachment, page: &Changes) -> Option<Seq> {
        let pushed = frame_of(page).is_none_or(|frame| self.hub.push(page.conversation_id, attachment, frame));
        pushed.then_some(page.to)
    }
}

/// None for an empty page.
pub(crate) fn frame_of(page: &Changes) -> Option<Utf8Bytes> {
    serde_json::to_string(page).ok().filter(|_| page.to > page.from).map(Utf8Bytes::from)
}
