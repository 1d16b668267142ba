//! Delivered and read markers. They take no seq: who misses an event of theirs reads the markers when resuming.
//!
//! Promises that however fast a client asks, a user's markers of a conversation are written at most once a second
//! by this node ([`merge`]), and that an answer tells what is stored.

mod coalescer;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bus::Topic;
use protocol::{BulkRead, ConversationId, Event, EventType, Receipt, Seq};
use store::{MarkRow, Marked};

pub(crate) use self::{coalescer::Coalescer, merge::Pace};
use crate::{
    Caller, Chat, ChatError, Result, check,
    envelope::{ConversationEvent, UserEvent},
    policy::Refusal,
    writer::Writer,
};

/// In larger conversations markers are not pushed: they are answered on demand.
const PUSHED_UP_TO: u64 = 100;
/// Most markers of one request.
const BULK_MAX: usize = 100;

impl Chat {
    /// Moves the caller's read marker forward and tells the others (in conversations of ≤ 100; in larger ones, the
    /// caller's own devices). Answers once it is stored, which may take a second when they just did the same.
    pub async fn mark_read(&self, caller: &Caller, conversation: ConversationId, seq: Seq) -> Result<Receipt> {
        self.mark(caller, MarkRow { read_seq: Some(check::seq(seq)), ..nothing(caller, conversation) }).await
    }

    /// Moves the caller's delivered marker forward and tells the others. Neither stored nor told in conversations of
    /// more than 100. As to time, see [`Self::mark_read`].
    pub async fn mark_delivered(&self, caller: &Caller, conversation: ConversationId, seq: Seq) -> Result<Receipt> {
        self.mark(caller, MarkRow { delivered_seq: Some(check::seq(seq)), ..nothing(caller, conversation) }).await
    }

    /// Moves many read markers at once (1–100, each conversation once). Conversations that the caller does not take
    /// part in are left out of the answer.
    pub async fn mark_many(&self, caller: &Caller, request: BulkRead) -> Result<Vec<Receipt>> {
        if !(1..=BULK_MAX).contains(&request.items.len()) {
            return Err(ChatError::field("items", format!("must have from 1 to {BULK_MAX} items")));
        }
        let mut named = HashSet::new();
        if !request.items.iter().all(|item| named.insert(item.conversation_id)) {
            return Err(ChatError::field("items", "must name each conversation once"));
        }
        let row = |item: &protocol::ReadItem| MarkRow {
            read_seq: Some(check::seq(item.seq)),
            ..nothing(caller, item.conversation_id)
        };
        let rows: Vec<_> = request.items.iter().map(row).collect();
        let marked = self.inner.receipts.mark(rows.clone()).await?;
        Ok(rows.iter().zip(marked).filter_map(|(row, marked)| Some(receipt(row, &marked?))).collect())
    }

    async fn mark(&self, caller: &Caller, row: MarkRow) -> Result<Receipt> {
        if let Some(marked) = self.inner.receipts.mark(vec![row]).await?.pop().flatten() {
            return Ok(receipt(&row, &marked));
        }
        self.readable(caller, row.conversation_id).await?;
        // They joined between the two looks: to them it was not there yet.
        Err(Refusal::NotFound.into())
    }
}

fn nothing(caller: &Caller, conversation_id: ConversationId) -> MarkRow {
    MarkRow { user_id: caller.user.id, conversation_id, delivered_seq: None, read_seq: None }
}

fn receipt(row: &MarkRow, marked: &Marked) -> Receipt {
    Receipt {
        conversation_id: row.conversation_id,
        user_id: row.user_id,
        delivered_seq: marked.delivered_seq,
        read_seq: marked.read_seq,
        read_number: marked.read_number,
    }
}

/// Tells who is to know of markers that moved, in the database of this epoch: said after a restore they are not
/// believed.
pub(crate) fn tell(writer: &Writer, row: &MarkRow, marked: &Marked, epoch: &str) {
    if !marked.moved {
        return;
    }
    let conversation_id = row.conversation_id;
    let event = Event {
        kind: EventType::ReceiptUpdated,
        conversation_id: Some(conversation_id),
        seq: None,
        user_seq: None,
        data: receipt(row, marked),
    };
    // In a large conversation nothing but a read marker moves.
    let (topic, payload) = if marked.participant_count <= PUSHED_UP_TO {
        (Topic::Conversation(conversation_id), ConversationEvent::encode_ephemeral(&event, Some(epoch)))
    } else {
        (Topic::User(row.user_id), UserEvent::encode_frame(&event, Some(epoch)))
    };
    match payload {
        Ok(payload) => writer.publish_marker(topic, payload),
        Err(error) => tracing::error!(%error, "a receipt could not be serialised"),
    }
}
