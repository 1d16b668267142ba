//! The first page of everything that a connection missed, in one read of the store however many conversations.
//!
//! Most of who resume missed little: for them this is all. What does not fit goes on conversation by conversation
//! (`release` in [`crate::follow`]), at the pace of the reader.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use chat::{Map, Result};
use protocol::{Changes, ConversationId, Seq};
use store::{CATCH_UP_CURSORS, Membership};

use crate::{follow::Place, link::Link, node::Node, outbox::Class};

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
            places.push((item.conversation_id, self.release(link, item, cursor).await?));
        }
        for behind in behind.chunks(CATCH_UP_CURSORS) {
            // Hold first, then read: what comes in between is in both, and dropped by its seq.
            for (item, _) in behind {
                self.hub.rearm(item.conversation_id, link);
            }
            let cursors: Vec<_> = behind.iter().map(|(item, cursor)| (item.conversation_id, *cursor)).collect();
            let pages = self.chat.catch_up(&link.caller, &cursors, self.config.bounds.page).await?.into_iter();
            let mut pages: Map<_, _> = pages.map(|page| (page.conversation_id, page)).collect();
            for (item, cursor) in behind {
                let id = item.conversation_id;
                let Some(page) = pages.remove(&id) else {
                    places.push((id, self.over_already(link, id).await?));
                    continue;
                };
                if !link.outbox.room().await {
                    return Ok(places);
                }
                let cursor = push_page(link, &page).max(*cursor);
                let place = match self.hub.release(id, link, cursor, item.access_since_seq) {
                    Ok(after) => {
                        self.after(id, after);
                        Place::After(cursor)
                    }
                    // There is more, or more came than could be held.
                    Err(_) => self.release(link, *item, cursor).await?,
                };
                places.push((id, place));
            }
        }
        Ok(places)
    }
}

/// Puts a page into the outbox, unless it is empty; how far it goes.
pub(crate) fn push_page(link: &Link, page: &Changes) -> Seq {
    if page.to > page.from
        && let Ok(frame) = serde_json::to_string(page)
    {
        link.outbox.push(Utf8Bytes::from(frame), Class::Durable);
    }
    page.to
}
