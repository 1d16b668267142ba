//! From when on a client that comes back with nothing but a short text must be told what happened: how far a watermark
//! of the store (docs/adr/0011-a-watermark-counts-writes.md) may stand in the `id:` of an SSE stream.
//!
//! The rule: **an id may go out with a frame only if everything that could be seen at its watermark, in every
//! conversation that the id's `user_seq` tells of, was put into this connection's outbox before that frame.**
//!
//! - At its start a connection attaches to its conversations, then reads them all in one snapshot, then replays and goes
//!   live. Once all that is in the outbox ([`Mark::begin`]), that snapshot's watermark holds. Until then no id goes out, and
//!   the client keeps the one that it came with.
//! - Later a whole [`Rotation`] of the head sweep moves it. Its watermark is that of its first query; every other query
//!   of it sees at least as much. A connection takes the watermark when the node has delivered each conversation up to
//!   the head that the rotation read (it waits for none: those that lag keep their watermark until the next one), when it
//!   has its user's feed up to the head that the rotation read, and when it followed all that it follows since before
//!   the rotation listed what it compares. For the last, everything that changes what it follows holds a
//!   [`Settling`]: taken before the feed's cursor moves, dropped when the conversation is live.
//! - A conversation that was joined later than that, or that is being joined, is told by a feed event above the feed's
//!   head of then; its frame shows it as of a snapshot that saw the join, so later than the watermark, and what it does
//!   not show has changed since the watermark. That is why `user_seq` may run ahead of the watermark.
//! - [`Mark::stamp`] is read before the outbox is emptied into a batch, and goes out with the batch's last frame, and only
//!   if the outbox was then empty and open (a closed one forgets what is put in): see [`crate::outbox::Taken`].
//!
//! So an id lags behind by at most two rotations, which is what a resume repeats, and it never runs ahead.

use std::sync::Arc;

use chat::{Map, Set};
use parking_lot::Mutex;
use protocol::{ConversationId, Seq, UserId, UserSeq};
use store::{Heads, Watermark};

use crate::{link::Link, node::Node, sse::Position};

/// How far one connection's id may stand.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    // Held for memory work only, inside of no other lock but those of feeds and of what the link follows.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The start, joins and effects of feed events that are under way.
    unsettled: usize,
    /// The rotation during which the last of them ended; none until it is live.
    since: Option<u64>,
    /// Epoch and watermark; none until it is live.
    held: Option<(Arc<str>, Arc<Watermark>)>,
}

impl Mark {
    /// The connection is live: all that could be seen at this watermark is in its outbox.
    pub(crate) fn begin(&self, epoch: &str, watermark: Watermark, rotation: u64) {
        let mut state = self.state.lock();
        state.since = Some(rotation);
        state.held = Some((epoch.into(), Arc::new(watermark)));
    }

    /// The id of what is in the outbox now. To be read before the outbox is emptied.
    pub(crate) fn stamp(&self, link: &Link) -> Option<Position> {
        let (epoch, watermark) = self.state.lock().held.clone()?;
        let (user_seq, announcement_seq) = (link.feed_cursor()?, link.announced()?);
        Some(Position { epoch, user_seq, announcement_seq, watermark })
    }

    fn begin_change(&self) {
        self.state.lock().unsettled += 1;
    }

    fn end_change(&self, rotation: u64) {
        let mut state = self.state.lock();
        state.unsettled -= 1;
        // Not yet live: it begins later.
        state.since = state.since.map(|since| since.max(rotation));
    }

    /// Takes the watermark of this rotation, if it follows all that it follows since before the rotation began.
    fn advance(&self, rotation: u64, epoch: &str, watermark: &Arc<Watermark>) {
        let mut state = self.state.lock();
        if state.unsettled > 0 || state.since.is_none_or(|since| since >= rotation) {
            return;
        }
        // Of another epoch: whoever comes back with the old one is told so.
        if let Some((_, known)) = state.held.as_mut().filter(|(known, _)| **known == *epoch) {
            *known = Arc::clone(watermark);
        }
    }
}

/// Something that changes what a connection follows is under way, until this is dropped.
pub(crate) struct Settling {
    node: Arc<Node>,
    link: Arc<Link>,
}

impl Settling {
    /// None for connections without a mark: it costs them nothing.
    pub(crate) fn begin(node: &Arc<Node>, link: &Arc<Link>) -> Option<Self> {
        link.mark.as_ref()?.begin_change();
        Some(Self { node: Arc::clone(node), link: Arc::clone(link) })
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(mark) = &self.link.mark {
            mark.end_change(self.node.rotation());
        }
    }
}

/// One whole comparison of heads with the store, from before its list was made.
pub(crate) struct Rotation {
    number: u64,
    /// Of its first query.
    seen: Option<(String, Watermark)>,
    /// Heads that were not delivered when they were read.
    behind: Vec<(ConversationId, Seq)>,
    /// Feeds' heads that were not delivered when they were read.
    feeds: Map<UserId, UserSeq>,
    /// A query failed: it proves nothing.
    failed: bool,
}

impl Rotation {
    /// Before what is compared is listed.
    pub(crate) fn begin(node: &Node) -> Self {
        let (seen, behind, feeds) = (None, Vec::new(), Map::default());
        Self { number: node.next_rotation(), seen, behind, feeds, failed: false }
    }

    /// These heads were read; those of `behind` were not delivered then.
    pub(crate) fn conversations(&mut self, read: Option<(Heads, Vec<(ConversationId, Seq)>)>) {
        match read {
            Some((heads, mut behind)) => {
                self.seen.get_or_insert((heads.epoch, heads.watermark));
                self.behind.append(&mut behind);
            }
            None => self.failed = true,
        }
    }

    /// Heads of feeds were read; these were not delivered then.
    pub(crate) fn feeds(&mut self, behind: Option<Vec<(UserId, UserSeq)>>) {
        match behind {
            Some(behind) => self.feeds.extend(behind),
            None => self.failed = true,
        }
    }

    /// Moves the marks that it may.
    pub(crate) fn end(self, node: &Node) {
        let Some((epoch, watermark)) = self.seen.filter(|_| !self.failed) else { return };
        let marked = node.hub.feeds.links_where(|link| link.mark.is_some());
        if marked.is_empty() {
            return;
        }
        let lags = |(id, head): &(ConversationId, Seq)| node.hub.delivered(*id).is_some_and(|at| at < *head);
        let behind: Set<_> = self.behind.iter().filter(|known| lags(known)).map(|(id, _)| *id).collect();
        let watermark = Arc::new(watermark);
        for link in marked {
            let Some(mark) = &link.mark else { continue };
            // The feed first: its cursor moves after a `Settling` was taken for what it brings.
            let wanted = self.feeds.get(&link.user()).copied().unwrap_or_default();
            if link.feed_cursor().is_none_or(|cursor| cursor < wanted) {
                continue;
            }
            let following = link.following.lock();
            if !behind.iter().any(|id| following.contains(*id)) {
                mark.advance(self.number, &epoch, &watermark);
            }
        }
    }
}

#[cfg(test)]
mod tests;
