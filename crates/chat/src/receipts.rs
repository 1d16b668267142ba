//! Delivered and read markers. Their events are ephemeral: they take no seq, and who misses one reads the markers
//! when resuming.

use bus::Topic;
use protocol::{BulkRead, ConversationId, Event, EventType, Receipt, Seq};
use store::{Mark, MarkRow};

use crate::{Caller, Chat, Result, check, envelope::ConversationEvent, policy::Refusal};

/// In larger conversations markers are not pushed: they are answered on demand.
const PUSHED_UP_TO: u64 = 100;

impl Chat {
    /// Moves the caller's read marker forward and tells the others (in conversations of ≤ 100).
    pub async fn mark_read(&self, caller: &Caller, conversation: ConversationId, seq: Seq) -> Result<Receipt> {
        self.mark(caller, conversation, Mark::Read(check::seq(seq))).await
    }

    /// Moves the caller's delivered marker forward and tells the others (in conversations of ≤ 100).
    pub async fn mark_delivered(&self, caller: &Caller, conversation: ConversationId, seq: Seq) -> Result<Receipt> {
        self.mark(caller, conversation, Mark::Delivered(check::seq(seq))).await
    }

    /// Moves many read markers at once (1–100, each conversation once). Conversations that the caller does not take
    /// part in are left out of the answer.
    pub async fn mark_many(&self, caller: &Caller, request: BulkRead) -> Result<Vec<Receipt>> {
        let mut receipts = Vec::new();
        for item in request.items {
            receipts.push(self.mark_read(caller, item.conversation_id, item.seq).await?);
        }
        Ok(receipts)
    }

    async fn mark(&self, caller: &Caller, conversation: ConversationId, mark: Mark) -> Result<Receipt> {
        let row = MarkRow {
            user_id: caller.user.id,
            conversation_id: conversation,
            delivered_seq: if let Mark::Delivered(seq) = mark { Some(seq) } else { None },
            read_seq: if let Mark::Read(seq) = mark { Some(seq) } else { None },
        };
        let Some(marked) = self.inner.store.mark(&[row]).await?.pop().flatten() else {
            self.readable(caller, conversation).await?;
            // They joined between the two looks: to them it was not there yet.
            return Err(Refusal::NotFound.into());
        };
        let receipt = Receipt {
            conversation_id: conversation,
            user_id: caller.user.id,
            delivered_seq: marked.delivered_seq,
            read_seq: marked.read_seq,
            read_number: marked.read_number,
        };
        if marked.moved && marked.participant_count <= PUSHED_UP_TO {
            let event = Event {
                kind: EventType::ReceiptUpdated,
                conversation_id: Some(conversation),
                seq: None,
                user_seq: None,
                data: receipt,
            };
            match ConversationEvent::encode(None, None, Vec::new(), &event) {
                Ok(payload) => self.inner.writer.publish(Topic::Conversation(conversation), payload),
                Err(error) => tracing::error!(%error, "a receipt could not be serialised"),
            }
        }
        Ok(receipt)
    }
}
