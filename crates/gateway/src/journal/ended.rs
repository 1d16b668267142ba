//! The connections that ended here.

use std::collections::VecDeque;

use parking_lot::Mutex;
use protocol::{ConnectionId, ConversationId, Seq, UserId};
use tokio::time::Instant;

use crate::{GatewayConfig, link::Fetches};

/// So many are remembered.
const MOST: usize = 2_048;
/// Of each no more conversations than these: whoever is in more has them forgotten.
pub(crate) const PLACES: usize = 32;

/// Conversations that a connection followed, and from where on it was live there, if it was.
pub(crate) type Places = Box<[(ConversationId, Option<Seq>)]>;

/// A connection that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: ConnectionId,
    pub(crate) user: UserId,
    pub(crate) is_stream: bool,
    pub(crate) opened: Instant,
    pub(crate) at: Instant,
    /// As in the metrics: the close code, or `client`.
    pub(crate) end: String,
    /// When everything that had been put into its outbox was last with the kernel.
    pub(crate) settled: Option<Instant>,
    /// What its client was asked to fetch.
    pub(crate) fetches: Fetches,
    /// What it followed, and from where on it was live there, if it was; none: too much to remember.
    pub(crate) places: Option<Places>,
}

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct EndedConnections {
    ring: Mutex<VecDeque<Ended>>,
}

impl EndedConnections {
    pub(crate) fn note(&self, config: &GatewayConfig, ended: Ended) {
        if config.remembered == 0 {
            return;
        }
        let mut ring = self.ring.lock();
        if ring.len() >= MOST {
            ring.pop_front();
        }
        ring.push_back(ended);
    }

    /// A user's, the last first.
    pub(crate) fn of(&self, user: UserId) -> Vec<Ended> {
        self.ring.lock().iter().rev().filter(|ended| ended.user == user).cloned().collect()
    }

    /// From when on none is forgotten; none when that is so of all.
    pub(crate) fn since(&self) -> Option<Instant> {
        let ring = self.ring.lock();
        ring.front().filter(|_| ring.len() >= MOST).map(|ended| ended.at)
    }
}
