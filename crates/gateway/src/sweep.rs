//! Finds lost tails (invariant 4): compares the heads of what is followed here with the store.
//!
//! A lost *last* event leaves no hole that the next one could show. Every conversation with local connections is asked
//! for once per `sweep_interval` (I), in queries of ≤ [`BATCH`] ids spread over it; those of which an event came within
//! the last I, where the next one is most likely to be lost, five times per I; all of them at once when the bus was
//! away or another node's lease ended. Users' feeds and orgs' announcements likewise, but for the five times.
//!
//! A head below what was delivered before the store was asked is of a history that lost something: see
//! [`crate::epoch`].
//!
//! Cost: a node with C conversations, A of them active within I, U users and O orgs makes
//! (⌈C/2,000⌉ + ⌈U/2,000⌉ + ⌈O/2,000⌉ + 5 ⌈A/2,000⌉) / I queries per second, and N nodes N times that. The bound holds
//! while a query takes less than I ÷ that number of queries: at 10 ms each and I = 10 s, up to about 2,000,000
//! conversations per node of which a tenth is active.

use std::{sync::Arc, time::Duration};

use chat::Map;
use protocol::{ConversationId, OrgId, Seq, UserId, UserSeq};
use store::Heads;
use tokio::time::Instant;

use crate::{marks::Rotation, node::Node};

/// Ids in one query.
const BATCH: usize = 2_000;
/// How often per interval active conversations are compared.
const ACTIVE_ROUNDS: u32 = 5;
/// About so long between two comparisons that were asked for.
const REST: Duration = Duration::from_millis(200);

/// Runs until the node ends: a full rotation per interval, in evenly spread queries, with jitter so that nodes
/// do not ask at the same moment.
pub(crate) async fn run(node: Arc<Node>) {
    if !node.env().protections().head_sweep {
        return;
    }
    loop {
        let interval = node.config.sweep_interval;
        let started = tokio::time::Instant::now();
        let mut rotation = Rotation::begin(&node);
        let conversations = node.hub.positions();
        let users = node.hub.feeds.positions();
        let orgs = node.hub.orgs.positions();
        let queries =
            [conversations.len(), users.len(), orgs.len()].iter().map(|len| len.div_ceil(BATCH)).sum::<usize>();
        let step = node.env().spread(interval.mul_f64(0.7)..interval.mul_f64(0.9)) / (queries.max(1) as u32);
        for batch in conversations.chunks(BATCH) {
            if pause(&node, step).await {
                return;
            }
            rotation.conversations(compare_conversations(&node, batch).await);
        }
        if conversations.is_empty() && !users.is_empty() {
            // Who takes part in nothing is told of another epoch too.
            compare_conversations(&node, &[]).await;
        }
        for batch in users.chunks(BATCH) {
            if pause(&node, step).await {
                return;
            }
            rotation.feeds(compare_feeds(&node, batch).await);
        }
        for batch in orgs.chunks(BATCH) {
            if pause(&node, step).await {
                return;
            }
            compare_announcements(&node, batch).await;
        }
        rotation.end(&node);
        let rest = interval.saturating_sub(started.elapsed()).max(Duration::from_millis(50));
        if pause(&node, if queries == 0 { interval } else { rest.min(step) }).await {
            return;
        }
    }
}

/// Runs until the node ends: compares what is active, a few times per interval.
pub(crate) async fn run_active(node: Arc<Node>) {
    if !node.env().protections().head_sweep {
        return;
    }
    let (interval, step) = (node.config.sweep_interval, node.config.sweep_interval / ACTIVE_ROUNDS);
    loop {
        let wait = node.env().spread(step * 3 / 4..step * 5 / 4);
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        for batch in node.hub.active_since(Instant::now() - interval).chunks(BATCH) {
            compare_conversations(&node, batch).await;
        }
    }
}

/// Waits; true when the node ends. Whoever asks for a whole comparison meanwhile (see [`Node::sweep_now`]) gets it
/// here: there is one sweeper, however many ask, and it rests between two.
async fn pause(node: &Arc<Node>, time: Duration) -> bool {
    let until = tokio::time::Instant::now() + time;
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return true,
            () = node.sweep_now.notified() => {}
            () = tokio::time::sleep_until(until) => return false,
        }
        all(node).await;
        let rest = node.env().spread(REST / 2..REST * 3 / 2);
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return true,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// One whole comparison at once: after the bus was away.
async fn all(node: &Arc<Node>) {
    for batch in node.hub.positions().chunks(BATCH) {
        compare_conversations(node, batch).await;
    }
    for batch in node.hub.feeds.positions().chunks(BATCH) {
        compare_feeds(node, batch).await;
    }
    for batch in node.hub.orgs.positions().chunks(BATCH) {
        compare_announcements(node, batch).await;
    }
}

/// What was read, with the heads that were not delivered by then; none when the store did not answer.
async fn compare_conversations(
    node: &Arc<Node>,
    batch: &[(ConversationId, Seq)],
) -> Option<(Heads, Vec<(ConversationId, Seq)>)> {
    let ids: Vec<_> = batch.iter().map(|(id, _)| *id).collect();
    let heads = node.chat.heads_seen(&ids).await.ok()?;
    node.saw_epoch(&heads.epoch);
    let known: Map<_, _> = batch.iter().copied().collect();
    let mut behind = Vec::new();
    for (id, head) in heads.items.iter().copied() {
        let Some(delivered) = known.get(&id).copied() else { continue };
        if delivered < head {
            behind.push((id, head));
            // Most of these are on their way through the bus; the fill waits for them a moment.
            let after = node.hub.saw_head(id, head);
            if after.fill.is_some() {
                node.metrics.sweep_finds.inc();
            }
            node.after(id, after);
        } else if delivered > head {
            node.lost_conversation(id, delivered);
        }
    }
    Some((heads, behind))
}

/// The heads that were not delivered; none when the store did not answer.
async fn compare_feeds(node: &Arc<Node>, batch: &[(UserId, UserSeq)]) -> Option<Vec<(UserId, UserSeq)>> {
    let ids: Vec<_> = batch.iter().map(|(id, _)| *id).collect();
    let heads = node.chat.feed_heads(&ids).await.ok()?;
    let known: Map<_, _> = batch.iter().copied().collect();
    let mut behind = Vec::new();
    for (user, head) in heads {
        let Some(delivered) = known.get(&user).copied() else { continue };
        if delivered < head {
            behind.push((user, head));
            node.metrics.sweep_finds.inc();
            node.feed_moved(user, head);
        } else if delivered > head {
            node.lost_feed(user, delivered);
        }
    }
    Some(behind)
}

async fn compare_announcements(node: &Arc<Node>, batch: &[(OrgId, u64)]) {
    let ids: Vec<_> = batch.iter().map(|(id, _)| *id).collect();
    let Ok(heads) = node.chat.announcement_heads(&ids).await else { return };
    let known: Map<_, _> = batch.iter().copied().collect();
    for (org, head) in heads {
        let Some(delivered) = known.get(&org).copied() else { continue };
        if delivered < head {
            node.metrics.sweep_finds.inc();
            node.announced(org, head);
        } else if delivered > head {
            node.lost_announcements(org, delivered);
        }
    }
}
