//! Markers after a resume, and after the bus was away: read from the store and told, since they are state and nothing
//! else would show it. Those of some hundred conversations at a time, however many there are.
//!
//! Promises that a connection that lived through an outage shows what is stored. One user at a time, at the pace of
//! their connections. Twice: other nodes reach the bus a little later than this one, and what they could not tell until
//! then was stored before it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chat::Result;
use protocol::{CloseCode, ConversationId, Event, EventType, Receipt, UserId};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{follow::Live, link::Link, node::Node, outbox::Class};

/// By then every node has reached the bus again: they try every 2 s at least.
const AGAIN: Duration = Duration::from_secs(6);
/// Frames between two looks at whether there is room for more.
const CHUNK: usize = 256;
/// Longest wait for a connection that does not read: it is told the rest when it resumes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>) {
    let mut again = None;
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.receipts_lost.notified() => {
                // Who comes later reads the store by themselves: when the node starts, that is everybody.
                let somebody = !node.hub.feeds.links().is_empty();
                again = somebody.then(|| Instant::now() + AGAIN);
            }
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => again = None,
        }
        let users: BTreeSet<_> = node.hub.feeds.links().iter().map(|link| link.user()).collect();
        for user in users {
            if node.stop.is_cancelled() {
                return;
            }
            tell(&node, user).await;
        }
    }
}

/// Tells a user's connections here all markers that a resume would tell them.
async fn tell(node: &Node, user: UserId) {
    let links = node.hub.feeds.links_of(user);
    let followed: BTreeSet<ConversationId> = links.iter().flat_map(|link| link.following.lock().ids()).collect();
    let followed: Vec<_> = followed.into_iter().collect();
    for some in followed.chunks(node.config.bounds.receipts_at_once.max(1)) {
        let frames = match node.chat.receipts(user, some).await {
            Ok(receipts) => frames(&receipts),
            // The store is away as well, or the user is gone.
            Err(error) => return tracing::debug!(%error, "markers could not be read"),
        };
        for link in &links {
            push(link, &frames).await;
        }
    }
}

impl Node {
    /// Markers for the answer to a `hello`; those of conversations beyond the first some hundred follow it as events.
    pub(crate) async fn resumed_receipts(
        &self,
        link: &Link,
        ids: impl Iterator<Item = ConversationId>,
        live: &mut Live,
    ) -> Result<()> {
        let mut first: Vec<_> = ids.collect();
        live.rest = first.split_off(first.len().min(self.config.bounds.receipts_at_once));
        first.sort_unstable();
        live.reply.receipts = self.chat.receipts(link.user(), &first).await?;
        Ok(())
    }

    /// Tells the markers of these at the pace of the reader.
    pub(crate) async fn tell_rest(&self, link: &Link, rest: &[ConversationId]) {
        for some in rest.chunks(self.config.bounds.receipts_at_once.max(1)) {
            match self.chat.receipts(link.user(), some).await {
                Ok(receipts) => {
                    for (id, frame) in frames(&receipts) {
                        if !link.outbox.room().await {
                            return;
                        }
                        // Durable: nobody tells it again. Who was removed meanwhile hears no more of it.
                        let following = link.following.lock();
                        if following.contains(id) {
                            link.outbox.push(frame, Class::Durable);
                        }
                    }
                }
                // The client comes back and asks again.
                Err(error) => {
                    tracing::debug!(connection.id = %link.id, %error, "markers could not be read");
                    return link.outbox.close(CloseCode::Internal);
                }
            }
        }
    }
}

fn frames(receipts: &[Receipt]) -> Vec<(ConversationId, Utf8Bytes)> {
    receipts.iter().filter_map(|receipt| Some((receipt.conversation_id, frame(receipt)?))).collect()
}

async fn push(link: &Link, frames: &[(ConversationId, Utf8Bytes)]) {
    for chunk in frames.chunks(CHUNK) {
        if !timeout(PATIENCE, link.outbox.room()).await.unwrap_or(false) {
            return;
        }
        let following = link.following.lock();
        for (_, frame) in chunk.iter().filter(|(id, _)| following.contains(*id)) {
            link.outbox.push(frame.clone(), Class::Ephemeral);
        }
    }
}

fn frame(receipt: &Receipt) -> Option<Utf8Bytes> {
    let id = Some(receipt.conversation_id);
    let event = Event { conversation_id: id, ..Event::plain(EventType::ReceiptUpdated, receipt) };
    serde_json::to_string(&event).ok().map(Into::into)
}
