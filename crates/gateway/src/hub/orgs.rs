//! Orgs with local connections, and how far each one's announcements were delivered on this node.
//!
//! As with users' feeds, the bus only says that there is one more; it is read from the store once for all local
//! connections, by one task at a time per org.

use std::sync::Arc;

use chat::Map;
use parking_lot::Mutex;
use protocol::OrgId;

use crate::link::Link;

#[derive(Default)]
struct Org {
    links: usize,
    /// What every live connection of the org has; none until the first one read the head.
    delivered: Option<u64>,
    /// The highest seq known to exist.
    head: u64,
    fetching: bool,
}

/// Local orgs.
#[derive(Default)]
pub(crate) struct Orgs {
    // Held for memory work only.
    orgs: Mutex<Map<OrgId, Org>>,
}

impl Orgs {
    /// One more connection.
    pub(crate) fn join(&self, org: OrgId) {
        self.orgs.lock().entry(org).or_default().links += 1;
    }

    /// One less.
    pub(crate) fn leave(&self, org: OrgId) {
        let mut orgs = self.orgs.lock();
        if let Some(entry) = orgs.get_mut(&org) {
            entry.links = entry.links.saturating_sub(1);
            if entry.links == 0 {
                orgs.remove(&org);
            }
        }
    }

    /// How far it was delivered, when that is known.
    pub(crate) fn delivered(&self, org: OrgId) -> Option<u64> {
        self.orgs.lock().get(&org)?.delivered
    }

    /// The head as read from the store after the subscription was confirmed.
    pub(crate) fn establish(&self, org: OrgId, head: u64) {
        if let Some(entry) = self.orgs.lock().get_mut(&org) {
            entry.delivered.get_or_insert(head);
            entry.head = entry.head.max(head);
        }
    }

    /// There is an announcement of this seq. True when the caller is to start fetching.
    pub(crate) fn moved(&self, org: OrgId, head: u64) -> bool {
        let mut orgs = self.orgs.lock();
        let Some(entry) = orgs.get_mut(&org) else { return false };
        entry.head = entry.head.max(head);
        entry.wants_fetch()
    }

    /// A connection has the announcements up to `at`: it goes live, unless the node has already delivered more, which
    /// it then must read too. The second value: the caller is to start fetching.
    pub(crate) fn go_live(&self, link: &Link, at: u64) -> Result<bool, u64> {
        let mut orgs = self.orgs.lock();
        let Some(entry) = orgs.get_mut(&link.org()) else { return Ok(false) };
        if let Some(delivered) = entry.delivered.filter(|delivered| *delivered > at) {
            return Err(delivered);
        }
        link.set_announced(at);
        Ok(entry.wants_fetch())
    }

    /// Where the fetch goes on and how far it goes; none when nothing is missing (the fetch is over).
    pub(crate) fn fetch_from(&self, org: OrgId) -> Option<(u64, u64)> {
        let mut orgs = self.orgs.lock();
        let entry = orgs.get_mut(&org)?;
        let from = entry.delivered.filter(|delivered| *delivered < entry.head);
        entry.fetching = from.is_some();
        from.map(|from| (from, entry.head))
    }

    /// The node has them up to `upto`: calls `each` with the connections of `links` that are live and their cursors.
    /// They are listed under the lock: who is not among them yet will find that more was delivered, and read it.
    pub(crate) fn fetched(
        &self,
        org: OrgId,
        upto: u64,
        links: impl FnOnce() -> Vec<Arc<Link>>,
        each: impl Fn(&Link, u64),
    ) {
        let mut orgs = self.orgs.lock();
        let Some(entry) = orgs.get_mut(&org).filter(|entry| entry.delivered.is_some()) else { return };
        for link in &links() {
            if let Some(cursor) = link.announced() {
                each(link, cursor);
                link.set_announced(cursor.max(upto));
            }
        }
        entry.delivered = entry.delivered.max(Some(upto));
    }

    /// The store has nothing after `from`: whoever told of `head` was wrong.
    pub(crate) fn nothing_after(&self, org: OrgId, from: u64, head: u64) {
        if let Some(entry) = self.orgs.lock().get_mut(&org).filter(|entry| entry.head == head) {
            entry.head = from;
        }
    }

    /// Forgets how far announcements were delivered. A fetch that is under way finds nothing to do.
    pub(crate) fn forget_positions(&self) {
        for entry in self.orgs.lock().values_mut() {
            (entry.delivered, entry.head) = (None, 0);
        }
    }

    /// The store has less than was delivered here: forgets the org's position. True when it was so.
    pub(crate) fn is_ahead(&self, org: OrgId, delivered: u64) -> bool {
        let mut orgs = self.orgs.lock();
        let ahead = orgs.get_mut(&org).filter(|entry| entry.delivered.is_some_and(|now| now >= delivered));
        ahead.is_some_and(|entry| {
            (entry.delivered, entry.head) = (None, 0);
            true
        })
    }

    /// Every org whose position is known, with it.
    pub(crate) fn positions(&self) -> Vec<(OrgId, u64)> {
        self.orgs.lock().iter().filter_map(|(org, entry)| Some((*org, entry.delivered?))).collect()
    }
}

impl Org {
    fn wants_fetch(&mut self) -> bool {
        let behind = self.delivered.is_some_and(|delivered| delivered < self.head);
        behind && !std::mem::replace(&mut self.fetching, true)
    }
}
