//! How much is read at once, and how much may wait in memory for something that is under way.

use protocol::UserSeq;

/// What no operator needs to set. A simulation sets small ones, so that it reaches each of them.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Changes of a conversation that are read at once, 1–500.
    pub page: u32,
    /// Most events of a conversation that wait for a connection which is still reading the store; beyond it it reads
    /// again.
    pub held_events: usize,
    /// Most events of a conversation that wait for one before them; beyond it the hole is filled at once.
    pub early_events: usize,
    /// Most bytes of either; of what is held, also of all conversations of one connection together no more than its
    /// outbox may have.
    pub waiting_bytes: usize,
    /// Most steps of a user's feed that a client which comes back gets by themselves; of more it is told to fetch.
    pub feed_distance: UserSeq,
    /// Conversations, the most recently active first, whose markers are a part of the answer to `hello`; those of the
    /// others follow it.
    pub receipts_at_once: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            page: 200,
            held_events: 64,
            early_events: 64,
            waiting_bytes: 256 * 1024,
            feed_distance: 1_000,
            receipts_at_once: 200,
        }
    }
}
