//! Erases what was said in conversations that were deleted: the deletion itself only closes them, however long they are.
//!
//! Each node looks every few seconds and takes those that no other node has at hand, a hundred messages at a time, and
//! rests as long as that took: it takes half of one connection's time at most. One that cannot be erased is told in the
//! log and passed over until the next look.

use std::time::Duration;

use protocol::{ConversationId, Timestamp};
use store::Erasures;
use tokio::time::{Instant, sleep};

use crate::{Chat, Result};

/// About so long between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Conversations of one look: those that fail are not in the way of more than this.
const LOOK: u32 = 1_000;
/// Messages of one step.
const STEP: u32 = 100;
/// Least time between two steps.
const REST: Duration = Duration::from_millis(10);
/// Of what fails the log speaks so often.
const REMIND: Duration = Duration::from_mins(10);

impl Chat {
    /// Erases what is due, for as long as it is polled. Ends with the node that drops it: another one goes on.
    pub async fn keep_erasing(self) {
        let mut told: Option<Instant> = None;
        loop {
            sleep(self.inner.env.spread(EVERY / 2..EVERY * 3 / 2)).await;
            // That the store is away, those tell who need it more.
            let Ok(due) = self.inner.store.to_erase(self.due(), LOOK).await else { continue };
            let waiting = &self.inner.metrics.erasures_waiting;
            waiting.set(due.len() as i64);
            for conversation in due {
                match self.erase(conversation).await {
                    Ok(()) => waiting.dec(),
                    Err(error) if told.is_none_or(|at| at.elapsed() >= REMIND) => {
                        told = Some(Instant::now());
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(conversation.id = %conversation, error, "a deleted conversation is not erased");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// One conversation to its end, unless somebody else has it at hand.
    async fn erase(&self, conversation: ConversationId) -> store::Result<()> {
        loop {
            let began = Instant::now();
            let Some(erased) = self.inner.store.erase(conversation, STEP).await? else { return Ok(()) };
            self.inner.metrics.erased_messages.inc_by(erased.messages);
            if erased.done {
                return Ok(());
            }
            sleep(began.elapsed().max(REST)).await;
        }
    }

    /// Conversations that are deleted and not erased.
    pub async fn erasures(&self) -> Result<Erasures> {
        Ok(self.inner.store.erasures(self.due()).await?)
    }

    /// What was deleted then or earlier is erased.
    fn due(&self) -> Timestamp {
        Timestamp::new(self.inner.env.now().get() - self.inner.config.erase_after)
    }
}
