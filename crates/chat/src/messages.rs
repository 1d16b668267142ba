//! Messages.

use protocol::{ConversationId, EditMessage, HistoryWindow, Message, MessageId, Page, SendMessage};

use crate::{Caller, Chat, Result};

impl Chat {
    /// Sends. Returns when the message is committed; true when it is new, false when this was a retry.
    pub async fn send(
        &self,
        _caller: &Caller,
        _conversation: ConversationId,
        _request: SendMessage,
    ) -> Result<(Message, bool)> {
        unimplemented!()
    }

    /// Edits one's own message.
    pub async fn edit(&self, _caller: &Caller, _id: MessageId, _request: EditMessage) -> Result<Message> {
        unimplemented!()
    }

    /// Deletes one's own message, or any as an admin of the conversation; deleting twice is fine.
    pub async fn delete(&self, _caller: &Caller, _id: MessageId) -> Result<Message> {
        unimplemented!()
    }

    /// One message.
    pub async fn message(&self, _caller: &Caller, _id: MessageId) -> Result<Message> {
        unimplemented!()
    }

    /// A page of history, ascending by seq. `limit` 1–100 (50 when absent). `next_cursor` is the seq to go on with
    /// in the same direction, null at the end.
    pub async fn history(
        &self,
        _caller: &Caller,
        _conversation: ConversationId,
        _window: HistoryWindow,
        _limit: Option<u32>,
    ) -> Result<Page<Message>> {
        unimplemented!()
    }
}
