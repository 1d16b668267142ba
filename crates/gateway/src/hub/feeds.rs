//! Users with local connections, and how far each one's feed was delivered on this node.
//!
//! The bus only says that a feed moved; what moved it is read from the store, once for all of the user's local
//! connections, by one task at a time ([`Feeds::moved`] says when to start it).

use std::sync::Arc;

use chat::Map;
use parking_lot::Mutex;
use protocol::{UserId, UserSeq};

use crate::link::Link;

#[derive(Default)]
struct Entry {
    links: Vec<Arc<Link>>,
    /// What every live connection of the user has; none until the first one read its head.
    delivered: Option<UserSeq>,
    /// The highest feed seq known to exist.
    head: UserSeq,
    fetching: bool,
}

/// Local users.
#[derive(Default)]
pub(crate) struct Feeds {
    // Held for memory work only.
    users: Mutex<Map<UserId, Entry>>,
}

impl Feeds {
    /// Registers a connection; false when the user has `limit` here already (0: unlimited).
    pub(crate) fn register(&self, link: &Arc<Link>, limit: u32) -> bool {
        let mut users = self.users.lock();
        let entry = users.entry(link.user()).or_default();
        if limit != 0 && entry.links.len() >= limit as usize {
            return false;
        }
        entry.links.push(Arc::clone(link));
        true
    }

    /// Takes a connection out.
    pub(crate) fn remove(&self, link: &Arc<Link>) {
        let mut users = self.users.lock();
        if let Some(entry) = users.get_mut(&link.user()) {
            entry.links.retain(|other| !Arc::ptr_eq(other, link));
            if entry.links.is_empty() {
                users.remove(&link.user());
            }
        }
    }

    /// The feed has this head. True when the caller is to start fetching.
    pub(crate) fn moved(&self, user: UserId, head: UserSeq) -> bool {
        let mut users = self.users.lock();
        let Some(entry) = users.get_mut(&user) else { return false };
        entry.head = entry.head.max(head);
        entry.wants_fetch()
    }

    /// A connection has read the feed up to `at`: it goes live, unless the node has already delivered more, which
    /// it then must read too. The second value: the caller is to start fetching.
    pub(crate) fn go_live(&self, link: &Arc<Link>, at: UserSeq) -> Result<bool, UserSeq> {
        let mut users = self.users.lock();
        let Some(entry) = users.get_mut(&link.user()) else { return Ok(false) };
        match entry.delivered {
            Some(delivered) if delivered > at => return Err(delivered),
            Some(_) => {}
            None => entry.delivered = Some(at),
        }
        entry.head = entry.head.max(at);
        link.set_feed_cursor(at);
        Ok(entry.wants_fetch())
    }

    /// Where the fetch goes on and how far; none when nothing is missing (the fetch is over).
    pub(crate) fn fetch_from(&self, user: UserId) -> Option<(UserSeq, UserSeq)> {
        let mut users = self.users.lock();
        let entry = users.get_mut(&user)?;
        let from = entry.delivered.filter(|delivered| *delivered < entry.head);
        entry.fetching = from.is_some();
        Some((from?, entry.head))
    }

    /// The node has the feed up to `head`: calls `each` with the connections that are live and their cursors.
    pub(crate) fn fetched(&self, user: UserId, head: UserSeq, mut each: impl FnMut(&Arc<Link>, UserSeq)) {
        let mut users = self.users.lock();
        let Some(entry) = users.get_mut(&user).filter(|entry| entry.delivered.is_some()) else { return };
        for link in &entry.links {
            if let Some(cursor) = link.feed_cursor() {
                each(link, cursor);
                link.set_feed_cursor(cursor.max(head));
            }
        }
        entry.delivered = entry.delivered.max(Some(head));
        entry.head = entry.head.max(head);
    }

    /// The store has nothing after `from`: whoever told of `head` was wrong. What was announced since is looked at.
    pub(crate) fn nothing_after(&self, user: UserId, from: UserSeq, head: UserSeq) {
        if let Some(entry) = self.users.lock().get_mut(&user).filter(|entry| entry.head == head) {
            entry.head = from;
        }
    }

    /// Forgets how far feeds were delivered. A fetch that is under way finds nothing to do.
    pub(crate) fn forget_positions(&self) {
        for entry in self.users.lock().values_mut() {
            (entry.delivered, entry.head) = (None, 0);
        }
    }

    /// The store has less of a user's feed than was delivered here: forgets its position; their connections.
    pub(crate) fn is_ahead(&self, user: UserId, delivered: UserSeq) -> Vec<Arc<Link>> {
        let mut users = self.users.lock();
        let ahead = users.get_mut(&user).filter(|entry| entry.delivered.is_some_and(|now| now >= delivered));
        ahead.map_or_else(Vec::new, |entry| {
            (entry.delivered, entry.head) = (None, 0);
            entry.links.clone()
        })
    }

    /// Every local user whose feed's position is known, with it.
    pub(crate) fn positions(&self) -> Vec<(UserId, UserSeq)> {
        self.users.lock().iter().filter_map(|(user, entry)| Some((*user, entry.delivered?))).collect()
    }

    /// A user's local connections.
    pub(crate) fn links_of(&self, user: UserId) -> Vec<Arc<Link>> {
        self.users.lock().get(&user).map(|entry| entry.links.clone()).unwrap_or_default()
    }

    /// Local connections that are as wanted.
    pub(crate) fn links_where(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Arc<Link>> {
        let users = self.users.lock();
        users.values().flat_map(|entry| entry.links.iter().filter(|link| wanted(link)).cloned()).collect()
    }

    /// Every local connection.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links_where(|_| true)
    }
}

impl Entry {
    fn wants_fetch(&mut self) -> bool {
        let behind = self.delivered.is_some_and(|delivered| delivered < self.head);
        behind && !std::mem::replace(&mut self.fetching, true)
    }
}
