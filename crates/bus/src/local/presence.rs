//! Presence inside one process: leases of nodes, and what each node says of users.
//!
//! Time comes from tokio's clock, so that tests can pause it. Promises that memory is bounded by what is alive: with a
//! lease goes what its node said, and what nobody says again is swept whenever the map has doubled.

use std::{collections::HashMap, time::Duration};

use protocol::{NodeId, PresenceState, UserId};
use tokio::time::Instant;

use crate::{NodePresence, PRESENCE_TTL, UserPresence, presence};

/// Below this many users a sweep is not worth it.
const SWEEP_FROM: usize = 1_024;

#[derive(Default)]
pub(super) struct Presence {
    /// When each node's lease ends.
    leases: HashMap<NodeId, Instant>,
    users: HashMap<UserId, Vec<Said>>,
    sweep_at: usize,
}

/// What one node says of a user.
struct Said {
    node: NodeId,
    until: Instant,
    what: NodePresence,
}

impl Presence {
    pub(super) fn hold(&mut self, node: NodeId, ttl: Duration) -> Vec<NodeId> {
        let now = Instant::now();
        let before = self.leases.len();
        self.leases.retain(|_, ends| *ends > now);
        if self.leases.len() < before {
            self.sweep(now);
        }
        self.leases.insert(node, now + ttl.min(PRESENCE_TTL));
        let mut live: Vec<_> = self.leases.keys().copied().collect();
        live.sort_unstable();
        live
    }

    pub(super) fn release(&mut self, node: NodeId) {
        if self.leases.remove(&node).is_some() {
            self.sweep(Instant::now());
        }
    }

    pub(super) fn set(&mut self, node: NodeId, users: &[NodePresence]) {
        let now = Instant::now();
        if self.users.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.sweep(now);
            self.sweep_at = self.users.len() * 2;
        }
        for user in users {
            if user.state == PresenceState::Offline {
                if let Some(said) = self.users.get_mut(&user.user) {
                    said.retain(|said| said.node != node);
                    if said.is_empty() {
                        self.users.remove(&user.user);
                    }
                }
                continue;
            }
            let said = self.users.entry(user.user).or_default();
            said.retain(|said| said.node != node);
            said.push(Said { node, until: now + PRESENCE_TTL, what: user.clone() });
        }
    }

    pub(super) fn get(&self, users: &[UserId]) -> Vec<UserPresence> {
        let now = Instant::now();
        let live = |said: &&Said| said.until > now && self.leases.get(&said.node).is_some_and(|ends| *ends > now);
        users
            .iter()
            .map(|user| {
                let said = self.users.get(user).into_iter().flatten().filter(live);
                presence::together(*user, said.map(|said| (said.what.state, said.what.focus.as_slice())))
            })
            .collect()
    }

    /// Forgets what is too old, and what nodes without a lease said: when they come back, they say it again.
    fn sweep(&mut self, now: Instant) {
        let leases = &self.leases;
        self.users.retain(|_, said| {
            said.retain(|said| said.until > now && leases.get(&said.node).is_some_and(|ends| *ends > now));
            !said.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_nodes_said_does_not_pile_up() {
        let mut presence = Presence::default();
        for _ in 0..50 {
            let node = NodeId::generate();
            presence.hold(node, Duration::ZERO);
            let user = |_| NodePresence { user: UserId::generate(), state: PresenceState::Online, focus: Vec::new() };
            presence.set(node, &(0..100).map(user).collect::<Vec<_>>());
        }
        assert!(presence.users.len() <= 100 && presence.leases.len() <= 1);
    }
}
