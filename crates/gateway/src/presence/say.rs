//! Tells the bus what changed here: in batches, a few times per second at most, until it was heard.

use std::{sync::Arc, time::Duration};

use chat::Result;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::node::{Backoff, Node};

/// Users in one call.
const BATCH: usize = 500;
/// Between two rounds: what changes meanwhile goes together.
const ROUND: Duration = Duration::from_millis(250);
/// Sleep without an end in sight.
const LONG: Duration = Duration::from_hours(1);
/// For the last words of a node that ends; its lease would end without them too.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs until the node ends.
pub(super) async fn run(node: Arc<Node>) {
    let presence = &node.presence;
    let mut leased = presence.leased.subscribe();
    tokio::select! {
        biased;
        () = node.stop.cancelled() => return,
        first = leased.wait_for(|leased| *leased) => if first.is_err() { return },
    }
    let fresh = || Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
    let mut backoff = fresh();
    loop {
        let leaving = presence.local.lock().next_leaving();
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = presence.changed.notified() => {}
            () = sleep_until(leaving.unwrap_or_else(|| Instant::now() + LONG)) => {}
        }
        match say(&node).await {
            Ok(()) => {
                backoff = fresh();
                sleep(ROUND).await;
            }
            Err(error) => {
                tracing::debug!(%error, "presence could not be told, trying again");
                presence.changed.notify_one();
                backoff.wait(node.env()).await;
            }
        }
    }
}

/// Notes who is here, again and again until the node ends: should it die, others tell when they were last there.
pub(super) async fn note(node: Arc<Node>) {
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = sleep(node.config.presence.recheck * 4) => {}
        }
        let users = node.presence.local.lock().here();
        if let Err(error) = node.chat.note_seen(&users).await {
            tracing::debug!(%error, "who is here could not be noted");
        }
    }
}

/// Says everything that there is to say.
async fn say(node: &Node) -> Result<()> {
    let presence = &node.presence;
    let _turn = presence.saying.lock().await;
    loop {
        let words = presence.local.lock().take(Instant::now(), BATCH);
        if words.users.is_empty() {
            return Ok(());
        }
        let said = node.chat.set_presence(node.config.node, &words.users).await;
        let outcome = if said.is_ok() { "ok" } else { "failed" };
        node.metrics.presence_said.with_label_values(&[outcome]).inc_by(words.users.len() as u64);
        if let Err(error) = said {
            presence.local.lock().unsaid(&words);
            return Err(error);
        }
        presence.local.lock().said(words);
    }
}

/// Says that everybody is gone from here.
pub(super) async fn last_words(node: &Node) {
    node.presence.local.lock().end();
    if !matches!(timeout(LAST_WORDS, say(node)).await, Ok(Ok(()))) {
        tracing::debug!("the node's users could not be said to be gone; its lease ends by itself");
    }
}
