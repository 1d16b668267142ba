//! Erases what was said in conversations that were deleted: the deletion itself only closes them, however long they are.
//!
//! Each node looks every few seconds and takes a conversation that no other node has at hand, a few hundred messages at
//! a time with a pause between them, so that who talks elsewhere does not notice.

use std::time::Duration;

use protocol::Timestamp;
use store::{StoreError, ToErase};

use crate::{Chat, Outage, Result};

/// About so long between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Messages of one step.
const STEP: u32 = 500;
/// Between two steps.
const REST: Duration = Duration::from_millis(50);
/// The store is back when it has answered for so long.
const QUIET: Duration = Duration::from_secs(10);

impl Chat {
    /// Erases what is due, for as long as it is polled. Ends with the node that drops it: the next one goes on.
    pub async fn keep_erasing(self) {
        let outage = Outage::new(QUIET);
        loop {
            tokio::time::sleep(self.inner.env.spread(EVERY / 2..EVERY * 3 / 2)).await;
            match self.erase_due().await {
                Ok(()) => {
                    if let Some(failures) = outage.worked() {
                        tracing::info!(failures, "deleted conversations are erased again");
                    }
                }
                // Whoever writes tells that the store is away.
                Err(StoreError::Unavailable(_)) => {}
                Err(error) if outage.failed() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "deleted conversations are not erased");
                }
                Err(_) => {}
            }
        }
    }

    async fn erase_due(&self) -> store::Result<()> {
        let (store, metrics) = (&self.inner.store, &self.inner.metrics);
        while let Some(erased) = store.erase_deleted(self.due(), STEP).await? {
            metrics.erased_messages.inc_by(erased.messages);
            if erased.done {
                tracing::info!(conversation.id = %erased.conversation, "a deleted conversation is erased");
            }
            tokio::time::sleep(REST).await;
        }
        let waiting = store.to_erase(self.due()).await?;
        metrics.erasures_waiting.set(i64::try_from(waiting.due).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Conversations that are deleted and not erased.
    pub async fn to_erase(&self) -> Result<ToErase> {
        Ok(self.inner.store.to_erase(self.due()).await?)
    }

    /// What was deleted then or earlier is erased.
    fn due(&self) -> Timestamp {
        Timestamp::new(self.inner.env.now().get() - self.inner.config.erase_after)
    }
}
