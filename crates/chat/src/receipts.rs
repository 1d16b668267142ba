//! Delivered and read markers.

use protocol::{ConversationId, Receipt, Seq};

use crate::{Caller, Chat, Result};

impl Chat {
    /// Moves the caller's read marker forward and tells the others (in conversations of ≤ 100).
    pub async fn mark_read(&self, _caller: &Caller, _conversation: ConversationId, _seq: Seq) -> Result<Receipt> {
        unimplemented!()
    }

    /// Moves the caller's delivered marker forward and tells the others (in conversations of ≤ 100).
    pub async fn mark_delivered(&self, _caller: &Caller, _conversation: ConversationId, _seq: Seq) -> Result<Receipt> {
        unimplemented!()
    }
}
