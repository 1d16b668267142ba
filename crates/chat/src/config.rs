//! What the domain is told at its start.

use std::time::Duration;

use protocol::Limits;

use crate::AuthConfig;

/// How changes are committed.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Most transactions in flight at once: a lane is used when those before it are full or held up.
    pub lanes: usize,
    /// Most changes in one transaction.
    pub max_batch: usize,
    /// Most changes that wait in one lane for a moment; beyond it, and sooner where more comes than can be written, a
    /// command gets `overloaded`.
    pub queue: usize,
    /// Changes that are remembered for [`crate::Chat::commits`], 96 bytes each; 0: none.
    pub remembered: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { lanes: 4, max_batch: 500, queue: 10_000, remembered: 32_768 }
    }
}

/// Everything the domain is told.
#[derive(Clone, Default)]
pub struct ChatConfig {
    /// Who may sign in and how.
    pub auth: AuthConfig,
    /// What a connection may do.
    pub limits: Limits,
    /// How changes are committed.
    pub writer: WriterConfig,
    /// For so long what was said in a deleted conversation is kept.
    pub erase_after: Duration,
}
